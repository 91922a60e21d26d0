"""Tests of the messages of `train`, and of training that diverges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poets_edge.demo.draw import draw_photos
from poets_edge.training.head import Head, HeadOptions, LabelledVectors, Step, train_head
from poets_edge.training.messages import better_step, curve, small_classes
from tests.conftest import poets_edge

_BACKBONE = ("--architecture", "mobilenet_0.25_128", "--weights", "embedded")


def _steps(*losses: float) -> list[Step]:
    return [Step(10 * index, 0.9, 0.1, 0.5, loss) for index, loss in enumerate(losses)]


def test_better_step_is_reported_only_if_last_step_is_clearly_worse() -> None:
    line = better_step(_steps(0.9, 0.58, 0.7, 0.88), early_stop=False)
    assert line and "lowest at step 10 (0.5800; at the end 0.8800)" in line and "`early_stop` keeps" in line
    assert better_step(_steps(0.9, 0.58, 0.6), early_stop=False) is None
    assert better_step([Step(0, 0.5, 0.7, None, None)], early_stop=False) is None


def test_small_classes_lists_classes_with_few_photos() -> None:
    table = {name: {"training": count, "validation": 0, "test": 0} for name, count in {"a": 160, "b": 10}.items()}
    assert "b 10" in str(small_classes(table)) and "a (160)" in str(small_classes(table))  # type: ignore[arg-type]
    table["b"]["training"] = 80
    assert small_classes(table) is None  # type: ignore[arg-type]


def test_curve_rises_with_its_values() -> None:
    drawn = curve([index / 100 for index in range(100)])
    assert len(drawn) == 40 and list(drawn) == sorted(drawn) and drawn[0] == "▁" and drawn[-1] == "█"
    assert curve([]) == "" and curve([1.0]) == "█"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    draw_photos(tmp_path / "photos", per_class=10)
    return tmp_path / "photos"


def test_early_stop_keeps_the_best_head() -> None:
    """On noise, the validation loss is lowest at the first step and rises afterwards."""
    rng = np.random.default_rng(0)
    training, validation = (
        LabelledVectors(rng.normal(size=(60, 32)).astype(np.float32), rng.integers(3, size=60)) for _ in range(2)
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
    assert "that head was kept" in str(better_step([step for step, _ in seen], early_stop=True))


def test_train_refuses_rates_that_diverge(photos: Path, tmp_path: Path) -> None:
    poets_edge("train", photos, *_BACKBONE, "--learning_rate", "1e30", cwd=tmp_path).failed("--learning-rate", "1000")


def test_train_prints_classes_and_next_command(photos: Path, tmp_path: Path) -> None:
    shown = poets_edge("train", photos, *_BACKBONE, "--how_many_training_steps", "50", "-q", cwd=tmp_path).ok().stdout
    assert "class       photos  test recall" in shown and "validation accuracy " in shown
    assert "next    poets-edge export --quantize int8" in shown
    again = poets_edge(
        *("train", photos, *_BACKBONE, "-q", "--output_graph", "other/graph.pb", "--output_labels", "other/labels.txt"),
        cwd=tmp_path,
    ).ok()
    assert "next    poets-edge export other/graph.pb --quantize int8" in again.stdout
