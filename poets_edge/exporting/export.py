"""Export a frozen graph as `.tflite` files, and measure their size, accuracy and agreement with float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from poets_edge.core.files import write_together
from poets_edge.core.wording import counted
from poets_edge.device.input_tensor import gray_pixels
from poets_edge.device.paired import Paired, compare_paired
from poets_edge.device.predictions import Predictions, score_models
from poets_edge.errors import DatasetError, UsageError
from poets_edge.exporting.drop import drop_is_significant, exceeds, verdict
from poets_edge.exporting.foreign import frozen_model
from poets_edge.exporting.held_out import (
    ExportPhotos,
    calibration_photos,
    photos_of_folder,
    photos_of_record,
    test_groups,
)
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.results import AccuracyDropError, ExportedFile, ExportResult
from poets_edge.nets.frozen import FrozenGraph
from poets_edge.nets.graph_input import graph_input_range
from poets_edge.nets.network import Network
from poets_edge.nets.trained_graph import read_trained
from poets_edge.photos.exclude import Exclusions
from poets_edge.photos.folder import Photo
from poets_edge.photos.image_cache import ImageCache
from poets_edge.photos.known_photos import KnownPhotos, known_photos
from poets_edge.photos.normalization import BACKBONE
from poets_edge.photos.table import PhotoTable
from poets_edge.progress import Reporter, Silent
from poets_edge.quantize.activation_statistics import calibration_pixels
from poets_edge.quantize.convert import CALIBRATED, QUANTIZATIONS, Quantization, convert
from poets_edge.quantize.quantize import network_of, quantize
from poets_edge.quantize.tensorflow_model import freeze, is_tensorflow_model, model_of_graph
from poets_edge.quantize.unknown_label import with_unknown_label
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.verify.memory import remember
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata
from poets_edge.training.record import versions

_UNSCORED = "no photos are known for this graph, so its files are not re-scored. Give `image_dir`."
_UNRECORDED = (
    "no record beside this graph: the test photos may include some it was trained on, which inflates its accuracy."
)
_UNRECOGNIZED = (
    "none of the photos is a training photo of this graph: if test photos are copies of training photos that were saved"
    " again or resized, they inflate its accuracy."
)


@dataclass(frozen=True)
class _Source:
    """Graph to export, with its labels, its training record and the photos of its training run.

    Attributes:
        network: the network that the graph was converted to; None if the graph requires TensorFlow's converter.
        record: training record, the JSON file next to the graph; None if there is none.
        photos: calibration and test photos; None if the photos are unknown.
    """

    frozen: FrozenGraph
    network: Network | None
    labels: tuple[str, ...]
    record: dict[str, Any] | None
    photos: ExportPhotos | None

    @property
    def known(self) -> KnownPhotos | None:
        """Digests of the training run's photos; None if neither the training record nor the graph has them."""
        return known_photos(self.record or {"photo_sets": self.frozen.photo_sets})


@dataclass(frozen=True)
class PreparedExport:
    """Converted and evaluated models that have not been written to files yet.

    Attributes:
        contents: content of each file in `result.files`, in the same order.
        models: bytes of each `.tflite` before metadata are added to it, by quantization.
        size: (height, width) of the input, pixels.
    """

    result: ExportResult
    contents: tuple[bytes, ...]
    models: Mapping[Quantization, bytes]
    size: tuple[int, int]

    def write(self, files: Mapping[Path, bytes]) -> None:
        """Write files that contain the converted models; either all files are written or none."""
        write_together(files)
        self.remember()

    def remember(self) -> None:
        """Record in the user's cache folder that the models have run without errors, so that loading them is faster."""
        for content in self.contents if self.result.files[0].scored else ():
            remember(content)


def export(options: ExportOptions, reporter: Reporter | None = None) -> ExportResult:
    """Convert a frozen graph to `.tflite` files, evaluate them on the test photos, and write them.

    No file is written before all files have been converted and evaluated.

    Raises:
        ModelError: the graph, its labels or its record are damaged or inconsistent, or an exported model outputs NaN.
        AccuracyDropError: a file loses significantly more accuracy than `options.max_accuracy_drop`; the exception
            contains the evaluations.
        DatasetError: required photos are missing.
        RuntimeMissingError: the graph was not written by `train` and TensorFlow is not installed.
        OutputError: a file cannot be written.
    """
    return export_graph(options, reporter or Silent())


def export_graph(
    options: ExportOptions, reporter: Reporter, *, photos: PhotoTable | None = None, images: ImageCache | None = None
) -> ExportResult:
    """Export a graph as `export` does, reusing photos that were already found or decoded.

    Args:
        photos: photos of the training run; by default they are found in the folder that the training record names.
        images: cache of decoded photos, shared by the exports of several graphs.

    Raises:
        ModelError, AccuracyDropError, DatasetError, RuntimeMissingError, OutputError: as for `export`.
    """
    prepared = prepare_export(options, reporter, photos=photos, images=images)
    files = prepared.result.files
    prepared.write({file.path: content for file, content in zip(files, prepared.contents, strict=True)})
    return prepared.result


