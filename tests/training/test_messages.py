"""Tests of the messages of `train`, and of training that diverges."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist, mean, stdev

import numpy as np
import pytest

from poets_edge.demo.draw import draw_photos
from poets_edge.training.head import Head, HeadOptions, LabeledVectors, Step, train_head
from poets_edge.training.messages import (
    EvaluatedHead,
    better_step,
    curve,
    paired_p_value,
    parse_step_line,
    small_classes,
    step_line,
)
from tests.conftest import poets_edge

_BACKBONE = ("--architecture", "mobilenet_0.25_128", "--weights", "embedded")


def _head(sharpness: float) -> Head:
    """Return a head that classifies [1, 0] as class 0 and [0, 1] as class 1; `sharpness` raises its confidence."""
    return Head(np.array([[sharpness, 0], [0, sharpness]], np.float32), np.zeros(2, np.float32))


def _photos(right: int, wrong: int) -> LabeledVectors:
    classes = np.arange(right + wrong) % 2
    columns = np.where(np.arange(right + wrong) < right, classes, 1 - classes)
    return LabeledVectors(np.eye(2, dtype=np.float32)[columns], classes)


def test_lower_loss_at_an_earlier_step_is_reported_if_significant() -> None:
    """The last head is so confident that its 20 mistakes in 100 photos increase the loss."""
    line = better_step(EvaluatedHead(10, _head(1)), EvaluatedHead(50, _head(12)), _photos(80, 20), early_stop=False)
    assert line and "lowest at step 10 (0.5133; at the end 2.4000, on 100 photos)" in line
    assert "`early_stop` keeps" in line


def test_lower_loss_at_an_earlier_step_is_not_reported_if_not_significant() -> None:
    """One mistake in 49 photos more than doubles the loss of the last head, but is not significant."""
    best, last = EvaluatedHead(10, _head(3.5)), EvaluatedHead(50, _head(12))
    photos = _photos(48, 1)
    assert last.head.losses(photos).mean() > 2 * best.head.losses(photos).mean()
    assert better_step(best, last, photos, early_stop=False) is None
    assert better_step(best, best, photos, early_stop=False) is None


def test_small_validation_set_is_evaluated_completely() -> None:
    """The loss on random batches would differ from the loss on all 49 photos."""
    rng = np.random.default_rng(0)
    training, validation = (
        LabeledVectors(rng.normal(size=(49, 8)).astype(np.float32), rng.integers(3, size=49)) for _ in range(2)
    )
    seen: list[tuple[Step, Head]] = []
    train_head(training, validation, 3, HeadOptions(steps=100), lambda step, head: seen.append((step, head)))
    for step, head in seen:
        assert step.validation_cross_entropy == pytest.approx(float(head.losses(validation).mean()))


def test_classes_with_few_photos_are_listed() -> None:
    table = {name: {"training": count, "validation": 0, "test": 0} for name, count in {"a": 160, "b": 10}.items()}
    assert "b 10" in str(small_classes(table)) and "a (160)" in str(small_classes(table))  # type: ignore[arg-type]
    table["b"]["training"] = 80
    assert small_classes(table) is None  # type: ignore[arg-type]


def test_curve_draws_higher_bars_for_larger_values() -> None:
    drawn = curve([index / 100 for index in range(100)])
    assert len(drawn) == 40 and list(drawn) == sorted(drawn) and drawn[0] == "▁" and drawn[-1] == "█"
    assert curve([]) == "" and curve([1.0]) == "█"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "photos"
    draw_photos(folder, per_class=10)
    return folder


def test_early_stop_keeps_the_best_head() -> None:
    """On noise, the validation loss is lowest at the first step and rises afterwards."""
    rng = np.random.default_rng(0)
    training, validation = (
        LabeledVectors(rng.normal(size=(60, 32)).astype(np.float32), rng.integers(3, size=60)) for _ in range(2)
    )
    heads: dict[bool, Head] = {}
    seen: list[tuple[Step, Head]] = []
    for early_stop in (False, True):
        seen.clear()
        options = HeadOptions(steps=200, learning_rate=0.5, validation_batch_size=-1, early_stop=early_stop)
        heads[early_stop] = train_head(training, validation, 3, options, lambda step, head: seen.append((step, head)))
    best = min(seen, key=lambda item: item[0].validation_cross_entropy or 0)
    assert np.array_equal(heads[True].weights, best[1].weights)
    assert np.array_equal(heads[False].weights, seen[-1][1].weights) and best[0].step < seen[-1][0].step
    first, last = (EvaluatedHead(step.step, head) for step, head in (best, seen[-1]))
    line = better_step(first, last, validation, early_stop=True)
    assert "that head was kept" in str(line)


def test_train_rejects_learning_rates_that_are_too_large(photos: Path, tmp_path: Path) -> None:
    poets_edge("train", photos, *_BACKBONE, "--learning_rate", "1e30", cwd=tmp_path).failed("--learning-rate", "1000")


def test_train_prints_classes_and_the_suggested_next_command(photos: Path, tmp_path: Path) -> None:
    shown = poets_edge("train", photos, *_BACKBONE, "--how_many_training_steps", "50", "-q", cwd=tmp_path).ok().stdout
    assert "class       photos  test recall" in shown and "validation accuracy " in shown
    assert "next    poets-edge export --quantize int8" in shown
    again = poets_edge(
        *("train", photos, *_BACKBONE, "-q", "--output_graph", "other/graph.pb", "--output_labels", "other/labels.txt"),
        cwd=tmp_path,
    ).ok()
    assert "next    poets-edge export other/graph.pb --quantize int8" in again.stdout


@pytest.mark.parametrize("validation", [None, 0.875])
def test_step_and_accuracies_are_parsed_from_an_output_line(validation: float | None) -> None:
    step = Step(120, 0.5, 1.25, validation, None if validation is None else 0.75)
    assert parse_step_line(step_line(step)) == (120, 0.5, validation)
    assert parse_step_line("looking for photos in step 3") is None


def test_paired_p_value_agrees_with_the_normal_approximation() -> None:
    differences = np.array([0.3, -0.1, 0.4, 0.2, -0.2, 0.5, 0.1], np.float32)
    statistic = mean(differences.tolist()) / (stdev(differences.tolist()) / 7**0.5)
    assert paired_p_value(differences) == pytest.approx(2 * NormalDist().cdf(-statistic), rel=1e-4)
    assert paired_p_value(-differences) == pytest.approx(paired_p_value(differences))
    for undecided in ([0.5], [0.0, 0.0, 0.0], []):
        assert paired_p_value(np.array(undecided, np.float32)) == 1.0
