"""Which points are worth having, and which one a budget picks."""

from __future__ import annotations

from pathlib import Path

import pytest

from poets_edge.architectures import architecture
from poets_edge.benchmarking.samples import describe
from poets_edge.errors import UsageError
from poets_edge.sweep.points import Budget, Point, choose, pareto_front, parse_budget


def point(name: str, milliseconds: float, correct: int, megabytes: float = 1.0) -> Point:
    return Point(
        architecture=architecture(name),
        quantization="int8",
        model=Path("x.tflite"),
        size=int(megabytes * 1e6),
        classes=5,
        correct=correct,
        photos=100,
        agreement=1.0,
        latency=describe([milliseconds]),
        photos_per_second=100.0,
    )


SMALL, MIDDLE, SLOW, LARGE = (
    point("mobilenet_0.25_128", 1.0, 70, 0.3),
    point("mobilenet_0.50_160", 2.0, 85, 1.0),
    point("mobilenet_0.75_192", 5.0, 84, 2.0),
    point("mobilenet_1.0_224", 9.0, 90, 4.0),
)
ALL = (LARGE, SLOW, SMALL, MIDDLE)


def test_front_leaves_out_what_is_slower_and_no_better() -> None:
    assert pareto_front(ALL) == [SMALL, MIDDLE, LARGE]


@pytest.mark.parametrize(
    ("budget", "chosen"),
    [
        (Budget(), LARGE),
        (Budget(latency=5), MIDDLE),
        (Budget(size=0.5e6), SMALL),
        (Budget(accuracy=0.8), MIDDLE),
        (Budget(latency=6, accuracy=0.8), MIDDLE),
    ],
)
def test_budget_picks(budget: Budget, chosen: Point) -> None:
    choice = choose(ALL, budget)
    assert choice.point == chosen
    assert chosen.architecture.name in choice.reason


def test_reason_names_a_faster_point_that_may_be_as_good() -> None:
    assert "mobilenet_0.50_160" in choose(ALL, Budget()).reason


@pytest.mark.parametrize(
    ("budget", "nearest", "why"),
    [
        (Budget(latency=0.9), SMALL, "1.00 ms"),
        (Budget(size=1e5, accuracy=0.65), SMALL, "0.30 MB"),
        (Budget(accuracy=0.95), LARGE, "90.0 %"),
    ],
)
def test_budget_nobody_meets_says_who_came_nearest(budget: Budget, nearest: Point, why: str) -> None:
    choice = choose(ALL, budget)
    assert choice.point is None
    assert choice.nearest == nearest
    assert nearest.name in choice.reason
    assert why in choice.reason


@pytest.mark.parametrize(
    ("texts", "budget"),
    [
        (("20ms", "1MB", "0.9"), Budget(20, 1e6, 0.9)),
        (("20", "1000000", "90%"), Budget(20, 1e6, 0.9)),
        (("0.02 s", "1 MiB", "90 %"), Budget(20, 1024**2, 0.9)),
        ((None, None, None), Budget()),
    ],
)
def test_budget_is_read_as_people_write_it(texts: tuple[str | None, ...], budget: Budget) -> None:
    read = parse_budget(*texts)
    assert (read.latency, read.size, read.accuracy) == pytest.approx((budget.latency, budget.size, budget.accuracy))


@pytest.mark.parametrize(
    ("texts", "parameter", "example"),
    [
        (("fast", None, None), "max_latency", "20ms"),
        ((None, "1 foot", None), "max_size", "1MB"),
        ((None, None, "90"), "min_accuracy", "90%"),
        (("0", None, None), "max_latency", "20ms"),
    ],
)
def test_nonsense_is_refused(texts: tuple[str | None, ...], parameter: str, example: str) -> None:
    with pytest.raises(UsageError, match=f"`{parameter}`.*{example}"):
        parse_budget(*texts)
