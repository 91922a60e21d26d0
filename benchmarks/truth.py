"""Compare the program's estimates with the truth, measured on photos that it has never used.

    python -m benchmarks.truth --shared ../shared --work DIR [--draws 20] [--sets flowers defects ...] [--curve-draws 6]

Ten sets of photos are split at random, by group, into photos for poets_edge and held-out photos. poets_edge gets:

- flowers: 60 photos per class, from 1,000 photos
- defects: 15 photos per class, from 360 pictures of steel surfaces
- bursts: 12 bursts per class, each with six frames of a synthetic flower
- variants: 12 photos per class, from 120 flowers, each in eight variants (cropped, rotated, mirrored, recolored)
- triples: 30 photos per class, from 300 flowers, each in three variants
- originals: 30 photos per class, from 300 flowers, each with two variants
- rotated: 30 photos per class, from 300 flowers, each with a copy that is rotated by 90 degrees
- persons: the photos of 12 persons, from synthetic photos of hands with eight photos per person and class
- objects: 60 photos per class, from five synthetic flowers per class, each on 12 plain backgrounds
- series: the photos of the set objects; the names of the photos of one flower follow each other

Each draw trains the head that `train` would write. It records whether the 95 % interval from cross-validation contains
the accuracy of this head on the held-out photos. The interval does not cover the sampling error of the held-out photos,
which are few. Therefore, each draw also records whether 0 is inside the interval of the difference between the
cross-validated accuracy and the accuracy on the held-out photos. Each draw further records whether `train` would warn
that photos depend on each other, or else note that it assumes independent photos, and the cross entropy on the held-out
photos without and with temperature scaling. A draw counts as "off" if the two accuracies differ by more than 5
percentage points.

For the learning curve, the sets have no groups (one frame of each burst, one photo of each person). Each draw records
whether the 90 % interval of the forecast for twice as many photos covers the accuracy of a head trained on twice as
many, and whether it does if the sampling error of the 120 to 1,020 held-out photos is taken into account.

Except in series, names do not reveal groups. The vectors are computed by mobilenet_0.25_128 and saved in DIR. This
script prints one line per draw, and at the end the tables for `results/truth.md`.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from poets_edge.auditing.learning_curve import learning_curve
from poets_edge.demo.draw import draw_photo
from poets_edge.demo.flowers import HEADS
from poets_edge.device.metrics import independent_count, wilson_interval
from poets_edge.device.temperature import cross_entropy
from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import find_weights
from poets_edge.photos.folder import Photo
from poets_edge.photos.image import fit, read_photo
from poets_edge.photos.split import SplitConfig, assign_splits
from poets_edge.photos.table import HashedPhoto, HashedPhotos
from poets_edge.training.backbone import prepare_backbone
from poets_edge.training.bottlenecks import Extractor
from poets_edge.training.cross_validation import cross_validate, evaluate_folds, fit_folds
from poets_edge.training.data import TrainingData
from poets_edge.training.head import Head, HeadOptions, Indices, LabeledVectors, Matrix, train_head
from poets_edge.training.look_alikes import find_groups
from poets_edge.training.messages import dependence, independence_assumption
from poets_edge.training.temperature_scaling import calibrate_head, predict_held_out
from tests.hands import draw_hands

ARCHITECTURE = architecture("mobilenet_0.25_128")
SCENES, FRAMES = 100, 6
VARIED = {"variants": 24, "triples": 60, "originals": 60, "rotated": 60}
"""Number of photos per class that have variants (cropped, rotated or recolored pictures), by photo set."""
PERSONS, OF_PERSON, ALONE = 60, 8, 400
OBJECTS, OF_OBJECT = 24, 12
SETS = {"flowers": 60, "defects": 15, "bursts": 12, "variants": 12, "triples": 30, "originals": 30, "rotated": 30,
        "persons": 12, "objects": 5, "series": 5}  # fmt: skip
"""Number of groups of photos that poets_edge receives from each photo set: per class, or in total for "persons"."""
CURVES = {"flowers": (30, 70), "defects": (15, 20), "bursts": (15, 30), "alone": (30, 100)}
"""Numbers of photos per class from which the learning curve is forecast, by photo set."""

MAX_DIFFERENCE = 0.05
TO_90 = 1.645 / 1.960
"""Ratio of the widths of a 90 % interval and a 95 % interval."""

Labeled = Iterator[tuple[Image.Image, str, str]]
"""Iterator over photos, each as (picture, class name, group name)."""


@dataclass(frozen=True)
class PhotoSet:
    """Photos with their vectors, class numbers and true groups."""

    vectors: Matrix
    classes: Indices
    groups: Indices

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f"class{number}" for number in range(int(self.classes.max()) + 1))

    def hashed(self, rows: Indices, *, in_order: bool = False) -> HashedPhotos:
        """Return the photos with the given row numbers, under names that do not reveal their groups.

        Args:
            in_order: whether the names of photos in one group follow each other.
        """
        labels = [self.labels[number] for number in self.classes[rows]]
        numbers = 10 * rows if in_order else 7919 * (rows + 1) % 1_000_003
        names = [f"{label}/{number:06}.jpg" for label, number in zip(labels, numbers, strict=True)]
        return HashedPhotos.of(
            [
                HashedPhoto(Photo(Path(name), name, label), int(row).to_bytes(32, "big"))
                for name, label, row in zip(names, labels, rows, strict=True)
            ]
        )


@dataclass(frozen=True)
class Draw:
    """Result for one random selection of photos: accuracies with intervals, messages, cross entropies.

    `warned` and `noted` tell whether `train` would warn that photos depend on each other, or note that the accuracy
    assumes independent photos.
    """

    headline: float
    interval: tuple[float, float]
    truth: float
    truth_interval: tuple[float, float]
    warned: bool
    noted: bool
    before: float
    after: float

    @property
    def is_covered(self) -> bool:
        return self.interval[0] <= self.truth <= self.interval[1]

    @property
    def is_off(self) -> bool:
        """Whether estimated and true accuracy differ by more than 5 percentage points."""
        return abs(self.headline - self.truth) > MAX_DIFFERENCE

    @property
    def agrees(self) -> bool:
        """Whether the 95 % interval of the difference between estimated and true accuracy contains 0.

        Method 10 of Newcombe, "Interval estimation for the difference between independent proportions", 1998.
        """
        (low, high), (true_low, true_high) = self.interval, self.truth_interval
        difference = self.headline - self.truth
        below = math.hypot(self.headline - low, true_high - self.truth)
        above = math.hypot(high - self.headline, self.truth - true_low)
        return difference - below <= 0 <= difference + above


@dataclass(frozen=True)
class Curve:
    """Accuracy forecast for twice as many training photos, and accuracy measured with that many.

    `interval` is the 90 % interval of the forecast, `truth_interval` the 95 % interval of the measured accuracy.
    """

    forecast: float
    interval: tuple[float, float]
    truth: float
    truth_interval: tuple[float, float]

    @property
    def is_covered(self) -> bool:
        return self.interval[0] <= self.truth <= self.interval[1]

    @property
    def agrees(self) -> bool:
        """Whether the 90 % interval of the difference between forecast and measured accuracy contains 0."""
        below, above = (TO_90 * abs(self.truth - bound) for bound in self.truth_interval)
        low = self.forecast - math.hypot(self.forecast - self.interval[0], above)
        high = self.forecast + math.hypot(self.interval[1] - self.forecast, below)
        return low <= self.truth <= high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--curve-draws", type=int, default=6)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    columns = ["set", "in the interval", "no difference", "mean headline", "mean truth", "warned", "noted", "off",
               "off, warned", "off, noted", "off, silent", "cross entropy"]  # fmt: skip
    lines = [row(columns), row(["---", *["--:"] * (len(columns) - 1)])]
    for name in arguments.sets:
        photos = read(name, arguments.shared, arguments.work)
        draws = [one_draw(photos, name, SETS[name], seed, arguments.work) for seed in range(arguments.draws)]
        lines.append(row([name, *summary(draws)]))
    lines += ["", "| set | photos a class | covered | no difference | off by, mean | interval, mean width |",
              "|---|--:|--:|--:|--:|--:|"]  # fmt: skip
    total: list[Curve] = []
    for name, sizes in CURVES.items() if arguments.curve_draws else ():
        photos = one_of_each_group(read(name, arguments.shared, arguments.work))
        for size in sizes:
            found = [one_curve(photos, name, size, seed) for seed in range(arguments.curve_draws)]
            total += found
            lines.append(
                f"| {name} | {size} | {sum(one.is_covered for one in found)} of {len(found)}"
                f" | {sum(one.agrees for one in found)}"
                f" | {100 * np.mean([one.forecast - one.truth for one in found]):+.1f}"
                f" | {100 * np.mean([one.interval[1] - one.interval[0] for one in found]):.1f} |"
            )
    print("\n".join(lines))
    covered, agreeing = sum(one.is_covered for one in total), sum(one.agrees for one in total)
    print(f"\nlearning curves: {covered} of {len(total)} covered, {agreeing} without a difference")


def row(cells: Iterable[object]) -> str:
    """Return a row of a table in Markdown."""
    return f"| {' | '.join(map(str, cells))} |"


def summary(draws: Sequence[Draw]) -> list[str | int]:
    """Return the cells of a table row that summarizes all draws of a photo set, without the cell for the set's name."""
    off = [one for one in draws if one.is_off]
    return [
        f"{sum(one.is_covered for one in draws)} of {len(draws)}",
        sum(one.agrees for one in draws),
        f"{100 * np.mean([one.headline for one in draws]):.1f} %",
        f"{100 * np.mean([one.truth for one in draws]):.1f} %",
        sum(one.warned for one in draws),
        sum(one.noted for one in draws),
        len(off),
        sum(one.warned for one in off),
        sum(one.noted for one in off),
        sum(not (one.warned or one.noted) for one in off),
        f"{max(one.after - one.before for one in draws):+.3f}",
    ]


