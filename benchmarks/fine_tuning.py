"""Accuracy and speed of `train --fine-tune`: python -m benchmarks.fine_tuning FOLDER [--accuracy | --speed].

- accuracy: 5-fold cross-validation of a network with its final blocks frozen, and with these blocks fine-tuned,
  compared photo by photo. The int8 file of the fine-tuned network is compared with its float32 file, too.
- speed: time and memory of `poets-edge train --fine-tune N` with empty caches, compared with those of a Keras program
  with the same weights, layers and epochs. With `--blocks 0`, both programs train only a new head.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.keras_backbone import write_keras_backbone
from benchmarks.recipes import KERAS_HEAD_SCRIPT, KERAS_TUNING_SCRIPT
from benchmarks.side_by_side import measure
from poets_edge.core.files import scratch_folder
from poets_edge.device.paired import compare_paired
from poets_edge.device.predictions import score_models
from poets_edge.exporting.export import export
from poets_edge.exporting.options import ExportOptions
from poets_edge.nets.architectures import architecture
from poets_edge.nets.read_weights import read_backbone
from poets_edge.nets.weights import find_weights
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.split import SplitConfig
from poets_edge.quantize.convert import Quantization
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.fine_tuning.tail import read_tail
from poets_edge.training.head import HeadOptions
from poets_edge.training.options import TrainOptions
from poets_edge.training.train import train

FOLDS = 5

Right: TypeAlias = "npt.NDArray[np.bool_]"
"""Whether each test photo in a fold is classified correctly, bool [photos]."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--architecture", default="mobilenet_0.50_224")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="by default those of the architecture")
    parser.add_argument("--bottleneck_dir", type=Path, default=TrainOptions.bottleneck_dir)
    parser.add_argument("--folds", type=int, default=FOLDS, help="judge only so many of the five parts")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="train all of that with each of these")
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--turns", type=int, default=1, help="run each program of the comparison of speed N times")
    options = parser.parse_args()
    if options.accuracy or not options.speed:
        accuracy(options)
    if options.speed or not options.accuracy:
        speed(options)


def accuracy(options: argparse.Namespace) -> None:
    """Cross-validate a network with its last blocks frozen and with these blocks fine-tuned; print the accuracies.

    They are printed for each random seed and fold, for all folds of a seed, and for all seeds.
    """
    photos = sorted(scan(options.folder).photos, key=lambda photo: photo.name)
    order = np.random.default_rng(0).permutation(len(photos))
    parts: list[tuple[Right, Right, Right]] = []
    for seed in options.seeds:
        for fold in range(options.folds):
            held_out = [photos[row] for row in order[fold::FOLDS]]
            with scratch_folder() as work:
                _link([photo for photo in photos if photo not in held_out], work / "photos")
                (frozen,) = _right(options, work, held_out, seed, 0, "float32")
                tuned, int8 = _right(options, work, held_out, seed, options.blocks, "float32", "int8")
            parts.append((frozen, tuned, int8))
            print(f"seed {seed}, part {fold + 1}: {_line(parts[-1:])}", flush=True)
        print(f"seed {seed}, all: {_line(parts[-options.folds :])}", flush=True)
    print(f"all: {_line(parts)}")


def speed(options: argparse.Namespace) -> None:
    """Print the time and peak memory of alternating runs of poets-edge and of a Keras program with the same weights.

    With 0 blocks, both train only a head. Both start with empty caches.
    """
    entry = architecture(options.architecture)
    folder, blocks = options.folder.resolve(), options.blocks
    with scratch_folder() as work:
        weights = find_weights(entry, work, options.weights)
        backbone = work / "backbone.keras"
        write_keras_backbone(entry, weights, backbone)
        recipe: list[str | Path] = ["-c", KERAS_HEAD_SCRIPT, folder, backbone]
        ours: list[str | Path] = ["-m", "poets_edge", "train", folder, "--architecture", entry.name, "-q"]
        if blocks:
            tuning = FineTuning(epochs=options.epochs).resolved(entry)
            first = read_tail(read_backbone(entry, weights), blocks, entry.name).layers[0].name
            recipe = ["-c", KERAS_TUNING_SCRIPT, folder, backbone, first, f"{tuning.learning_rate}", f"{tuning.epochs}"]
            ours += ["--fine-tune", f"{blocks}", "--fine-tune-epochs", f"{tuning.epochs}"]
        for turn in range(options.turns):
            for name, arguments in (("Keras recipe", recipe), ("poets-edge", ours)):
                place = work / f"{name} {turn}"
                place.mkdir()
                used = measure(arguments, cwd=place)
                seconds = f"{used.seconds:.1f} s, {used.cpu_seconds:.1f} s of processor time"
                print(f"{name}: {seconds}, {used.memory:.0f} MiB", flush=True)


def _link(photos: list[Photo], folder: Path) -> None:
    """Fill a folder with symbolic links to photos."""
    for photo in photos:
        link = folder / photo.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(photo.file.resolve())


def _right(
    options: argparse.Namespace, work: Path, held_out: list[Photo], seed: int, blocks: int, *wanted: Quantization
) -> list[Right]:
    """Train a network, fine-tuning its last blocks, and export it.

    Returns:
        For each exported file, whether it classifies each held-out photo correctly.

    `train` gets no test photos, so it does not compare the fine-tuned network with the frozen one.
    """
    result = train(
        TrainOptions(
            image_dir=work / "photos",
            architecture=architecture(options.architecture),
            weights=options.weights,
            output_graph=work / "graph.pb",
            output_labels=work / "labels.txt",
            summaries_dir=work / "summaries",
            runs_dir=None,
            bottleneck_dir=options.bottleneck_dir,
            percentages=SplitConfig(testing=0, validation=0),
            head=HeadOptions(eval_step_interval=1000, seed=seed),
            folds=0,
            unknown_rate=0,
            fine_tuning=FineTuning(blocks=blocks, epochs=options.epochs),
        )
    )
    assert not blocks or (result.fine_tuned and result.fine_tuned.written == "fine-tuned")
    exported = export(ExportOptions(graph=work / "graph.pb", quantizations=wanted))
    scored = score_models(held_out, {file.quantization: file.path for file in exported.files})
    return [scored[quantization].correct(exported.labels) for quantization in wanted]


def _line(parts: list[tuple[Right, Right, Right]]) -> str:
    frozen, tuned, int8 = (np.concatenate(of) for of in zip(*parts, strict=True))
    return (
        f"frozen {100 * frozen.mean():.1f}, fine-tuned {100 * tuned.mean():.1f} of {len(frozen)}:"
        f" {compare_paired(tuned, frozen)}; as int8 {100 * int8.mean():.1f}: {compare_paired(int8, tuned)}"
    )


if __name__ == "__main__":
    main()
