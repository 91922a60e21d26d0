"""Estimate by maximum likelihood how much error rates deviate from the learning curve that `audit` fits to them.

The result is the constant `_VARIATION` in `poets_edge.auditing.extrapolation`, a standard deviation relative to the
error rate.

    python -m benchmarks.curve_deviations --shared ../shared --work DIR [--draws 12] [--first 0]

Each draw selects photos at random, as for the learning curves in `benchmarks.truth`: `audit` forecasts the accuracy for
twice as many photos, and a head trained on that many is evaluated on held-out photos. Given its error rate, the number
of misclassified held-out photos has a binomial distribution. The forecast provides a distribution of error rates, which
depends on `_VARIATION`; together, they give the log likelihood of each candidate value.

The script prints a table for `results/truth.md` with a row for each candidate value: the log likelihood relative to the
highest one, the number of 90 % intervals that contain the measured accuracy, the number of draws in which forecast and
measured accuracy do not differ significantly, and the mean width of the intervals. Draws are saved in DIR.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.photo_sets import PhotoSet, one_of_each_group, read
from benchmarks.truth import CURVES, Curve, curve_rows, head_of
from poets_edge.auditing import extrapolation
from poets_edge.auditing.extrapolation import FACTORS, Measured, extrapolate, fit_removable, simulated_accuracies
from poets_edge.auditing.learning_curve import measure
from poets_edge.device.metrics import wilson_interval
from poets_edge.training.cross_validation import evaluate_folds, fit_folds
from poets_edge.training.head import HeadOptions, LabeledVectors

DEVIATIONS = (0.0, 0.06, 0.08, 0.09, 0.1, 0.12, 0.14, 0.16, 0.17, 0.18, 0.19, 0.2, 0.25)
REPEATS = 10
"""Number of simulations, of 2,000 error rates each, from which the likelihood of a draw is computed."""


@dataclass(frozen=True)
class CurveDraw:
    """Learning curve of a random selection of photos, and errors of a head trained on twice as many photos.

    Attributes:
        measured: learning curve, from which the accuracy for twice as many photos is forecast.
        photos: number of photos from which the learning curve was computed.
        wrong: number of held-out photos that the head trained on twice as many photos misclassifies.
        unseen: number of held-out photos.
    """

    measured: Measured
    photos: int
    wrong: int
    unseen: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    draws = []
    for name, sizes in CURVES.items():
        photos = one_of_each_group(read(name, arguments.shared, arguments.work))
        for size in sizes:
            for seed in range(arguments.first, arguments.first + arguments.draws):
                draws.append(curve_draw(photos, size, seed, arguments.work / f"curve_{name}_{size}_{seed}.npz"))
    likelihoods = [sum(log_likelihood(draw, deviation) for draw in draws) for deviation in DEVIATIONS]
    print("| deviation | log likelihood | covered | no difference | mean width, points |\n|--:|--:|--:|--:|--:|")
    for deviation, likelihood in zip(DEVIATIONS, likelihoods, strict=True):
        curves = [forecast(draw, deviation) for draw in draws]
        print(
            f"| {deviation:.2f} | {likelihood - max(likelihoods):.1f}"
            f" | {sum(one.is_covered for one in curves)} of {len(draws)} | {sum(one.agrees for one in curves)}"
            f" | {100 * np.mean([one.interval[1] - one.interval[0] for one in curves]):.1f} |"
        )


def curve_draw(photos: PhotoSet, size: int, seed: int, file: Path) -> CurveDraw:
    """Return the learning curve for one random selection of photos; it is measured only if `file` does not exist.

    Args:
        photos: photos to select from.
        size: number of photos to select.
        seed: random seed of the selection.
        file: `.npz` file with the measured values, which is written if it does not exist.
    """
    if not file.exists():
        known, twice, unseen = curve_rows(photos, size, seed)
        options = HeadOptions(eval_step_interval=4000)
        hashed, data = photos.hashed(known), LabeledVectors(photos.vectors[known], photos.classes[known])
        folds, assignments = fit_folds(hashed, data.vectors, photos.labels, options)
        found = evaluate_folds(hashed, data.vectors, photos.labels, folds, assignments)
        correct, rng = found.right / len(found.scores), np.random.default_rng([0, 14])  # as in `learning_curve`
        rows = np.arange(len(known))
        measured = measure(data, assignments[0].fold, len(photos.labels), correct, options, rows, rng)
        head = head_of(LabeledVectors(photos.vectors[twice], photos.classes[twice]), len(photos.labels), options)
        wrong = head.scores(photos.vectors[unseen]).argmax(axis=1) != photos.classes[unseen]
        np.savez(file, sizes=measured.sizes, correct=measured.correct, wrong=wrong)
    with np.load(file) as stored:
        wrong = stored["wrong"]
        return CurveDraw(
            Measured(stored["sizes"], stored["correct"]), len(stored["correct"]), int(wrong.sum()), len(wrong)
        )


def log_likelihood(draw: CurveDraw, deviation: float) -> float:
    """Return the log likelihood of a deviation from the learning curve, given the misclassified photos of one run.

    The binomial coefficient is left out, because it is the same for all deviations.

    Args:
        deviation: standard deviation of error rates from the learning curve, relative to the error rate; it replaces
            the constant `_VARIATION` of the forecast.
    """
    extrapolation._VARIATION = deviation
    removable, spread = fit_removable(draw.measured)
    error = 1 - float(draw.measured.correct[:, -1].mean())
    growths = np.array([2 * draw.photos / draw.measured.sizes[-1]])
    simulated = [
        simulated_accuracies(error, removable, spread, growths, float(draw.photos), np.random.default_rng(seed))[0]
        for seed in range(REPEATS)
    ]
    accuracy = np.clip(np.concatenate(simulated), 1e-4, 1 - 1e-4)
    logs = draw.wrong * np.log(1 - accuracy) + (draw.unseen - draw.wrong) * np.log(accuracy)
    return float(np.log(np.exp(logs - logs.max()).mean()) + logs.max())


def forecast(draw: CurveDraw, deviation: float) -> Curve:
    """Return the forecast and the measured accuracy for twice as many photos.

    Args:
        deviation: standard deviation of error rates from the learning curve, relative to the error rate; it replaces
            the constant `_VARIATION` of the forecast.
    """
    extrapolation._VARIATION = deviation
    rng = np.random.default_rng(0)
    forecasts = extrapolate(draw.measured, *fit_removable(draw.measured), draw.photos, float(draw.photos), rng)
    doubled, right = forecasts[FACTORS.index(2.0)], draw.unseen - draw.wrong
    truth_interval = wilson_interval(right, draw.unseen)
    return Curve(doubled.accuracy, doubled.interval, right / draw.unseen, truth_interval)


if __name__ == "__main__":
    main()
