"""Tests of warnings about photos that are not independent, and about accuracies that disagree."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import DatasetError
from poets_edge.training.cross_validated_run import RunCrossValidation, finish_cross_validation
from poets_edge.training.look_alikes import PhotoGroups
from poets_edge.training.messages import dependence, disagreement, independence_assumption, report_groups
from poets_edge.training.series import SeriesLoss
from tests.recorder import Recorder

ALIKE = PhotoGroups(np.array([0, 0, 2, 2, 4]), alike=0.8)


def cross_validated(accuracy: float) -> Any:
    return SimpleNamespace(accuracy=accuracy)


@pytest.mark.parametrize("groups", [None, PhotoGroups(np.arange(5), alike=0.2)])
def test_dependence_warning_is_none_if_few_photos_look_alike(groups: PhotoGroups | None) -> None:
    assert dependence(groups, cross_validated(0.5), 0.9) is None


def test_dependence_warning_is_none_if_holding_out_groups_hardly_changes_accuracy() -> None:
    assert dependence(ALIKE, cross_validated(0.90), 0.92) is None
    assert dependence(ALIKE, cross_validated(0.90), 0.94) is not None


def test_dependence_warning_states_accuracies_with_and_without_groups() -> None:
    line = dependence(ALIKE, cross_validated(0.75), 0.95)
    assert line is not None and line.startswith("80 % of the photos look like another one") and "3 groups" in line
    assert "With groups held out the accuracy is 75.0 %, with their photos on both sides it would be 95.0 %." in line
    assert "`group_by`" in line


def test_warning_about_related_photos_names_train_and_test_folders_of_the_user() -> None:
    line = dependence(ALIKE, cross_validated(0.75), 0.95, has_own_test=True)
    assert line is not None and line.endswith("only if none of them is in both train/ and test/.")
    assert "`group_by`" not in line


def test_dependence_warning_about_repetitive_photos_states_that_groups_were_not_found() -> None:
    line = dependence(PhotoGroups(np.arange(5), are_repetitive=True), cross_validated(0.9), 0.9)
    assert line is not None and "groups were not found. The accuracy on new people or objects is not known" in line


def test_dependence_warning_about_series_states_the_accuracies() -> None:
    series = PhotoGroups(np.arange(5), series=SeriesLoss(0.84, 0.51))
    line = dependence(series, cross_validated(0.9), 0.9)
    assert line is not None and line.startswith("photos with consecutive names or times belong together")
    assert "recognizes 84 % of the photos, but only 51 % without those before and after them. The accuracy on" in line
    both = replace(ALIKE, series=series.series)
    assert dependence(both, cross_validated(0.90), 0.92) == line, "look-alikes hardly change the accuracy"
    assert "look like another one" in str(dependence(both, cross_validated(0.75), 0.95))


def test_groups_of_one_photo_are_trivial_only_if_photos_seem_independent() -> None:
    alone = PhotoGroups(np.arange(5))
    assert alone.are_trivial and not ALIKE.are_trivial
    assert not replace(alone, are_repetitive=True).are_trivial and not replace(alone, alike=0.3).are_trivial


@pytest.mark.parametrize("reason", ["no folds", "distortions", "fine-tuning", "no two groups"])
def test_run_without_cross_validation_warns_of_dependent_photos(reason: str) -> None:
    reporter, running = Recorder(), Future[RunCrossValidation]()
    running.set_exception(DatasetError("no two groups"))
    options = SimpleNamespace(
        folds=0 if reason == "no folds" else 5, distortions=SimpleNamespace(active=reason == "distortions")
    )
    repetitive = PhotoGroups(np.arange(5), are_repetitive=True)
    finished = finish_cross_validation(
        running,
        options,  # type: ignore[arg-type]
        SimpleNamespace(groups=repetitive, has_own_test=False),  # type: ignore[arg-type]
        reporter,
        backbone_has_learned=reason == "fine-tuning",
        test_count=9,
    )
    assert finished.result is None and finished.dependence == reporter.warnings[-1]
    assert "The accuracy on new people or objects is not known" in reporter.warnings[-1]


def test_dependence_warning_without_cross_validation_says_accuracy_is_unknown() -> None:
    divided = PhotoGroups(ALIKE.numbers, alike=0.8, are_divided=True)
    for line in (dependence(ALIKE, None, None), dependence(divided, cross_validated(0.9), 0.9)):
        assert line is not None and "The accuracy on new people or objects is not known" in line
    assert "held out" not in str(dependence(ALIKE, None, None))
    assert "held out" in str(dependence(divided, cross_validated(0.9), 0.9))


def result(test: tuple[float, float], crossed: tuple[float, float] | None, *, count: int = 9, own: bool = False) -> Any:
    return SimpleNamespace(
        test=SimpleNamespace(count=count, interval=test),
        cross_validated=None if crossed is None else SimpleNamespace(interval=crossed),
        has_own_test=own,
        unrelated_test=None,
    )


@pytest.mark.parametrize(
    ("test", "crossed", "count"),
    [
        ((0.5, 0.6), None, 9),
        ((0.1, 0.2), (0.8, 0.9), 0),
        ((0.5, 0.8), (0.8, 0.9), 9),
        ((0.9, 0.95), (0.8, 0.9), 9),
    ],
)
def test_disagreement_warning_is_none_if_intervals_overlap_or_are_missing(
    test: tuple[float, float], crossed: tuple[float, float] | None, count: int
) -> None:
    assert disagreement(result(test, crossed, count=count)) is None


@pytest.mark.parametrize(("test", "own"), [((0.5, 0.79), False), ((0.91, 0.99), True)])
def test_disagreement_warning_explains_intervals_that_do_not_overlap(test: tuple[float, float], own: bool) -> None:
    line = disagreement(result(test, (0.8, 0.9), own=own))
    figures = f"test accuracy ({100 * test[0]:.1f} to {100 * test[1]:.1f} %) and cross-validation (80.0 to 90.0 %)"
    assert line is not None and line.startswith(figures)
    assert ("The test accuracy counts." in line) is own


def figures(accuracy: float, interval: tuple[float, float], count: int) -> Any:
    return SimpleNamespace(accuracy=accuracy, interval=interval, count=count)


@pytest.mark.parametrize(
    ("others", "crossed", "warns"),
    [
        (figures(0.5, (0.4, 0.6), 20), None, True),
        (figures(0.9, (0.85, 0.95), 20), None, False),
        (figures(0.9, (0.85, 0.95), 20), figures(0.6, (0.5, 0.7), 80), True),
        (figures(0.0, (0.0, 0.0), 0), None, False),
        (figures(0.0, (0.0, 0.0), 0), figures(0.6, (0.5, 0.7), 80), True),
        (figures(0.9, (0.85, 0.95), 20), figures(0.8, (0.7, 0.91), 80), False),
    ],
)
def test_disagreement_warning_states_how_many_test_photos_look_like_training_photos(
    others: Any, crossed: Any, warns: bool
) -> None:
    """The test accuracy on 50 photos is 92 %, with an interval of 90 to 94 %."""
    found = SimpleNamespace(
        test=figures(0.92, (0.90, 0.94), 50), cross_validated=crossed, has_own_test=True, unrelated_test=others
    )
    line = disagreement(found)  # type: ignore[arg-type]
    assert (line is not None) is warns
    if line is not None:
        assert line.startswith(f"{50 - others.count} of your 50 test photos look like training photos")
        assert "(92.0 %) is too high for new photos" in line
        assert (f"on the other {others.count} it is" in line) is bool(others.count)
        assert ("cross-validated with groups held out, 60.0 %" in line) is (crossed is not None)


@pytest.mark.parametrize(
    ("groups", "units"),
    [
        (None, "two photos show"),
        (PhotoGroups(np.arange(5)), "two photos show"),
        (ALIKE, "two of the 3 groups of photos show"),
    ],
)
def test_note_on_independence_mentions_groups_only_if_photos_look_alike(groups: PhotoGroups | None, units: str) -> None:
    line = independence_assumption(groups, None, group_by="", has_own_test=False)
    assert line is not None and f"assumes that no {units} one person or object" in line
    assert "cannot be known" in line and "`group_by`" in line and "\n" not in line


@pytest.mark.parametrize(
    ("warning", "group_by", "own"), [("dependent", "", False), (None, "parent", False), (None, "", True)]
)
def test_note_on_independence_is_omitted_if_the_user_states_groups_or_a_test_set(
    warning: str | None, group_by: str, own: bool
) -> None:
    assert independence_assumption(ALIKE, warning, group_by=group_by, has_own_test=own) is None


def test_number_of_groups_is_reported_if_photos_are_grouped() -> None:
    reporter = Recorder()
    report_groups(reporter, None, 5)
    report_groups(reporter, ALIKE, 5)
    assert reporter.notes == [
        "5 photos in 3 groups: copies, bursts, sequences and look-alikes stay together in sets and folds"
    ]