def prepare_export(
    options: ExportOptions,
    reporter: Reporter,
    *,
    photos: PhotoTable | None = None,
    images: ImageCache | None = None,
) -> PreparedExport:
    """Convert a graph and evaluate the models as `export_graph` does, but write no files."""
    source = _read_source(options, photos, reporter)
    if options.unknown_label:
        if options.unknown_label in source.labels:
            raise UsageError(f"`unknown_label` {options.unknown_label}: a class has this name. Give another.")
        source = replace(source, labels=(*source.labels, options.unknown_label))
        reporter.note(f"photos of the classes that are {options.unknown_label} count as misclassified")
    wanted = options.quantizations or _default_quantizations(source.record)
    calibrated = next((name for name in wanted if name in CALIBRATED), None)
    if calibrated and source.photos is None:
        raise DatasetError(
            f"{calibrated} needs photos to calibrate with, and {options.graph} has no record of any. Give `image_dir`."
        )
    # The float32 model is always converted: the others are compared with it.
    quantizations = [name for name in QUANTIZATIONS if name in wanted or name == "float32"]
    models: dict[Quantization, bytes] = {}
    with reporter.progress("converting", len(quantizations), "file") as advance:
        for quantization in quantizations:
            content = _convert(options, source, quantization, images)
            if options.unknown_label:
                content = with_unknown_label(content)
            models[quantization] = with_metadata(content, _card(source, quantization))
            advance(1)
    scored = _evaluate_models(models, source, images, reporter)
    files, contents = [], []
    for quantization in wanted:
        file = _evaluated(_output_path(options, quantization), quantization, scored, source.labels)
        facts = _facts(options, source, file)
        contents.append(with_files(models[quantization], _card(source, quantization), facts))
        files.append(replace(file, size=len(contents[-1])))
    result = ExportResult(tuple(files), source.labels, scored["float32"].unreadable if scored else ())
    if result.unreadable:
        left_out = counted(len(result.unreadable), "test photo")
        reporter.warn(f"{left_out} left out of the evaluation; the first: {result.unreadable[0]}")
    if options.max_accuracy_drop is not None:
        _check_drop(result, options.max_accuracy_drop, reporter)
    return PreparedExport(result, tuple(contents), models, source.frozen.size)


def _read_source(options: ExportOptions, found: PhotoTable | None, reporter: Reporter) -> _Source:
    if is_tensorflow_model(options.graph):
        found_photos = photos_of_folder(options.image_dir, options.percentages) if options.image_dir else None
        model = frozen_model(options, found_photos, reporter)
        reporter.warn(_UNRECORDED if found_photos else _UNSCORED)
        return _Source(model, network_of(model), model.labels, None, found_photos)
    trained = read_trained(options.graph, options.labels)
    frozen, labels, record = trained.frozen, trained.labels, trained.record
    taken = graph_input_range(trained, options.input_range)
    if not taken.normalization.is_close(BACKBONE):
        reporter.note(f"input range {taken.normalization.short}: {taken.evidence}")
        frozen = freeze(model_of_graph(frozen), taken.normalization, labels, [])
    network = network_of(frozen)
    if record is not None:
        renamed = dict(zip(record["labels"], labels, strict=True))
        photos = photos_of_record(record, options.image_dir, found).in_classes(renamed)
        if photos.missing:
            verb = "is no longer there; it is" if photos.missing == 1 else "are no longer there; they are"
            reporter.warn(f"{counted(photos.missing, 'photo')} of the training run {verb} left out.")
        return _Source(frozen, network, labels, record, photos)
    if options.image_dir is None:
        reporter.warn(_UNSCORED)
        return _Source(frozen, network, labels, None, None)
    known = known_photos({"photo_sets": frozen.photo_sets})
    photos = photos_of_folder(options.image_dir, options.percentages, known)
    if known is None:
        reporter.warn(_UNRECORDED)
    elif not photos.are_recognized:
        reporter.warn(_UNRECOGNIZED)
    renamed = dict(zip(frozen.labels, labels, strict=True)) if frozen.labels else {}
    return _Source(frozen, network, labels, None, photos.in_classes(renamed))


def _default_quantizations(record: dict[str, Any] | None) -> tuple[Quantization, ...]:
    return ("int8",) if record and record["architecture"].endswith("_quantized") else ("float32",)


def _convert(options: ExportOptions, source: _Source, quantization: Quantization, images: ImageCache | None) -> bytes:
    frozen = source.frozen
    signature = (frozen.input_name, frozen.output_name, frozen.size)
    if quantization not in CALIBRATED or source.photos is None:
        if source.network:
            return quantize(source.network, quantization)
        return convert(frozen.graph, str(frozen.path), *signature, quantization)
    chosen = calibration_photos(source.photos.training, options.calibration_count)
    pixels = calibration_pixels(chosen, frozen.size, images)
    if options.gray and source.network:
        pixels = [np.repeat(gray_pixels(picture), 3, axis=2) for picture in pixels]
        return quantize(source.network, quantization, pixels, input_type=options.input_type, gray=True)
    ends: dict[str, Any] = {"float_io": options.float_io, "input_type": options.input_type}
    if source.network:
        return quantize(source.network, quantization, pixels, **ends)
    return convert(frozen.graph, str(frozen.path), *signature, quantization, calibration=pixels, **ends)