def one_draw(photos: PhotoSet, name: str, groups: int, seed: int, work: Path) -> Draw:
    """Train a head on the photos in randomly selected groups as `train` does, and evaluate it on all other photos."""
    rng = np.random.default_rng([seed, 1])
    known = np.flatnonzero(np.isin(photos.groups, chosen_groups(photos, groups, rng)))
    unseen = np.setdiff1d(np.arange(len(photos.classes)), known)
    hashed = photos.hashed(known, in_order=name == "series")
    vectors, options = photos.vectors[known], HeadOptions(eval_step_interval=4000)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        found = find_groups(hashed, vectors, Path(folder))
    splits = assign_splits(hashed.photos, SplitConfig(), found.numbers)
    data = TrainingData(hashed, vectors, splits, photos.labels, found)
    validation = cross_validate(hashed, vectors, photos.labels, options, groups=found.numbers)
    divided = cross_validate(hashed, vectors, photos.labels, options).accuracy if found.are_dependent else None
    head = head_of(data.plain("training"), len(photos.labels), options)
    calibrated, _ = calibrate_head(head, data, predict_held_out(data, options))
    truth = photos.classes[unseen]
    scores, after = head.scores(photos.vectors[unseen]), calibrated.scores(photos.vectors[unseen])
    correct = scores.argmax(axis=1) == truth
    count = independent_count(correct, photos.groups[unseen])
    warning = dependence(found, validation, divided)
    assumption = independence_assumption(found, warning, group_by="", has_own_test=False)
    draw = Draw(
        validation.accuracy, validation.interval, float(correct.mean()), wilson_interval(correct.mean() * count, count),
        warning is not None, assumption is not None, cross_entropy(scores, truth), cross_entropy(after, truth),
    )  # fmt: skip
    print(name, seed, draw, "covered" if draw.agrees else "MISSED", flush=True)
    return draw


