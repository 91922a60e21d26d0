"""Messages that `train` prints about the splits, each evaluation, and the finished run."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poets_edge.core.files import sha256_of
from poets_edge.core.wording import interval_text, percent
from poets_edge.device.paired import SIGNIFICANCE
from poets_edge.errors import ModelError
from poets_edge.photos.split_names import SplitName
from poets_edge.progress import Reporter
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.read_model import read_model
from poets_edge.training.cross_validation import CrossValidation
from poets_edge.training.head import Head, LabeledVectors, Step
from poets_edge.training.look_alikes import MIN_DEPENDENT, PhotoGroups
from poets_edge.training.options import TrainOptions
from poets_edge.training.record import Duplicate
from poets_edge.training.results import TrainResult

_CLEARLY_WORSE = 1.05
"""Ratio of the final to the lowest validation cross entropy above which `better_step` may report an earlier step."""
_MATTERS = 0.03
"""A warning about groups of photos is issued if the cross-validated accuracy is lower by at least this much when whole
groups are held out than when groups are divided among folds."""
_SMALL = 4
"""A class is reported as small if the largest class has at least this many times as many photos."""
_BARS = "▁▂▃▄▅▆▇█"
_CURVE_LENGTH = 40


@dataclass(frozen=True)
class EvaluatedHead:
    """Copy of a head after a training step, and the number of the step."""

    step: int
    head: Head


def step_line(step: Step) -> str:
    """Return a line of text with the step number, accuracies and cross entropies of one evaluation during training."""
    line = f"step {step.step:>5}   train {step.train_accuracy:6.1%}   cross entropy {step.train_cross_entropy:.4f}"
    if step.validation_accuracy is not None:
        line += f"   validation {step.validation_accuracy:6.1%}   cross entropy {step.validation_cross_entropy:.4f}"
    return line


def parse_step_line(line: str) -> tuple[int, float, float | None] | None:
    """Return (step, training accuracy, validation accuracy or None) from a `step_line`; None for any other text."""
    match = re.match(r"step +(\d+)   train +([\d.]+)%   cross entropy [^ ]+(?:   validation +([\d.]+)%)?", line)
    if match is None:
        return None
    return int(match[1]), float(match[2]) / 100, float(match[3]) / 100 if match[3] else None


def report_sets(
    reporter: Reporter, table: dict[str, dict[SplitName, int]], duplicates: Sequence[Duplicate], *, tested: bool
) -> None:
    """Report the number of photos by class and split, and warn about identical photos.

    If `tested` is true, warn about classes without test photos, too.
    """
    width = max(len("class"), *(len(label) for label in table))
    reporter.note(f"{'class':<{width}}  training  validation  test")
    for label, counts in table.items():
        reporter.note(f"{label:<{width}}  {counts['training']:>8}  {counts['validation']:>10}  {counts['test']:>4}")
    for label, counts in table.items():
        if tested and not counts["test"]:
            reporter.warn(f"class {label}: no test photo, so its accuracy is not known. Add photos.")
    for duplicate in duplicates:
        where = ", ".join(f"{name} ({chosen})" for name, chosen in zip(duplicate.names, duplicate.sets, strict=True))
        effect = "teaches both classes" if len(set(duplicate.labels)) > 1 else "inflates the test score"
        reporter.warn(f"the same photo more than once {effect}: {where}")


def report_run(
    options: TrainOptions,
    steps: Sequence[Step],
    advice: str | None,
    table: Mapping[str, Mapping[SplitName, int]],
    reporter: Reporter,
) -> None:
    """Report the validation accuracies as a chart, and warn about classes with few photos.

    Args:
        advice: message from `better_step`, which is reported, too; None for no message.
        table: number of photos, by class and then by split.
    """
    validated = [step.validation_accuracy for step in steps if step.validation_accuracy is not None]
    if validated:
        reporter.note(f"validation accuracy {curve(validated)} {validated[0]:.0%} to {validated[-1]:.0%}")
    if advice:
        reporter.note(advice)
    if line := small_classes(table):
        reporter.warn(line)


def better_step(
    best: EvaluatedHead, last: EvaluatedHead, validation: LabeledVectors, *, early_stop: bool
) -> str | None:
    """Return a message if the head was clearly better at an earlier step of the training than at the end, else None.

    This is the case if the validation cross entropy is more than 5 % higher at the end, and significantly higher in a
    paired test. The test requires a tenth of the usual significance level, because the earlier step was chosen among
    many for its low cross entropy on the same photos.

    Args:
        best: head at the step with the lowest validation cross entropy.
        last: head after the last step.
        early_stop: whether training returns `best` instead of `last`, for the wording of the message.
    """
    losses = [one.head.losses(validation) for one in (best, last)]
    lowest, final = (float(of_head.mean()) for of_head in losses)
    if final <= _CLEARLY_WORSE * lowest or paired_p_value(losses[1] - losses[0]) > SIGNIFICANCE / 10:
        return None
    outcome = "that head was kept" if early_stop else "the last head was kept; `early_stop` keeps that one"
    return (
        f"validation cross entropy was lowest at step {best.step} ({lowest:.4f}; at the end {final:.4f}, on"
        f" {len(validation.classes)} photos): {outcome}."
    )


def paired_p_value(differences: npt.NDArray[np.float32]) -> float:
    """Return the two-sided p-value of a paired test of the hypothesis that the mean difference is 0.

    The test is the normal approximation of the paired t-test.

    Args:
        differences: difference between two models for each photo, float32 [photos].
    """
    deviation = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if deviation == 0:
        return 1.0
    statistic = abs(float(differences.mean())) / deviation * math.sqrt(len(differences))
    return math.erfc(statistic / math.sqrt(2))


def small_classes(table: Mapping[str, Mapping[SplitName, int]]) -> str | None:
    """Return a line about classes with few photos compared with the largest class; None if no class is small."""
    counts = {label: sum(sets.values()) for label, sets in table.items()}
    largest = max(counts, key=lambda label: counts[label])
    small = [f"{label} {count}" for label, count in counts.items() if count * _SMALL <= counts[largest]]
    if not small:
        return None
    return f"few photos compared with {largest} ({counts[largest]}): {', '.join(small)}. More of them help most."


def independence_assumption(
    groups: PhotoGroups | None, warning: str | None, *, group_by: str, has_own_test: bool
) -> str | None:
    """Return a note that the accuracy assumes independent photos; None if the note is not needed.

    It is not needed if the user specified groups of photos or chose the test photos, or if a warning says that the
    photos are not independent. Photos of few people or objects cannot always be distinguished from independent photos
    (`benchmarks/results/truth.md`), so the note depends neither on the number of photos nor on their features.

    Args:
        warning: the warning that `dependence` returned.
        group_by: the groups that the user specified; empty for none.
        has_own_test: whether the user chose the test photos.
    """
    if warning or group_by or has_own_test:
        return None
    is_grouped = groups is not None and groups.count < len(groups.numbers)
    units = f"of the {groups.count} groups of photos" if groups is not None and is_grouped else "photos"
    return (
        f"the accuracy assumes that no two {units} show one person or object, which cannot be known; if some do, use"
        " `group_by` or test/"
    )


def report_groups(reporter: Reporter, groups: PhotoGroups | None, photos: int) -> None:
    """Report how many groups of photos stay together in splits and folds, unless each photo is its own group."""
    if groups is not None and groups.count < photos:
        reporter.note(
            f"{photos} photos in {groups.count} groups: copies, bursts, sequences and look-alikes stay together in sets"
            " and folds"
        )


def dependence(
    groups: PhotoGroups | None, found: CrossValidation | None, divided: float | None, *, has_own_test: bool = False
) -> str | None:
    """Return a warning that photos are not independent, which makes the accuracy on new photos uncertain.

    Return None if no photos seem to depend on each other, or if holding out groups of them hardly changes the accuracy.

    Args:
        found: cross-validation in which all photos of a group are in one fold; None if it was not possible.
        divided: accuracy in a cross-validation that ignores groups; None if it was not computed.
        has_own_test: whether the user chose the test photos.
    """
    if groups is None:
        return None
    unknown = " The test accuracy is that on new people or objects only if none of them is in both train/ and test/."
    if not has_own_test:
        unknown = (
            " The accuracy on new people or objects is not known: name the groups (`group_by`), or put photos of others"
            " into a folder test/."
        )
    if line := _look_alikes(groups, found, divided):
        return f"{line}{unknown}"
    if groups.series:
        return (
            "photos with consecutive names or times belong together, as in series of photos of one person, object or"
            f" place: a classifier recognizes {percent(groups.series.accuracy, 0)} of the photos, but only"
            f" {percent(groups.series.held_out, 0)} without those before and after them.{unknown}"
        )
    if groups.are_repetitive:
        return (
            "the most similar other photo predicts the class of a photo much better than the next ones do, as in"
            f" photos of few people or objects, but groups were not found.{unknown}"
        )
    return None


def _look_alikes(groups: PhotoGroups, found: CrossValidation | None, divided: float | None) -> str | None:
    """Return a message about photos that look alike; None if they are few, or if they hardly change the accuracy.

    The arguments are those of `dependence`.
    """
    if groups.alike < MIN_DEPENDENT:
        return None
    line = (
        f"{percent(groups.alike, 0)} of the photos look like another one, as in bursts, frames of a video, variants of"
        f" one photo, or photos of few people or objects; they are {groups.count} groups."
    )
    if found is None or divided is None:
        return line
    if not groups.are_divided and divided - found.accuracy < _MATTERS:
        return None
    return (
        f"{line} With groups held out the accuracy is {percent(found.accuracy)}, with their photos on both sides it"
        f" would be {percent(divided)}."
    )


def disagreement(result: TrainResult) -> str | None:
    """Return a warning if the test accuracy does not apply to new photos, otherwise None.

    This is the case if the 95 % intervals of test accuracy and cross-validation do not overlap, or if test photos that
    are related to training photos increase the test accuracy.
    """
    found = result.cross_validated
    (low, high), (cv_low, cv_high) = result.test.interval, found.interval if found else (math.nan, math.nan)
    if line := _related_test_photos(result, is_too_high=low > cv_high):
        return line
    if found is None or not result.test.count or (low <= cv_high and cv_low <= high):
        return None
    figures = (
        f"test accuracy ({100 * low:.1f} to {100 * high:.1f} %) and cross-validation ({100 * cv_low:.1f} to"
        f" {100 * cv_high:.1f} %) differ by more than chance"
    )
    if result.has_own_test:
        return (
            f"{figures}: your test photos show other people, objects or places than the training photos, or photos that"
            " belong together (bursts, frames of a video) are in several folds. The test accuracy counts."
        )
    return (
        f"{figures}: the test photos differ from the others, as when photos belong together in large groups. Divide the"
        " photos by hand into train/ and test/, with nobody and nothing in both, to know the accuracy on new ones."
    )


def _related_test_photos(result: TrainResult, *, is_too_high: bool) -> str | None:
    """Return a warning that test photos are related to training photos; None if this does not inflate the accuracy.

    Args:
        is_too_high: whether the test accuracy is significantly higher than that of cross-validation.
    """
    others = result.unrelated_test
    if others is None or not (is_too_high or (others.count and others.interval[1] < result.test.accuracy)):
        return None
    line = (
        f"{result.test.count - others.count} of your {result.test.count} test photos look like training photos or"
        " follow them, as copies that were saved again and photos of one burst do: the test accuracy"
        f" ({percent(result.test.accuracy)}) is too high for new photos"
    )
    if others.count:
        line += f"; on the other {others.count} it is {percent(others.accuracy)} ({interval_text(others.interval)})"
    if found := result.cross_validated:
        line += f"; cross-validated with groups held out, {percent(found.accuracy)} ({interval_text(found.interval)})"
    return f"{line}."


def report_stale_exports(graph: Path, reporter: Reporter) -> None:
    """Warn about `.tflite` files next to a graph that were exported from an earlier graph."""
    stale = stale_exports(graph, sha256_of(graph))
    if stale:
        names = ", ".join(path.name for path in stale)
        reporter.warn(f"exported from an earlier graph, and not what was trained now: {names}. Export again.")


def stale_exports(graph: Path, graph_sha256: str) -> list[Path]:
    """Return the `.tflite` files in the folder of a graph that were exported from a different graph."""
    found = []
    for path in sorted(graph.parent.glob(f"{graph.stem}*.tflite")):
        try:
            training = read_metadata(read_model(path)).facts.get("training") or {}
        except ModelError:
            continue
        if training.get("graph_sha256") not in (None, graph_sha256):
            found.append(path)
    return found


def curve(values: Sequence[float]) -> str:
    """Return a chart of values from 0 to 1: a string of at most 40 bars, each for the mean of consecutive values."""
    length = min(len(values), _CURVE_LENGTH)
    edges = [round(index * len(values) / length) for index in range(length + 1)] if length else []
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    return "".join(_BARS[min(int(mean * len(_BARS)), len(_BARS) - 1)] for mean in means)
