"""Comparison of the exported files of all MobileNets with the output of TensorFlow's converter.

    python -m benchmarks.without_tensorflow PHOTOS WORK_DIR [PHOTOS_PER_CLASS]

poets_edge and the converter use the same photos to calibrate int8. Accuracy is measured on the test photos. Writes
`results/without_tensorflow.md`; requires TensorFlow, and the weights that the tests require.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.tables import STAND_INS, accuracy, load, publish
from benchmarks.training import train_graph
from poets_edge.device.predictions import score_models
from poets_edge.exporting.held_out import calibration_photos, photos_of_record
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.mobilenet_v1 import MOBILENETS
from poets_edge.nets.tensorflow import load_tensorflow
from poets_edge.nets.trained_graph import read_trained
from poets_edge.quantize.activation_statistics import calibration_pixels
from poets_edge.quantize.convert import Quantization, convert
from poets_edge.quantize.quantize import network_of, quantize
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata

_TEST_PERCENTAGE = 40
_QUANTIZATIONS: tuple[Quantization, ...] = ("float32", "int8")


def link_photos(photos: Path, folder: Path, count: int) -> Path:
    """Create a folder of symbolic links to the first `count` photos of each class."""
    for class_folder in sorted(path for path in photos.iterdir() if path.is_dir()):
        (folder / class_folder.name).mkdir(parents=True, exist_ok=True)
        for photo in sorted(class_folder.iterdir())[:count]:
            link = folder / class_folder.name / photo.name
            if not link.exists():
                link.symlink_to(photo.resolve())
    return folder


def compared(architecture: Architecture, photos: Path, work: Path) -> list[str]:
    """Train an architecture, convert it with poets_edge and with TensorFlow, and return its row in the table."""
    graph = train_graph(architecture, photos, work, testing=_TEST_PERCENTAGE)
    trained = read_trained(graph, graph.with_name("labels.txt"))
    frozen, network = trained.frozen, network_of(trained.frozen)
    assert network is not None and trained.record is not None
    sets = photos_of_record(trained.record, None)
    pixels = calibration_pixels(calibration_photos(sets.training, 100), frozen.size)
    ends = (str(frozen.path), frozen.input_name, frozen.output_name, frozen.size)
    models: dict[str, bytes] = {}
    seconds: dict[str, float] = {}
    for quantization in _QUANTIZATIONS:
        start = time.perf_counter()
        models[f"ours {quantization}"] = quantize(network, quantization, pixels)
        middle = time.perf_counter()
        models[f"theirs {quantization}"] = convert(frozen.graph, *ends, quantization, calibration=pixels)
        seconds[f"ours {quantization}"] = middle - start
        seconds[f"theirs {quantization}"] = time.perf_counter() - middle
    card = ModelInfo("", "", trained.labels)
    whole = {name: with_files(with_metadata(model, card), card, {}) for name, model in models.items()}
    scored = score_models(sets.test, {name: ModelFile(Path(name), model) for name, model in whole.items()})
    found = {name: result.scores for name, result in scored.items()}
    right = {name: result.evaluation(trained.labels).accuracy for name, result in scored.items()}
    best: dict[str, npt.NDArray[Any]] = {name: scores.argmax(axis=1) for name, scores in found.items()}
    agree = {who: (best[f"{who} int8"] == best["ours float32"]).mean() for who in ("ours", "theirs")}
    difference = np.abs(found["ours float32"] - found["theirs float32"]).max()
    steps = np.abs(found["ours int8"] - found["theirs int8"]).max() * 256
    sizes = [f"{len(whole[f'{who} int8']) / 1e6:.3f}" for who in ("ours", "theirs")]
    return [
        architecture.name,
        f"{difference:.0e}" if difference else "0",
        accuracy(architecture.name, right["ours float32"]),
        *(accuracy(architecture.name, right[f"{who} int8"]) for who in ("ours", "theirs")),
        *(accuracy(architecture.name, agree[who]) for who in ("ours", "theirs")),
        f"{steps:.0f}",
        *sizes,
        f"{seconds['theirs int8'] / seconds['ours int8']:.1f}",
    ]


def main(photos: Path, work: Path, count: int = 80) -> None:
    """Compare poets_edge with TensorFlow's converter on each MobileNet, and write the table of results."""
    load_tensorflow("the yardstick")
    few = link_photos(photos, work / "photos", count)
    rows = []
    for architecture in MOBILENETS:
        rows.append(compared(architecture, few, work))
        print(" ".join(rows[-1]), flush=True)
    known = [row for row in rows if row[0] not in STAND_INS]
    means = [f"**{np.mean([float(row[column]) for row in known]):.2f}**" for column in range(2, 7)]
    publish(
        "without_tensorflow",
        "Files written here, beside those of TensorFlow's converter",
        f"python -m benchmarks.without_tensorflow flower_photos WORK {count}",
        [
            ["", "float32: largest difference of a score", "float32, %", "int8, %", "theirs",
             "int8 agrees with float32, %", "theirs", "int8: steps of 1/256 apart at most", "int8, MB", "theirs",
             "time of theirs over ours, int8"],
            *rows,
            ["mean", "", *means, "", "", "", ""],
        ],
        [
            f"{count} photos of each of five flowers, 40 % of them judge; 100 photos (or all) calibrate. TensorFlow"
            " was loaded before any time was taken.",
            f"Load average at the end: {load():.1f}.",
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *(int(number) for number in sys.argv[3:]))
