"""Benchmark of the full-int8 files of all MobileNets: accuracy, microcontroller memory, and estimates for NPUs.

    python -m benchmarks.targets PHOTOS WORK_DIR [ARCHITECTURE ...]

Each file is compared with the float32 and int8 files of the same graph, and with the file that TensorFlow's converter
writes with the same calibration photos. Accuracies are measured on half of the photos. Output: `results/targets.md`.
Requires TensorFlow, TensorFlow Lite Micro, Vela, and the weights that the tests require.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import STAND_INS, load, publish
from poets_edge.device.classifier import Classifier
from poets_edge.device.predictions import score_models
from poets_edge.exporting.held_out import calibration_photos, photos_of_record
from poets_edge.exporting.microcontroller.tflm import run_micro
from poets_edge.exporting.npu.vela import compile_for_npu
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import architecture
from poets_edge.nets.mobilenet_v1 import MOBILENET_V1
from poets_edge.nets.trained_graph import read_trained
from poets_edge.photos.image import fit
from poets_edge.photos.open_photo import open_photo
from poets_edge.photos.split import SplitConfig
from poets_edge.quantize.activation_statistics import calibration_pixels
from poets_edge.quantize.convert import convert
from poets_edge.quantize.quantize import network_of, quantize
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata
from poets_edge.training.options import TrainOptions
from poets_edge.training.train import train

_PERCENTAGES = SplitConfig(testing=50, validation=10)
_NPUS = ("ethos-u55-128", "ethos-u65-256")
_KINDS = {"float32": "float32", "int8": "int8", "ours": "full-int8", "theirs": "full-int8"}
_COMPARED = 10


@dataclass(frozen=True, kw_only=True)
class Row:
    """Measurements of one architecture.

    Attributes:
        accuracies: accuracy of each kind of file, 0 to 1; empty if the weights are those of another architecture.
        arena: size of the tensor arena in TensorFlow Lite Micro, in bytes.
        size: size of the model with int8 input and without appended files, in bytes.
        difference: largest difference of a score between `Classifier` and TensorFlow Lite Micro, in steps of 1/256.
        milliseconds: duration of an inference on each NPU, as estimated by Vela.
        npu_share: fraction of the operators that run on each NPU.
        sram: bytes of memory for tensors on each NPU, as estimated by Vela.
    """

    name: str
    accuracies: dict[str, float]
    arena: int
    size: int
    difference: int
    milliseconds: tuple[float, ...]
    npu_share: tuple[float, ...]
    sram: tuple[int, ...]


def measured(one: Architecture, photos: Path, work: Path) -> Row:
    """Train, convert and measure one architecture."""
    graph = work / one.name / "graph.pb"
    train(
        TrainOptions(
            image_dir=photos,
            architecture=one,
            output_graph=graph,
            output_labels=graph.with_name("labels.txt"),
            bottleneck_dir=work / "bottlenecks",
            summaries_dir=work / "summaries",
            percentages=_PERCENTAGES,
        )
    )
    trained = read_trained(graph)
    frozen, network = trained.frozen, network_of(trained.frozen)
    assert network is not None and trained.record is not None
    sets = photos_of_record(trained.record, None)
    pixels = calibration_pixels(calibration_photos(sets.training, 100), frozen.size)
    models = {"ours": quantize(network, "full-int8", pixels)}
    if one.name not in STAND_INS:
        signature = (str(frozen.path), frozen.input_name, frozen.output_name, frozen.size)
        models |= {
            "float32": quantize(network, "float32"),
            "int8": quantize(network, "int8", pixels),
            "theirs": convert(frozen.graph, *signature, "full-int8", calibration=pixels),
        }
    card = ModelInfo("", "", trained.labels)
    files = {
        kind: ModelFile(Path(kind), with_files(with_metadata(model, card), card, {"quantization": _KINDS[kind]}))
        for kind, model in models.items()
    }
    scored = score_models(sets.test, files) if len(files) > 1 else {}
    micro = quantize(network, "full-int8", pixels, input_type="int8")
    facts = {"quantization": "full-int8"}
    classifier = Classifier(ModelFile(Path("it"), with_files(with_metadata(micro, card), card, facts)))
    pictures = [fit(open_photo(photo), one.size) for photo in sets.test[:: len(sets.test) // _COMPARED][:_COMPARED]]
    run = run_micro(micro, [classifier.input_values(picture)[None] for picture in pictures], name=one.name)
    differences = [
        np.abs(classifier.raw_output(picture).astype(int) - outputs[0].astype(int)).max()
        for picture, outputs in zip(pictures, run.outputs, strict=True)
    ]
    estimates = [compile_for_npu(micro, npu, name=one.name).estimate for npu in _NPUS]
    return Row(
        name=one.name,
        accuracies={kind: found.evaluation(trained.labels).accuracy for kind, found in scored.items()},
        arena=run.arena,
        size=len(micro),
        difference=int(max(differences)),
        milliseconds=tuple(estimate.milliseconds for estimate in estimates),
        npu_share=tuple(estimate.share for estimate in estimates),
        sram=tuple(estimate.sram for estimate in estimates),
    )


def main(photos: Path, work: Path, *names: str) -> None:
    """Measure the architectures, and write the table of results."""
    rows = []
    for one in map(architecture, names) if names else MOBILENET_V1.architectures:
        done = work / f"{one.name}.json"
        if not done.is_file():
            work.mkdir(parents=True, exist_ok=True)
            done.write_text(json.dumps(asdict(measured(one, photos, work))))
        rows.append(Row(**json.loads(done.read_text())))
        print(rows[-1], flush=True)
    heading = (
        ["", "arena, KB", "model, KB"]
        + [f"{kind}, %" for kind in ("float32", "int8", "full-int8", "TensorFlow's full-int8")]
        + ["difference from TFLM, 1/256"]
        + [text for npu in _NPUS for text in (f"{npu}, ms", "SRAM, KB", "on the NPU, %")]
    )
    kinds = ("float32", "int8", "ours", "theirs")
    known = [row for row in rows if row.accuracies]
    means = [np.mean([100 * row.accuracies[kind] for row in known]) for kind in kinds]
    larger = [row for row in known if row.name not in {"mobilenet_0.25_96", "mobilenet_0.50_96"}]
    published = [np.mean([100 * row.accuracies[kind] for row in larger]) for kind in kinds]
    publish(
        "targets",
        "Full-int8 files on microcontrollers and NPUs",
        "python -m benchmarks.targets ../shared/data/flower_photos WORK_DIR",
        [
            heading,
            *map(_cells, rows),
            _mean_row(f"**mean of {len(known)}**", means),
            _mean_row(f"**mean of {len(larger)} without 96 pixels**", published),
        ],
        [
            "Accuracies on 500 test photos of five kinds of flowers; trained on 40 % of 1,000 photos, calibrated with"
            " 100. Arena: memory for tensors in TensorFlow Lite Micro, on a computer with 64 bits. Model: the file"
            " without labels. Difference from TFLM: largest difference of a score between `label` and TensorFlow Lite"
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
        *(f"{100 * row.accuracies[kind]:.1f}" if row.accuracies else "-" for kind in kinds),
        str(row.difference),
        *(text for ms, sram, share in npus for text in (f"{ms:.2f}", f"{sram / 1024:.0f}", f"{100 * share:.0f}")),
    ]


def _mean_row(name: str, means: Sequence[Any]) -> list[str]:
    return [name, "", "", *(f"**{mean:.2f}**" for mean in means), *[""] * (1 + 3 * len(_NPUS))]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
