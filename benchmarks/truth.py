"""Compare the accuracies that the program estimates with those measured on photos that it has never used.

    python -m benchmarks.truth --shared ../shared --work DIR [--draws 20] [--sets flowers defects ...] [--curve-draws 6]

Each of ten sets of photos is split at random into photos for poets_edge and held-out photos, several times; each such
split is called a draw. Photos that depend on each other form a group, which is not divided. poets_edge gets:

- flowers: 60 photos per class, from 1,000 photos
- defects: 15 photos per class, from 360 pictures of steel surfaces
- bursts: 12 bursts per class, each with six frames of a synthetic flower
- variants: 12 photos per class, from 120 flowers, each in eight variants (cropped, rotated, mirrored, recolored)
- triples: 30 photos per class, from 300 flowers, each in three variants
- originals: 30 photos per class, from 300 flowers, each with two variants
- rotated: 30 photos per class, from 300 flowers, each with a copy that is rotated by 90 degrees
- persons: the photos of 12 persons, from synthetic photos of hands with eight photos per person and class
- objects: 60 photos per class, from five synthetic flowers per class, each on 12 plain backgrounds
- series: the photos of the set "objects", where the photos of one flower have successive names

For each draw, the script trains the head that `train` would write. It records whether the 95 % interval from
cross-validation contains the accuracy of this head on the held-out photos. The interval does not cover the sampling
error of the held-out photos, which are few. Therefore, each draw also records whether 0 is inside the interval of the
difference between the cross-validated accuracy and the accuracy on the held-out photos. The other records are whether
`train` would warn that photos depend on each other, or else note that it assumes independent photos, and the cross
entropy on the held-out photos without and with temperature scaling. A draw counts as "off" if the two accuracies differ
by more than 5 percentage points.

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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.photo_sets import PhotoSet, one_of_each_group, read
from poets_edge.auditing.learning_curve import learning_curve
from poets_edge.device.metrics import independent_count, wilson_interval
from poets_edge.device.temperature import cross_entropy
from poets_edge.photos.split import SplitConfig, assign_splits
from poets_edge.training.cross_validation import cross_validate, evaluate_folds, fit_folds
from poets_edge.training.data import TrainingData
from poets_edge.training.head import Head, HeadOptions, Indices, LabeledVectors, train_head
from poets_edge.training.look_alikes import find_groups
from poets_edge.training.messages import dependence, independence_assumption
from poets_edge.training.temperature_scaling import calibrate_head, predict_held_out

SETS = {"flowers": 60, "defects": 15, "bursts": 12, "variants": 12, "triples": 30, "originals": 30, "rotated": 30,
        "persons": 12, "objects": 5, "series": 5}  # fmt: skip
"""Number of groups of photos that poets_edge receives from each photo set: per class, or in total for "persons"."""
CURVES = {"flowers": (30, 70), "defects": (15, 20), "bursts": (15, 30), "alone": (30, 100)}
"""Numbers of photos per class from which the learning curve is forecast, by photo set."""

MAX_DIFFERENCE = 0.05
TO_90 = 1.645 / 1.960
"""Ratio of the widths of a 90 % interval and a 95 % interval."""


@dataclass(frozen=True)
class Draw:
    """Result for one random selection of photos: accuracies with intervals, messages, cross entropies.

    `headline` is the accuracy estimated by cross-validation, `truth` the accuracy on held-out photos; `before` and
    `after` are the cross entropies without and with temperature scaling. `warned` and `noted` tell
    whether `train` would warn that photos depend on each other, or note that the accuracy assumes independent photos.
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
    """Return the cells of a table row that summarizes all random splits of a photo set, without the set's name."""
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


if __name__ == "__main__":
    main()