def curve_rows(photos: PhotoSet, size: int, seed: int) -> tuple[Indices, Indices, Indices]:
    """Return random row numbers: `size` photos per class, twice as many photos including these, and all others."""
    rng = np.random.default_rng([seed, size])
    order = [rng.permutation(np.flatnonzero(photos.classes == number)) for number in range(len(photos.labels))]
    known, twice = (np.sort(np.concatenate([of[: size * factor] for of in order])) for factor in (1, 2))
    return known, twice, np.concatenate([of[2 * size :] for of in order])


def one_curve(photos: PhotoSet, name: str, size: int, seed: int) -> Curve:
    """Forecast the accuracy of a head trained on twice as many photos, then train it and measure its accuracy."""
    known, twice, unseen = curve_rows(photos, size, seed)
    options = HeadOptions(eval_step_interval=4000)
    hashed, data = photos.hashed(known), LabeledVectors(photos.vectors[known], photos.classes[known])
    folds, assignments = fit_folds(hashed, data.vectors, photos.labels, options)
    found = evaluate_folds(hashed, data.vectors, photos.labels, folds, assignments)
    correct = found.right / len(found.scores)
    doubled = learning_curve(data, assignments[0].fold, photos.labels, correct, options).doubled
    head = head_of(LabeledVectors(photos.vectors[twice], photos.classes[twice]), len(photos.labels), options)
    truth = float((head.scores(photos.vectors[unseen]).argmax(axis=1) == photos.classes[unseen]).mean())
    curve = Curve(doubled.accuracy, doubled.interval, truth, wilson_interval(truth * len(unseen), len(unseen)))
    print(name, size, seed, curve, "covered" if curve.is_covered else "MISSED", flush=True)
    return curve