def _card(source: _Source, quantization: Quantization) -> ModelInfo:
    architecture = source.record["architecture"] if source.record else "retrained graph"
    description = f"{architecture}, {len(source.labels)} classes, {quantization}"
    return ModelInfo(f"poets_edge {architecture}", description, source.labels)


def _evaluate_models(
    models: dict[Quantization, bytes], source: _Source, images: ImageCache | None, reporter: Reporter
) -> dict[Quantization, Predictions]:
    """Return the predictions of all models for the test photos, by quantization; empty if there are no test photos.

    This also checks that each model can be loaded and computes finite scores.
    """
    photos: Sequence[Photo] = source.photos.test if source.photos else ()
    files = {
        name: ModelFile(
            Path(f"{source.frozen.path} as {name}"), with_files(model, _card(source, name), {"quantization": name})
        )
        for name, model in models.items()
    }
    with reporter.progress("re-scoring", len(photos)) as advance:
        scored = score_models(photos, files, images=images, advance=advance)
    if not photos:
        return {}
    groups = test_groups(scored["float32"].photos, source.known)
    return {name: replace(one, groups=groups) for name, one in scored.items()}


def _evaluated(
    path: Path, quantization: Quantization, scored: Mapping[Quantization, Predictions], labels: tuple[str, ...]
) -> ExportedFile:
    """Return an ExportedFile with its evaluation on the test photos. Its size is 0; the caller must set it."""
    file = ExportedFile(path=path, quantization=quantization, size=0, evaluation=None, agreement=None)
    if not scored:
        return file
    one, reference = scored[quantization], scored["float32"]
    return replace(
        file,
        evaluation=one.evaluation(labels),
        agreement=one.agreement(reference),
        compared_with_float32=None if one is reference else _compared(one, reference, labels),
        scored=one,
    )


def _compared(one: Predictions, reference: Predictions, labels: tuple[str, ...]) -> Paired:
    return compare_paired(one.correct(labels), reference.correct(labels), groups=one.groups)


def _check_drop(result: ExportResult, allowed: float, reporter: Reporter) -> None:
    losses = {file.quantization: file.compared_with_float32 for file in result.files if file.quantization != "float32"}
    if any(paired is None or not paired.photos for paired in losses.values()):
        raise DatasetError("`max_accuracy_drop` needs test photos, and there are none.")
    larger = {name: paired for name, paired in losses.items() if paired and exceeds(paired, allowed)}
    failed = {name: paired for name, paired in larger.items() if drop_is_significant(paired, allowed)}
    if failed:
        raise AccuracyDropError(f"{verdict(failed, allowed)}. Nothing was written.", result)
    if larger:
        reporter.warn(
            f"{verdict(larger, allowed)}; with so few photos that could be chance, so the files were written."
        )


def _facts(
    options: ExportOptions,
    source: _Source,
    file: ExportedFile,
) -> dict[str, Any]:
    """Return a description of a model, its training and its evaluation, to be stored in the exported file."""
    record = source.record or {}
    training: dict[str, Any] = {
        key: record[key]
        for key in (
            "architecture",
            "weights",
            "graph_sha256",
            "head",
            "distortions",
            "calibration",
            "unknown",
            "classes",
            "photos_sketch",
            "versions",
        )
        if key in record
    }
    if source.known:
        training["photo_sets"] = source.known.for_model().to_json()
    if (found := record.get("cross_validation")) and not record.get("own_test_set"):
        training["cross_validation"] = {key: found[key] for key in ("photos", "accuracy", "interval95")}
    if exclusions := Exclusions.from_json(record.get("exclude") or {}):
        training["exclude_hashes"] = exclusions.to_facts()
    if tuned := record.get("fine_tuning"):  # the learning curve is stored in the record only
        training["fine_tuning"] = {key: value for key, value in tuned.items() if key not in ("epochs_run", "views")}
    return {
        "format": 1,
        "quantization": file.quantization,
        "float_io": file.quantization not in CALIBRATED or (file.quantization == "int8" and options.float_io),
        "percentages": record.get("percentages") or asdict(options.percentages),
        "calibration_photos": options.calibration_count if file.quantization in CALIBRATED else None,
        "exported_with": versions(),
        "training": training or None,
        "test": file.evaluation.to_json() if file.evaluation else None,
        "agreement_with_float": file.agreement,
    }


def _output_path(options: ExportOptions, quantization: Quantization) -> Path:
    folder = options.output_dir or options.graph.parent
    ending = "" if quantization == "float32" else f"_{quantization.replace('-', '_')}"
    return folder / f"{options.graph.stem}{ending}.tflite"
