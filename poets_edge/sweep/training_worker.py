"""Worker process of `grid`, which trains and exports one architecture at a time.

Many steps use only one CPU core, so `grid` trains several architectures in parallel.
"""

from __future__ import annotations

from poets_edge.core.files import sha256_of, write_bytes
from poets_edge.device.unknown import Refused
from poets_edge.errors import DatasetError
from poets_edge.exporting.export import export_graph
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.results import ExportedFile
from poets_edge.nets.weights import find_weights
from poets_edge.photos.image_cache import ImageCache
from poets_edge.progress import Silent
from poets_edge.quantize.int8_features import int8_features
from poets_edge.sweep.architecture_result import (
    INT8_BACKBONE,
    QUANTIZATIONS,
    ArchitectureResult,
    EvaluationResult,
    Evaluations,
    GridModel,
    record_mistakes,
)
from poets_edge.sweep.options import GridOptions
from poets_edge.sweep.photo_snapshot import PhotoSnapshot
from poets_edge.sweep.training_tasks import BackboneTask, TrainingTask
from poets_edge.training.backbone import prepare_backbone
from poets_edge.training.results import TrainResult
from poets_edge.training.train import train_photos

_LARGEST_CACHE = 100_000_000
"""Maximum size of the pixel cache in each process, in bytes; enough for 260 photos, each in four input sizes."""


class TrainingWorker:
    """Callable that executes the training tasks for one grid.

    Decoded photos for calibration and evaluation are cached, because all architectures use them.
    """

    def __init__(self, options: GridOptions, photos: PhotoSnapshot) -> None:
        self._options = options
        self._photos = photos
        self._images = ImageCache(_LARGEST_CACHE)

    def __call__(self, task: BackboneTask | TrainingTask) -> ArchitectureResult | None:
        """Execute a task.

        Returns:
            The result for a TrainingTask, or None for a BackboneTask.

        Raises:
            DatasetError: a photo has changed since the snapshot.
            PoetsEdgeError: `prepare_backbone`, `train` or `export` failed.
        """
        if isinstance(task, TrainingTask):
            return self._train(task)
        weights = find_weights(task.architecture, self._options.model_dir, self._options.weights)
        prepare_backbone(task.architecture, weights, self._options.bottleneck_dir)
        return None

    def _train(self, task: TrainingTask) -> ArchitectureResult:
        options = self._options.train_options(task.architecture)
        folder = self._options.folder(task.architecture)
        warnings = _Warnings()
        trained = train_photos(
            options,
            self._photos.folder,
            self._photos.exclusions,
            warnings,
            hashed=self._photos.hashed,
            groups=task.groups,
        )
        _check_unchanged(self._photos, trained)
        exported = export_graph(
            ExportOptions(
                graph=options.output_graph,
                quantizations=QUANTIZATIONS,
                calibration_count=self._options.calibration_count,
            ),
            warnings,
            photos=self._photos.folder.photos,
            images=self._images,
        )
        [int8] = [file.path for file in exported.files if file.quantization == "int8"]
        write_bytes(folder / INT8_BACKBONE, int8_features(int8.read_bytes()))
        return ArchitectureResult(
            key=task.key,
            labels=trained.labels,
            models=tuple(
                GridModel(
                    architecture=task.architecture,
                    quantization=file.quantization,
                    path=file.path,
                    size=file.size,
                    sha256=sha256_of(file.path),
                )
                for file in exported.files
            ),
            int8_backbone_sha256=sha256_of(folder / INT8_BACKBONE),
            warnings=tuple(dict.fromkeys(warnings.texts)),
            assumption=trained.assumption,
            test=_test_evaluations(exported.files, trained.labels),
        )


class _Warnings(Silent):
    """Reporter that collects warnings instead of showing them, so that the parent process can report each one once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


def _check_unchanged(photos: PhotoSnapshot, trained: TrainResult) -> None:
    """Raise DatasetError if the digest of a photo used for training differs from its digest in the snapshot."""
    for name, digest in zip(photos.folder.photos.names, photos.hashed.digests, strict=True):
        if name in trained.digests and trained.digests[name] != digest.tobytes().hex():
            raise DatasetError(
                f"{photos.folder.path}: {name} changed while the grid was running. Run again; computed bottlenecks are"
                " kept."
            )


def _test_evaluations(files: tuple[ExportedFile, ...], labels: tuple[str, ...]) -> Evaluations | None:
    scored = {file.quantization: file.scored for file in files if file.scored is not None}
    if not scored:
        return None
    return Evaluations(
        photos=tuple(photo.name for photo in scored["float32"].photos),
        groups=None if scored["float32"].groups is None else tuple(scored["float32"].groups.tolist()),
        models={file.quantization: _evaluation(file, labels) for file in files},
    )


def _evaluation(file: ExportedFile, labels: tuple[str, ...]) -> EvaluationResult:
    assert file.scored is not None
    return EvaluationResult(
        correct=tuple(file.scored.correct(labels).astype(int).tolist()),
        repeats=1,
        confusion=tuple(map(tuple, file.scored.evaluation(labels).confusion.tolist())),
        mistakes=record_mistakes(file.scored.misclassified(labels)),
        agreement=file.agreement,
        unknown=None if file.scored.distances is None else Refused.of(file.scored.distances).refused,
    )