def head_of(training: LabeledVectors, class_count: int, options: HeadOptions) -> Head:
    nobody = LabeledVectors(training.vectors[:0], training.classes[:0])
    return train_head(training, nobody, class_count, options, lambda step, head: None)


def chosen_groups(photos: PhotoSet, count: int, rng: np.random.Generator) -> Indices:
    """Return random group numbers: `count` per class, or `count` in total if groups span several classes."""
    if len(np.unique(photos.classes[photos.groups == photos.groups[0]])) > 1:
        return rng.permutation(np.unique(photos.groups))[:count]
    of_class = [np.unique(photos.groups[photos.classes == number]) for number in range(len(photos.labels))]
    return np.concatenate([rng.permutation(groups)[:count] for groups in of_class])


def one_of_each_group(photos: PhotoSet) -> PhotoSet:
    rows = np.unique(photos.groups, return_index=True)[1]
    return PhotoSet(photos.vectors[rows], photos.classes[rows], photos.groups[rows])


def read(name: str, shared: Path, work: Path) -> PhotoSet:
    """Return a photo set; compute its vectors unless an earlier run has saved them in `work`."""
    file = work / f"{name}.npz"
    if not file.exists():
        weights = find_weights(ARCHITECTURE, work / "models")
        extractor = Extractor(prepare_backbone(ARCHITECTURE, weights, work / "bottlenecks").model)
        vectors, labels, groups = [], [], []
        for picture, label, group in pictures(name, shared, work):
            vectors.append(extractor(fit(picture, ARCHITECTURE.size)).copy())
            labels.append(label)
            groups.append(group)
        classes, numbers = (np.unique(of, return_inverse=True)[1].reshape(-1) for of in (labels, groups))
        np.savez(file, vectors=np.stack(vectors), classes=classes, groups=numbers)
    with np.load(file) as stored:
        return PhotoSet(stored["vectors"], stored["classes"].astype(np.int64), stored["groups"].astype(np.int64))


