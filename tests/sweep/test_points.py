"""Tests of the Pareto front, trend, budget, and choice of the model to ship."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from poets_edge.bench.samples import describe
from poets_edge.errors import UsageError
from poets_edge.nets.architectures import architecture
from poets_edge.sweep.budget import Budget, parse_budget
from poets_edge.sweep.choice import choose, indistinguishable, smallest_of_fastest
from poets_edge.sweep.points import GridPoint, pareto_front
from poets_edge.sweep.results import GridResult
from poets_edge.sweep.trend import trend


def point(
    name: str,
    milliseconds: float,
    wrong: Collection[int],
    megabytes: float = 1.0,
    processes: tuple[float, ...] = (1.0, 1.01),
) -> GridPoint:
    """Return a grid point: a model with a latency, and with predictions for 100 photos.

    Args:
        name: architecture.
        milliseconds: median latency.
        wrong: indices of the misclassified photos, 0 to 99.
        megabytes: file size, MB.
        processes: median latency of each process, as a multiple of `milliseconds`.
    """
    return GridPoint(
        architecture=architecture(name),
        quantization="int8",
        model=Path("x.tflite"),
        size=int(megabytes * 1e6),
        classes=5,
        correct=tuple(int(photo not in wrong) for photo in range(100)),
        repeats=1,
        agreement=1.0,
        latency=describe([milliseconds]),
        photos_per_second=100.0,
        process_medians=tuple(milliseconds * process for process in processes),
    )


SMALL, MIDDLE, SLOW, LARGE = (
    point("mobilenet_0.25_128", 1.0, range(30), 0.3),
    point("mobilenet_0.50_160", 2.0, range(15), 1.0),
    point("mobilenet_0.75_192", 5.0, range(16), 2.0),
    point("mobilenet_1.0_224", 9.0, range(5), 4.0),
)
ALL = (LARGE, SLOW, SMALL, MIDDLE)


def test_confidence_intervals_and_comparisons_take_groups_into_account() -> None:
    groups = tuple(photo // 10 for photo in range(100))
    small, large = replace(SMALL, groups=groups), replace(LARGE, groups=groups)
    assert small.interval[1] - small.interval[0] > 2 * (SMALL.interval[1] - SMALL.interval[0])
    assert not SMALL.compare(LARGE).could_be_chance
    assert small.compare(large).could_be_chance, "three groups of photos differ"


def test_pareto_front_excludes_dominated_models() -> None:
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
def test_chosen_model_is_within_the_budget(budget: Budget, chosen: GridPoint) -> None:
    choice = choose(ALL, budget)
    assert choice.point == chosen
    assert choice.reason.startswith(f"{chosen.name}: ")
    assert f"{100 * chosen.accuracy:.1f} % in {chosen.latency.median:.2f} ms" in choice.reason


def test_faster_model_is_chosen_if_its_loss_of_accuracy_is_insignificant() -> None:
    alike = point("mobilenet_0.75_160", 4.0, range(10, 20))
    better = point("mobilenet_0.75_224", 6.0, range(9))
    assert choose((MIDDLE, alike), Budget()).point == MIDDLE
    choice = choose((MIDDLE, alike, better), Budget())
    assert choice.point == alike, "six worse and none better is significant; 10 worse and 9 better is not"
    assert "The most accurate point is mobilenet_0.75_224 int8 (91.0 % in 6.00 ms" in choice.reason
    assert (
        "classifies 9 correctly that the other misclassifies, and misclassifies 10 that the other does not, which could"
        in choice.reason
    )
    assert "it is 1.5 times as fast" in choice.reason
    assert indistinguishable((MIDDLE, alike, better)) == [alike, better]


def test_smaller_of_equally_fast_models_is_chosen() -> None:
    noisy = (0.8, 1.28, 1.0)
    large = point("mobilenet_0.50_224", 4.0, range(0), 3.28, noisy)
    small = point("mobilenet_0.50_224", 4.1, range(0), 0.98, noisy)
    choice = choose((large, small), Budget())
    assert choice.point == small
    assert "a smaller file (0.98 MB)" in choice.reason
    steady = (0.999, 1.001, 1.0)
    quick, slow = (point("mobilenet_0.50_224", ms, range(0), mb, steady) for ms, mb in ((4.0, 3.28), (4.1, 0.98)))
    assert smallest_of_fastest((quick, slow)) == quick, "3 % is significant if the processes agree within 0.1 %"


def test_faster_model_is_chosen_if_the_files_are_equally_large() -> None:
    """The two networks have the same width, so that their files differ only by a few bytes of metadata."""
    fast = point("mobilenet_0.75_192", 6.07, range(0), 2.0509, processes=(1,))
    slow = point("mobilenet_0.75_224", 8.27, range(0), 2.0508, processes=(1,))
    assert choose((slow, fast), Budget()).point == fast
    noisy = (0.9, 1.0, 1.9)
    near = point("mobilenet_0.75_192", 8.2, range(0), 2.0508, processes=noisy)
    far = point("mobilenet_0.75_224", 8.3, range(0), 2.0507, processes=noisy)
    assert choose((far, near), Budget()).point == near, "of equally large files, the faster must be chosen"
    assert choose((far, point("mobilenet_0.25_224", 8.9, range(0), 0.3, processes=noisy)), Budget()).point != far


def test_trend_decreases_only_if_the_decrease_is_significant() -> None:
    low, dent, high = (point("mobilenet_0.50_128", 1, wrong) for wrong in (range(20), range(22), range(10)))
    assert trend([low, dent, high]) == pytest.approx([0.79, 0.79, 0.90])
    assert trend([high, low]) == pytest.approx([0.90, 0.80]), "ten photos worse and none better is significant"


@pytest.mark.parametrize(
    ("budget", "nearest", "why"),
    [
        (Budget(latency=0.9), SMALL, "1.00 ms"),
        (Budget(size=1e5, accuracy=0.65), SMALL, "0.30 MB"),
        (Budget(accuracy=0.99), LARGE, "95.0 %"),
    ],
)
def test_nearest_model_is_named_if_none_is_within_the_budget(budget: Budget, nearest: GridPoint, why: str) -> None:
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
def test_units_in_a_budget_are_accepted(texts: tuple[str | None, ...], budget: Budget) -> None:
    read = parse_budget(*texts)
    assert (read.latency, read.size, read.accuracy) == pytest.approx((budget.latency, budget.size, budget.accuracy))


@pytest.mark.parametrize(
    ("texts", "parameter", "example"),
    [
        (("fast", None, None), "max_latency", "20ms"),
        ((None, "1 foot", None), "max_size", "1MB"),
        ((None, None, "90"), "min_accuracy", "90%"),
        (("0", None, None), "max_latency", "20ms"),
        ((None, "1", None), "max_size", "1MB"),
    ],
)
def test_invalid_text_is_rejected_as_a_budget(texts: tuple[str | None, ...], parameter: str, example: str) -> None:
    with pytest.raises(UsageError, match=f"`{parameter}`.*{example}"):
        parse_budget(*texts)


def test_grid_result_compares_models_with_the_most_accurate_one() -> None:
    similar = replace(SLOW, correct=tuple(int(photo not in range(6)) for photo in range(100)))
    result = GridResult(
        points=(SMALL, MIDDLE, similar, LARGE), labels=("a", "b", "c", "d", "e"), front=(SMALL, MIDDLE, LARGE),
        choice=choose(ALL, Budget()), machine={}, threads=1, folds=0,
    )  # fmt: skip
    assert [result.comparison_text(one) for one in result.points] == [
        "-25.0 points", "-10.0 points", "could be equal", "best",
    ]  # fmt: skip
    slow = replace(LARGE, latency=describe([20.0]), architecture=SMALL.architecture)
    tied = replace(result, points=(slow, LARGE))
    assert [tied.comparison_text(one) for one in (LARGE, slow)] == ["best", "could be equal"], "only the faster one"
    assert result.photos_text == "100 test photos"
    assert replace(result, has_own_test=True).photos_text == "100 photos of your test set"
    for count, text in ((10, "100 photos in 10 groups (5-fold cross-validation)"),
                        (100, "100 photos (5-fold cross-validation)")):  # fmt: skip
        first = replace(SMALL, groups=tuple(photo % count for photo in range(100)))
        assert replace(result, points=(first, LARGE), folds=5).photos_text == text


def test_confidence_interval_uses_the_fraction_of_correct_predictions_of_each_photo() -> None:
    groups = tuple(photo // 4 for photo in range(40))
    correct = tuple((4, 3, 0, 1)[photo // 4 % 4] for photo in range(40))
    one = replace(SMALL, correct=correct, repeats=4, groups=groups)
    plain = replace(SMALL, correct=tuple(int(count >= 2) for count in correct), repeats=1, groups=groups)
    width, of_plain = (high - low for low, high in (one.interval, plain.interval))
    assert 0.3 < width < of_plain < 0.9, "ten groups, some of which are right in part of the predictions"


def test_comparison_of_cross_validated_models_considers_repeats_and_groups() -> None:
    one = replace(SMALL, cross_validated=(2, 2, 2, 2, 2, 2, 2, 2), cross_validated_repeats=2)
    other = replace(SMALL, cross_validated=(0, 0, 0, 0, 0, 0, 2, 2), cross_validated_repeats=2)
    assert one.compare_cross_validated(other).gain == 75.0 and not one.compare_cross_validated(other).could_be_chance
    grouped = replace(one, cross_validated_groups=(0, 0, 0, 1, 1, 1, 2, 2))
    assert grouped.compare_cross_validated(other).could_be_chance, "only two groups differ"
