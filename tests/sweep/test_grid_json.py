"""Tests of the JSON form of a grid and of its rows, in which every value is different."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from poets_edge.bench.samples import describe
from poets_edge.device.unknown import Refused
from poets_edge.exporting.microcontroller.fitting import MicroCost
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.choice import Choice
from poets_edge.sweep.points import fitting_boards
from poets_edge.sweep.results import GridResult
from poets_edge.training.record import versions
from tests.sweep.test_points import point

COST = MicroCost(arena=300_000, size=400_000, gray_arena=100_000)
POINT = replace(
    point("mobilenet_0.25_128", 1.25, range(30), 0.5), latency=describe([1.25, 1.5, 9.0]), photos_per_second=70.0,
    agreement=0.97, unknown=Refused(1, 20), strangers=Refused(3, 4), cost=COST, cross_validated=(2, 0, 1),
    cross_validated_repeats=2, repeats=4, correct=(4, 3, 0), model=Path("grid/net/model_int8.tflite"),
)  # fmt: skip
PUBLISHED = POINT.architecture.published


def test_grid_point_json_contains_every_measurement() -> None:
    assert PUBLISHED is not None and PUBLISHED.quantized_top1 != PUBLISHED.top1
    low, high = POINT.interval
    assert POINT.to_json() == {
        "architecture": "mobilenet_0.25_128",
        "quantization": "int8",
        "model": "grid/net/model_int8.tflite",
        "mmacs": POINT.architecture.mmacs,
        "mparams": POINT.architecture.mparams - 257 * (1001 - 5) / 1e6,
        "size": 500_000,
        "latency_ms": POINT.latency.to_json(),
        "photos_per_second": 70.0,
        "accuracy": 7 / 12,
        "interval95": [low, high],
        "photos": 3,
        "judgments": 4,
        "right": [4, 3, 0],
        "cross_validated_right": [2, 0, 1],
        "agreement_with_float": 0.97,
        "unknown": Refused(1, 20).to_json(),
        "strangers": Refused(3, 4).to_json(),
        "published_imagenet_top1": PUBLISHED.quantized_top1,
        "published_pixel3_ms": PUBLISHED.quantized_pixel3_ms,
        "arena": 300_000,
        "full_int8_size": 400_000,
        "boards": fitting_boards(COST),
        "gray_arena": 100_000,
        "gray_boards": fitting_boards(COST, gray=True),
    }
    assert low < 7 / 12 < high and fitting_boards(COST) != fitting_boards(COST, gray=True)
    plain = replace(POINT, cost=None, unknown=None, strangers=None, quantization="float32").to_json()
    assert (plain["unknown"], plain["strangers"], plain["published_imagenet_top1"]) == (None, None, PUBLISHED.top1)
    assert not {"arena", "boards", "gray_arena"} & set(plain)


def test_json_of_a_grid_contains_its_points_choice_and_warnings() -> None:
    other = replace(point("mobilenet_0.50_160", 9.0, ()), correct=(4, 4, 0), repeats=4, photos_per_second=None)
    result = GridResult(
        points=(POINT, other), labels=("a", "b"), front=(POINT,), choice=Choice(None, other, "none has 1 ms."),
        machine={"cpu": "A76"}, threads=3, folds=5, has_own_test=True, seconds={"judging": 2.0}, warnings=("noisy",),
        photo_warnings=("few photos",), budget=Budget(latency=1.0), assumption="no two photos show one object",
    )  # fmt: skip
    found = result.to_json()
    points = found.pop("points")
    assert found == {
        "format": "poets_edge-grid-1", "machine": {"cpu": "A76"}, "threads": 3, "labels": ["a", "b"], "folds": 5,
        "own_test_set": True, "front": ["mobilenet_0.25_128 int8"],
        "choice": {"point": None, "reason": "none has 1 ms."}, "seconds": {"judging": 2.0}, "warnings": ["noisy"],
        "photo_warnings": ["few photos"], "assumption": "no two photos show one object", "versions": versions(),
    }  # fmt: skip
    assert [one["beside_best"] for one in points] == [one.compare(other).to_json() for one in (POINT, other)]
    assert points[0] == {**POINT.to_json(), "beside_best": points[0]["beside_best"]}
    assert result.rows()[0] == {
        "architecture": "mobilenet_0.25_128", "quantization": "int8", "accuracy": 7 / 12, "median_ms": 1.5,
        "size": 500_000, "path": "grid/net/model_int8.tflite",
    }  # fmt: skip
    assert repr(result) == "<GridResult 2 points; none has 1 ms.>"
    chosen = replace(result, choice=Choice(other, None, "")).to_json()["choice"]
    assert chosen["point"] == "mobilenet_0.50_160 int8"
