"""The gain of `train --fine-tune`, and its speed: python -m benchmarks.fine_tuning FOLDER [--accuracy | --speed].

- accuracy: 5-fold cross-validation with the final blocks frozen and fine-tuned, compared photo by photo; and the int8
  file of the fine-tuned network in comparison with float32.
- speed: `poets-edge train --fine-tune N` as a process with empty caches, in comparison with a Keras program: equal
  layers unfrozen, norms frozen, decoded photos in memory, random crops and mirroring as layers, `fit` with equal
  epochs. Both run in turn; peak memory of both.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.side_by_side import peak_memory
from poets_edge.core.files import scratch_folder
from poets_edge.device.paired import compare_paired
from poets_edge.exporting.export import ExportOptions, export
from poets_edge.nets.architectures import architecture
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.split import SplitConfig
from poets_edge.quantize.convert import Quantization
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.head import HeadOptions
from poets_edge.training.options import TrainOptions
from poets_edge.training.train import train

FOLDS = 5

Right: TypeAlias = "npt.NDArray[np.bool_]"
"""Whether each test photo in a fold is classified correctly, bool [photos]."""

KERAS_RECIPE = """
import sys
import keras
folder, size, alpha, first, epochs = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4], int(sys.argv[5])
data = keras.utils.image_dataset_from_directory(
    folder, image_size=(size, size), batch_size=32, label_mode="categorical", seed=0, verbose=False
)
classes = len(data.class_names)
steps = int(data.cardinality())
data = data.cache().prefetch(2)
backbone = keras.applications.MobileNet((size, size, 3), alpha=alpha, include_top=False, pooling="avg")
trainable = False
for layer in backbone.layers:
    trainable = trainable or layer.name == first
    layer.trainable = trainable and not isinstance(layer, keras.layers.BatchNormalization)
model = keras.Sequential([
    keras.layers.RandomFlip("horizontal"),
    keras.layers.RandomZoom((-0.4, 0.0), (-0.4, 0.0)),
    keras.layers.Rescaling(1 / 127.5, -1),
    backbone,
    keras.layers.Dense(classes, activation="softmax"),
])
model.compile(
    keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(5e-4, epochs * steps)),
    keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
    metrics=["accuracy"],
)
model.fit(data, epochs=epochs, verbose=0)
"""


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
    options = parser.parse_args()
    if options.accuracy or not options.speed:
        accuracy(options)
    if options.speed or not options.accuracy:
        speed(options)


def accuracy(options: argparse.Namespace) -> None:
    """Print the accuracies in each fold and over all folds, for each seed."""
    photos = sorted(scan(options.folder).photos, key=lambda photo: photo.name)
    order = np.random.default_rng(0).permutation(len(photos))
    parts: list[tuple[Right, Right, Right]] = []
    for seed in options.seeds:
        for fold in range(options.folds):
            judged = {photos[row].name for row in order[fold::FOLDS]}
            with scratch_folder() as work:
                _divide(photos, judged, work / "photos")
                (frozen,) = _right(options, work, seed, 0, "float32")
                tuned, int8 = _right(options, work, seed, options.blocks, "float32", "int8")
            parts.append((frozen, tuned, int8))
            print(f"seed {seed}, part {fold + 1}: {_line(parts[-1:])}", flush=True)
        print(f"seed {seed}, all: {_line(parts[-options.folds :])}", flush=True)
    print(f"all: {_line(parts)}")


def speed(options: argparse.Namespace) -> None:
    """Print the time in seconds and the peak memory in MiB of poets-edge and of the Keras program."""
    entry = architecture(options.architecture)
    first = f"conv_pw_{14 - options.blocks}"
    folder, epochs = options.folder.resolve(), str(FineTuning(epochs=options.epochs).resolved(entry).epochs)
    contenders = {
        "Keras recipe": ["-c", KERAS_RECIPE, folder, str(entry.resolution), entry.name.split("_")[1], first, epochs],
        "poets-edge": [
            "-m", "poets_edge", "train", folder, "--architecture", entry.name, "--fine-tune", str(options.blocks),
            "--fine-tune-epochs", epochs, "--folds", "0", "-q",
        ],
    }  # fmt: skip
    for name, arguments in contenders.items():
        with scratch_folder() as work:
            start = time.perf_counter()
            memory = peak_memory(arguments, cwd=work)
            print(f"{name}: {time.perf_counter() - start:.0f} s, {memory:.0f} MiB", flush=True)


def _divide(photos: list[Photo], judged: set[str], folder: Path) -> None:
    """Create symbolic links to the photos in the split folders `train` and `test`."""
    for photo in photos:
        link = folder / ("test" if photo.name in judged else "train") / photo.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(photo.file.resolve())


def _right(
    options: argparse.Namespace, work: Path, seed: int, blocks: int, *quantizations: Quantization
) -> list[Right]:
    """Train with fine-tuning, export, and return the correct test photos for each exported file."""
    train(
        TrainOptions(
            image_dir=work / "photos",
            architecture=architecture(options.architecture),
            weights=options.weights,
            output_graph=work / "graph.pb",
            output_labels=work / "labels.txt",
            summaries_dir=work / "summaries",
            bottleneck_dir=options.bottleneck_dir,
            percentages=SplitConfig(testing=20, validation=0),
            head=HeadOptions(eval_step_interval=1000, seed=seed),
            folds=0,
            fine_tuning=FineTuning(blocks=blocks, epochs=options.epochs),
        )
    )
    exported = export(ExportOptions(graph=work / "graph.pb", quantizations=quantizations))
    return [file.scored.correct(exported.labels) for file in exported.files if file.scored]


def _line(parts: list[tuple[Right, Right, Right]]) -> str:
    frozen, tuned, int8 = (np.concatenate(of) for of in zip(*parts, strict=True))
    return (
        f"frozen {100 * frozen.mean():.1f}, fine-tuned {100 * tuned.mean():.1f} of {len(frozen)}:"
        f" {compare_paired(tuned, frozen)}; as int8 {100 * int8.mean():.1f}: {compare_paired(int8, tuned)}"
    )


if __name__ == "__main__":
    main()
