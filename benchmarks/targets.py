"""Benchmark of the full-int8 files of all MobileNets: accuracy, microcontroller memory, and estimates for NPUs.

    python -m benchmarks.targets PHOTOS STRANGERS WORK_DIR [ARCHITECTURE ...]

Each file is compared with the float32 and int8 files of the same graph, and with the file that TensorFlow's converter
writes with the same calibration photos. Accuracies are measured on half of the photos. STRANGERS is a folder of photos
that belong to no class; they show whether the unknown-photo detectors in the full-int8 and float32 files agree. The
results of each architecture are saved in WORK_DIR, so that an interrupted run continues where it stopped. Output:
`results/targets.md`, unless architectures are given. Requires TensorFlow, TensorFlow Lite Micro, Vela, and the weights
that the tests require.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import STAND_INS, load, publish
from benchmarks.training import train_graph
from poets_edge.device.classifier import Classifier
from poets_edge.device.input_tensor import gray_pixels
from poets_edge.device.predictions import Predictions, score_models
from poets_edge.exporting.held_out import calibration_photos, photos_of_record
from poets_edge.exporting.microcontroller.tflm import run_micro
from poets_edge.exporting.npu.vela import compile_for_npu
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import architecture
from poets_edge.nets.frozen import FrozenGraph
from poets_edge.nets.mobilenet_v1 import MOBILENET_V1
from poets_edge.nets.network import Network
from poets_edge.nets.trained_graph import read_trained
from poets_edge.photos.image import fit
from poets_edge.photos.open_photo import open_photo
from poets_edge.quantize.activation_statistics import calibrate, calibration_pixels
from poets_edge.quantize.convert import convert
from poets_edge.quantize.quantize import network_of, quantize, quantize_fully, quantize_int8
from poets_edge.tflite.distance import LIMIT
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata

_TEST_PERCENTAGE = 50
_NPUS = ("ethos-u55-128", "ethos-u65-256")
_KINDS = {"float32": "float32", "int8": "int8", "ours": "full-int8", "theirs": "full-int8"}
_8_BIT = ("int8", "ours", "theirs")
_COMPARED = 10
_STRANGERS = 200
"""Number of photos in the folder STRANGERS that are scored."""
_GRAY = "mobilenet_0.25_96"
"""Architecture that is also measured with gray input."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Measurements of one architecture.

    Attributes:
        accuracies: accuracy of each kind of file, 0 to 1.
        errors: mean absolute difference between the scores of each 8-bit kind of file and those of float32.
        agreement: fractions of the test photos, and of the photos that belong to no class, for which full-int8 and
            float32 agree on whether the photo is unknown, that is, belongs to no class.
        arena: size of the tensor arena in TensorFlow Lite Micro, in bytes.
        size: size of the model with int8 input, without the labels and metadata appended to it, in bytes.
        difference: largest difference between scores of `Classifier` and of TensorFlow Lite Micro, in steps of 1/256.
        milliseconds: duration of an inference on each NPU, as estimated by Vela.
        npu_share: fraction of the operators that run on each NPU.
        sram: bytes of memory for tensors on each NPU, as estimated by Vela.

    `accuracies`, `errors` and `agreement` are empty if the only available weights are for a different input size.
    """

    name: str
    accuracies: dict[str, float]
    errors: dict[str, float]
    agreement: tuple[float, ...]
    arena: int
    size: int
    difference: int
    milliseconds: tuple[float, ...]
    npu_share: tuple[float, ...]
    sram: tuple[int, ...]


def measured(one: Architecture, photos: Path, strangers: Path, work: Path) -> Row:
    """Train, convert and measure one architecture; return the measurements."""
    frozen, network, labels, record = trained_network(one, photos, work)
    sets = photos_of_record(record, None)
    pixels = calibration_pixels(calibration_photos(sets.training, 100), frozen.size)
    statistics = calibrate(network, pixels)
    models = {"ours": quantize_fully(network, statistics)}
    if one.name not in STAND_INS:
        signature = (str(frozen.path), frozen.input_name, frozen.output_name, frozen.size)
        models |= {
            "float32": quantize(network, "float32"),
            "int8": quantize_int8(network, statistics, pixels),
            "theirs": convert(frozen.graph, *signature, "full-int8", calibration=pixels),
        }
    files = {kind: labeled(kind, model, labels) for kind, model in models.items()}
    scored = score_models(sets.test, files) if len(files) > 1 else {}
    micro = quantize_fully(network, statistics, input_type="int8")
    classifier = Classifier(labeled("ours", micro, labels))
    pictures = [fit(open_photo(photo), one.size) for photo in sets.test[:: len(sets.test) // _COMPARED][:_COMPARED]]
    run = run_micro(micro, [classifier.input_values(picture)[None] for picture in pictures], name=one.name)
    differences = [
        int(np.abs(own.astype(int) - other).max())
        for picture, outputs in zip(pictures, run.outputs, strict=True)
        for own, other in zip(
            classifier.session.run_some(classifier.input_values(picture)[None], range(len(outputs))),
            outputs,
            strict=True,
        )
    ]
    estimates = [compile_for_npu(micro, npu, name=one.name).estimate for npu in _NPUS]
    return Row(
        name=one.name,
        accuracies={kind: found.evaluation(labels).accuracy for kind, found in scored.items()},
        errors={
            kind: float(np.abs(scored[kind].scores - scored["float32"].scores).mean()) for kind in _8_BIT if scored
        },
        agreement=_agreement(scored, files, sorted(strangers.glob("*.jpg"))) if scored else (),
        arena=run.arena,
        size=len(micro),
        difference=max(differences),
        milliseconds=tuple(estimate.milliseconds for estimate in estimates),
        npu_share=tuple(estimate.share for estimate in estimates),
        sram=tuple(estimate.sram for estimate in estimates),
    )


def trained_network(
    one: Architecture, photos: Path, work: Path
) -> tuple[FrozenGraph, Network, tuple[str, ...], dict[str, Any]]:
    """Train an architecture, and return its graph, network, labels and training record."""
    graph = train_graph(one, photos, work, testing=_TEST_PERCENTAGE)
    trained = read_trained(graph)
    network = network_of(trained.frozen)
    assert network is not None and trained.record is not None
    return trained.frozen, network, trained.labels, trained.record


def labeled(kind: str, model: bytes, labels: Sequence[str]) -> ModelFile:
    """Return a model with labels, and with its quantization stored in its metadata."""
    card = ModelInfo("", "", tuple(labels))
    return ModelFile(Path(kind), with_files(with_metadata(model, card), card, {"quantization": _KINDS[kind]}))


def _agreement(
    scored: Mapping[str, Predictions], files: Mapping[str, ModelFile], strangers: Sequence[Path]
) -> tuple[float, float]:
    """Return how often the full-int8 and float32 files agree on whether a photo belongs to no class ("unknown").

    Returns:
        The fraction of the test photos, and the fraction of photos in `strangers`, for which the files agree.
    """
    distances = [scored[kind].distances for kind in ("ours", "float32")]
    assert distances[0] is not None and distances[1] is not None
    known = (distances[0] > LIMIT) == (distances[1] > LIMIT)
    integer, real = (Classifier(files[kind]) for kind in ("ours", "float32"))
    chosen = strangers[:: max(1, len(strangers) // _STRANGERS)][:_STRANGERS]
    return float(known.mean()), float(np.mean([integer(path).unknown == real(path).unknown for path in chosen]))


def measured_gray(one: Architecture, photos: Path, work: Path) -> Row:
    """Train an architecture, and return the measurements of its full-int8 file with gray input.

    Only accuracy, size and tensor arena are measured.
    """
    frozen, network, labels, record = trained_network(one, photos, work)
    sets = photos_of_record(record, None)
    pixels = [
        np.repeat(gray_pixels(picture), 3, axis=2)
        for picture in calibration_pixels(calibration_photos(sets.training, 100), frozen.size)
    ]
    model = quantize(network, "full-int8", pixels, input_type="int8", gray=True)
    [scored] = score_models(sets.test, {"ours": labeled("ours", model, labels)}).values()
    return Row(
        name=f"{one.name}, gray input",
        accuracies={"ours": scored.evaluation(labels).accuracy},
        errors={},
        agreement=(),
        arena=run_micro(model, [], name=one.name).arena,
        size=len(model),
        difference=0,
        milliseconds=(),
        npu_share=(),
        sram=(),
    )


def main(photos: Path, strangers: Path, work: Path, *names: str) -> None:
    """Measure the named architectures; without names, measure all of them and write the table of results."""
    work.mkdir(parents=True, exist_ok=True)

    def row(name: str, measure: Callable[[], Row]) -> Row:
        done = work / f"{name}.json"
        if not done.is_file():
            done.write_text(json.dumps(asdict(measure())))
        found = Row(**json.loads(done.read_text()))
        print(found, flush=True)
        return found

    rows = [
        row(one.name, partial(measured, one, photos, strangers, work))
        for one in (map(architecture, names) if names else MOBILENET_V1.architectures)
    ]
    small = architecture(_GRAY)
    gray = [
        row(f"{one.name}, gray input", partial(measured_gray, one, photos, work)) for one in (small, small.in_gray())
    ]
    if names:
        return
    heading = (
        ["", "arena, KB", "model, KB"]
        + [f"{kind}, %" for kind in ("float32", "int8", "full-int8", "TensorFlow's full-int8")]
        + [f"error of {kind}, %" for kind in ("int8", "full-int8", "TensorFlow's")]
        + ["known, %", "strangers, %", "difference from TFLM, 1/256"]
        + [text for npu in _NPUS for text in (f"{npu}, ms", "SRAM, KB", "on the NPU, %")]
    )
    kinds = ("float32", "int8", "ours", "theirs")
    known = [row for row in rows if row.accuracies]
    means = [np.mean([100 * row.accuracies[kind] for row in known]) for kind in kinds]
    larger = [row for row in known if row.name not in {"mobilenet_0.25_96", "mobilenet_0.50_96"}]
    published = [np.mean([100 * row.accuracies[kind] for row in larger]) for kind in kinds]
    errors = [np.mean([100 * row.errors[kind] for row in larger]) for kind in _8_BIT]
    publish(
        "targets",
        "Full-int8 files on microcontrollers and NPUs",
        "python -m benchmarks.targets ../shared/data/flower_photos ../shared/data/unlabelled_photos WORK_DIR",
        [
            heading,
            *map(_cells, [*rows, *gray]),
            _mean_row(f"**mean of {len(known)}**", [*means, *[None] * len(_8_BIT)]),
            _mean_row(f"**mean of {len(larger)} without 96 pixels**", [*published, *errors]),
        ],
        [
            "Accuracies on 500 test photos of five kinds of flowers; trained on 40 % of 1,000 photos, calibrated with"
            " 100. Arena: memory for tensors in TensorFlow Lite Micro, on a computer with 64 bits. Model: the file"
            " without labels. Error: mean absolute difference of a score from"
            " that of float32. Known, strangers: share of the test photos, and of"
            f" {_STRANGERS} everyday photos, for which full-int8 and float32 agree whether they are unknown. Difference"
            " from TFLM: largest difference of a score or distance between `label` and TensorFlow Lite"
            f" Micro, on {_COMPARED} photos. Milliseconds, SRAM, share of operators on the NPU: estimates of Vela for"
            " its default system configuration. KB are 1,024 bytes. A dash: the weights of these sizes are stand-ins"
            f" (those of 1.0_224), whose accuracies say nothing. Load average at the end: {load():.1f}.",
        ],
    )


def _cells(row: Row) -> list[str]:
    kinds = ("float32", "int8", "ours", "theirs")
    npus = zip(row.milliseconds, row.sram, row.npu_share, strict=True)
    return [
        row.name,
        f"{row.arena / 1024:.0f}",
        f"{row.size / 1024:.0f}",
        *(f"{100 * row.accuracies[kind]:.1f}" if kind in row.accuracies else "-" for kind in kinds),
        *(f"{100 * row.errors[kind]:.2f}" if row.errors else "-" for kind in _8_BIT),
        *(f"{100 * share:.1f}" for share in row.agreement or ()),
        *([] if row.agreement else ["-"] * 2),
        str(row.difference) if row.milliseconds else "-",
        *(text for ms, sram, share in npus for text in (f"{ms:.2f}", f"{sram / 1024:.0f}", f"{100 * share:.0f}")),
        *([] if row.milliseconds else ["-"] * 3 * len(_NPUS)),
    ]


def _mean_row(name: str, means: Sequence[Any]) -> list[str]:
    return [name, "", "", *("" if mean is None else f"**{mean:.2f}**" for mean in means), *[""] * (3 + 3 * len(_NPUS))]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