def pictures(name: str, shared: Path, work: Path) -> Labeled:
    """Yield the picture, the class name and the group name of each photo in a set."""
    if name in ("flowers", "defects"):
        folder = shared / "data" / {"flowers": "flower_photos", "defects": "surface_defects"}[name]
        for path in sorted(folder.glob("*/*")):
            if path.suffix.lower() in (".jpg", ".bmp", ".png"):
                yield read_photo(path.read_bytes()), path.parent.name, str(path)
    elif name == "bursts":
        rng = np.random.default_rng(0)
        for label in HEADS:
            for number in range(SCENES):
                scene = read_photo(draw_photo(label, number, seed=3))
                for _ in range(FRAMES):
                    yield frame(scene, rng), label, f"{label}/{number}"
    elif name in VARIED:
        rng = np.random.default_rng(5)
        for folder in sorted((shared / "data/flower_photos").glob("*/")):
            for path in sorted(folder.glob("*.jpg"))[: VARIED[name]]:
                for picture in variants(name, read_photo(path.read_bytes()), rng):
                    yield picture, folder.name, path.name
    elif name in ("objects", "series"):
        rng = np.random.default_rng(6)
        for label, draw in HEADS.items():
            for number in range(OBJECTS):
                flower = draw(Random(f"{label}/{number}"), 160)
                for _ in range(OF_OBJECT):
                    yield on_plain_background(flower, rng), label, f"{label}/{number}"
    else:
        persons, of_person = (PERSONS, OF_PERSON) if name == "persons" else (ALONE, 1)
        with tempfile.TemporaryDirectory(dir=work) as temporary:
            draw_hands(Path(temporary) / "hands", persons=persons, per_class=of_person, named=True, seed=len(name))
            for path in sorted((Path(temporary) / "hands").glob("*/*.jpg")):
                group = path.stem.removeprefix(path.parent.name).split("-")[0]
                yield read_photo(path.read_bytes()), path.parent.name, group if of_person > 1 else path.stem


def frame(scene: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a frame of a burst: the scene with a small random motion and change of exposure."""
    width, height = scene.size
    part = rng.uniform(0.8, 0.95)
    left, top = rng.uniform(0, width * (1 - part)), rng.uniform(0, height * (1 - part))
    box = (round(left), round(top), round(left + width * part), round(top + height * part))
    return ImageEnhance.Brightness(scene.crop(box).rotate(rng.normal(0, 3))).enhance(rng.uniform(0.9, 1.1))


def on_plain_background(thing: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a photo of an object with random size, rotation, position and brightness, on a noisy plain background."""
    side, size = 160, round(160 * rng.uniform(0.2, 0.35))
    noise = rng.normal(0, 20, (side, side, 3))
    photo = Image.fromarray(np.clip(rng.integers(60, 235, 3) + noise, 0, 255).astype(np.uint8))
    turned = thing.resize((size, size)).rotate(rng.uniform(0, 360))
    left, top = rng.integers(0, side - size, 2).tolist()
    photo.paste(turned, (left, top), turned)
    return ImageEnhance.Brightness(photo).enhance(rng.uniform(0.7, 1.3))


def variants(name: str, photo: Image.Image, rng: np.random.Generator) -> list[Image.Image]:
    """Return the variants of a photo, sometimes with the photo itself, in the photo set `name` (a key of VARIED)."""
    if name == "rotated":
        return [photo, photo.rotate(90, expand=True)]
    if name == "originals":
        return [photo, variant(photo, rng), variant(photo, rng)]
    return [variant(photo, rng) for _ in range(8 if name == "variants" else 3)]


def variant(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a randomly cropped, mirrored, rotated and recolored version of a photo, as in data augmentation."""
    width, height = photo.size
    part = rng.uniform(0.45, 0.8)
    left, top = rng.uniform(0, width * (1 - part)), rng.uniform(0, height * (1 - part))
    found = photo.crop((round(left), round(top), round(left + width * part), round(top + height * part)))
    found = ImageOps.mirror(found) if rng.random() < 0.5 else found
    found = ImageEnhance.Brightness(found.rotate(rng.normal(0, 12))).enhance(rng.uniform(0.6, 1.4))
    return ImageEnhance.Color(found).enhance(rng.uniform(0.5, 1.5))


if __name__ == "__main__":
    main()
