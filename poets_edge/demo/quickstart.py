"""The command `quickstart`, which trains a model on generated photos and exports it, without internet access."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from poets_edge.demo.draw import draw_photos, drawn_names
from poets_edge.device.classifier import Classifier
from poets_edge.device.scorer import Label
from poets_edge.errors import OutputError
from poets_edge.exporting.export import export
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.results import ExportedFile
from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import EMBEDDED, EMBEDDED_ARCHITECTURE
from poets_edge.photos.folder import Photo, PhotoFolder, scan
from poets_edge.photos.image import fit, read_photo
from poets_edge.photos.split import SplitConfig, split
from poets_edge.progress import Reporter, Silent
from poets_edge.quantize.convert import CPU_QUANTIZATIONS
from poets_edge.training.head import HeadOptions
from poets_edge.training.options import TrainOptions
from poets_edge.training.train import train

_SETS = SplitConfig(testing=30, validation=10)
"""Percentages of test and validation photos. The test set is larger than by default, so that the accuracy is estimated
more precisely."""
_TIMED_RUNS = 100


@dataclass(frozen=True)
class TimedFile:
    """An exported model file, and the median latency of the model on one thread, in milliseconds."""

    file: ExportedFile
    latency_ms: float


@dataclass(frozen=True)
class QuickstartResult:
    """Result of `quickstart`.

    Attributes:
        photos: the generated photos.
        files: exported files, one per quantization: float32, dynamic, float16 and int8.
        photo: photo from the test split that the int8 model labeled.
        labels: the three labels with the highest scores for `photo`, best first.
    """

    photos: PhotoFolder
    files: tuple[TimedFile, ...]
    photo: Photo
    labels: tuple[Label, ...]


def quickstart(folder: Path, reporter: Reporter | None = None) -> QuickstartResult:
    """Train a model on generated photos, and export it with four quantizations.

    The head of a small network, whose weights are included in the package, is retrained. All files are written to
    `folder`. The photos are generated in `folder/photos`, unless an earlier call has generated them.

    Raises:
        RuntimeMissingError: TensorFlow or the interpreter is not installed.
        OutputError: `folder` is not writable, or contains other photos.
    """
    reporter = reporter or Silent()
    drawn = folder / "photos"
    photos = _existing_photos(drawn) if drawn.is_dir() else draw_photos(drawn, reporter=reporter)
    graph = folder / "retrained_graph.pb"
    train(
        TrainOptions(
            image_dir=drawn,
            architecture=architecture(EMBEDDED_ARCHITECTURE),
            weights=EMBEDDED,
            output_graph=graph,
            output_labels=folder / "retrained_labels.txt",
            bottleneck_dir=folder / "bottlenecks",
            summaries_dir=folder / "training_summaries",
            runs_dir=folder / "runs",
            percentages=_SETS,
            head=HeadOptions(eval_step_interval=1000),
        ),
        reporter,
    )
    exported = export(ExportOptions(graph=graph, quantizations=CPU_QUANTIZATIONS), reporter).files
    sets = split(photos.photos, _SETS)
    photo = next(photo for photo in photos.photos if sets[photo.name] == "test")
    models = [Classifier(file.path) for file in exported]
    files = tuple(TimedFile(file, _latency_ms(model, photo)) for file, model in zip(exported, models, strict=True))
    return QuickstartResult(photos, files, photo, tuple(models[-1].classify(photo.file, top=3)))


def _existing_photos(folder: Path) -> PhotoFolder:
    """Return the photos that an earlier run generated. Raises OutputError if the folder contains other photos."""
    photos = scan(folder)
    if {photo.name for photo in photos.photos} != drawn_names():
        raise OutputError(
            f"{folder}: not the photos that quickstart draws. Give another `output_dir`; for photos of your own:"
            f" poets-edge train {folder}"
        )
    return photos


def _latency_ms(model: Classifier, photo: Photo) -> float:
    pixels = fit(read_photo(photo.file), model.size)
    times = []
    for _ in range(_TIMED_RUNS):
        start = time.perf_counter()
        model.score_pixels(pixels)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)
