"""The gain of `train --fine-tune`, and its speed: python -m benchmarks.fine_tuning FOLDER [--accuracy | --speed].

- accuracy: the photos in five parts, each judged by a network that learned from the other four; with the last blocks
  frozen and fine-tuned, on the same photos, so the two are compared photo by photo.
- speed: `poets-edge train --fine-tune N` as a process, everything cold, against what a user of Keras writes: the same
  layers unfrozen, norms left as they are, the photos decoded once and kept in memory, random crops and mirroring as
  layers in front, `fit` for as many epochs. In the same run, one after the other; peak memory of both.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.side_by_side import peak_memory
from poets_edge.architectures import architecture
from poets_edge.edge.paired import Paired, compare_paired
from poets_edge.files import scratch_folder
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.split import Percentages
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.head import HeadOptions
from poets_edge.training.options import TrainOptions
from poets_edge.training.train import TrainResult, train

FOLDS = 5

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
    parser.add_argument("--epochs", type=int, default=FineTuning.epochs)
    parser.add_argument("--bottleneck_dir", type=Path, default=TrainOptions.bottleneck_dir)
    parser.add_argument("--folds", type=int, default=FOLDS, help="judge only so many of the five parts")
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    if options.accuracy or not options.speed:
        accuracy(options)
    if options.speed or not options.accuracy:
        speed(options)


def accuracy(options: argparse.Namespace) -> None:
    """Print both accuracies fold by fold, then over all of them."""
    photos = sorted(scan(options.folder).photos, key=lambda photo: photo.name)
    order = np.random.default_rng(0).permutation(len(photos))
    rights: list[tuple[np.ndarray, np.ndarray]] = []
    for fold in range(options.folds):
        judged = {photos[row].name for row in order[fold::FOLDS]}
        with scratch_folder() as work:
            _divide(photos, judged, work / "photos")
            frozen, tuned = (_train(options, work, blocks) for blocks in (0, options.blocks))
        right = tuple(
            np.array([name not in {wrong for wrong, _, _ in result.misclassified} for name in sorted(_tested(result))])
            for result in (frozen, tuned)
        )
        rights.append((right[0], right[1]))
        print(f"part {fold + 1}: {_line(rights[-1:])}", flush=True)
    print(f"all: {_line(rights)}")


def speed(options: argparse.Namespace) -> None:
    """Print seconds and peak memory of both."""
    entry = architecture(options.architecture)
    first = f"conv_pw_{14 - options.blocks}"
    folder, epochs = options.folder.resolve(), str(options.epochs)
    contenders = {
        "Keras recipe": ["-c", KERAS_RECIPE, folder, str(entry.resolution), str(entry.alpha), first, epochs],
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
    """Links to the photos, divided into `train` and `test` as `train` takes them."""
    for photo in photos:
        link = folder / ("test" if photo.name in judged else "train") / photo.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(photo.path.resolve())


def _train(options: argparse.Namespace, work: Path, blocks: int) -> TrainResult:
    return train(
        TrainOptions(
            image_dir=work / "photos",
            architecture=architecture(options.architecture),
            weights=options.weights,
            output_graph=work / "graph.pb",
            output_labels=work / "labels.txt",
            summaries_dir=work / "summaries",
            bottleneck_dir=options.bottleneck_dir,
            percentages=Percentages(testing=20, validation=0),
            head=HeadOptions(eval_step_interval=1000),
            folds=0,
            fine_tuning=FineTuning(blocks=blocks, epochs=options.epochs),
        )
    )


def _tested(result: TrainResult) -> list[str]:
    return [name for name in result.digests if name.startswith("test/")]


def _line(rights: list[tuple[np.ndarray, np.ndarray]]) -> str:
    frozen, tuned = (np.concatenate([pair[place] for pair in rights]) for place in (0, 1))
    paired: Paired = compare_paired(tuned, frozen)
    return f"frozen {100 * frozen.mean():.1f}, fine-tuned {100 * tuned.mean():.1f} of {len(frozen)}: {paired}"


if __name__ == "__main__":
    main()
