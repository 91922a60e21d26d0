"""Tests of `grid` for NPUs and microcontrollers: estimated latencies, and models that fit a board."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from poets_edge.errors import UsageError
from poets_edge.exporting.microcontroller.boards import BOARDS, board, board_with_memory
from poets_edge.exporting.microcontroller.fitting import uncalibrated
from poets_edge.exporting.npu.vela import ACCELERATORS, compile_for_npu
from poets_edge.nets.trained_graph import read_trained
from poets_edge.quantize.quantize import network_of
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.options import GridOptions
from tests.conftest import poets_edge
from tests.needs import need_module

NAMES = ("mobilenet_0.25_96", "mobilenet_0.50_128", "mobilenet_0.25_96_gray")
OPTIONS = (
    *(word for name in NAMES for word in ("--architecture", name)),
    "--calibration-photos", "5", "--testing-percentage", "40", "--steps", "100", "--folds", "0", "-q",
)  # fmt: skip


def test_grid_estimates_npu_latencies_and_board_memory(
    few_flowers: Callable[[int], Path], keras_home: Path, tmp_path: Path
) -> None:
    """Latencies are Vela's estimates for the trained networks; the chosen model fits the board."""
    need_module("ethosu")
    need_module("tflite_micro")
    target = ("--target", "ethos-u55-128", "--board", "nano33")
    photos = few_flowers(6)
    shown = poets_edge("grid", photos, *OPTIONS, *target, cwd=tmp_path).ok().stdout
    found = json.loads((tmp_path / "tf_files/grid/grid.json").read_text())
    points = {point["architecture"]: point for point in found["points"]}
    assert list(points) == list(NAMES) and {point["quantization"] for point in points.values()} == {"int8"}
    for name, point in points.items():
        graph = tmp_path / f"tf_files/grid/{name}/retrained_graph.pb"
        network = network_of(read_trained(graph).frozen)
        assert network is not None
        estimate = compile_for_npu(uncalibrated(network), "ethos-u55-128", name=name).estimate
        assert point["latency_ms"]["median"] == pytest.approx(estimate.milliseconds)
    small, large, gray = (points[name]["arena"] for name in NAMES)
    assert gray == points[NAMES[0]]["gray_arena"] < small <= board("nano33").memory < large
    for name, point in points.items():
        for arena, boards in ((point["arena"], point["boards"]), (point["gray_arena"], point["gray_boards"])):
            assert boards == [one.name for one in BOARDS if arena <= one.memory], name
        assert 0 < point["gray_arena"] <= point["arena"]
    assert "nano33" in points[NAMES[0]]["boards"] and "nano33" not in points[NAMES[1]]["boards"]
    assert found["machine"]["estimated"] and found["choice"]["point"].startswith("mobilenet_0.25_96")
    assert f"yes, {small / 1024:.0f} KB" in shown and f"no, {large / 1024:.0f} KB" in shown
    assert "Times of ethos-u55-128, estimated by Vela" in shown
    assert "--target ethos-u55-128" in shown
    report = (tmp_path / "tf_files/grid/report.html").read_text()
    assert "fits nano33" in report and "only with gray input" in report
    assert ", ".join(points[NAMES[0]]["boards"]) in report and "estimated by Vela" in report
    nothing = poets_edge("grid", photos, *OPTIONS, *target, "--memory", "20KB", cwd=tmp_path)
    nothing.failed("none of the 3 points has a full-int8 model that fits nano33 (20,480 bytes for tensors)")


def test_grid_options_refuse_conflicting_targets() -> None:
    with pytest.raises(UsageError, match="each select a source of latencies"):
        GridOptions(image_dir="photos", on="pi@host", target=ACCELERATORS[0])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="There are ethos-u55-32"):
        GridOptions(image_dir="photos", target="ethos-u99")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="`ship` copies int8 models"):
        GridOptions(image_dir="photos", ship=True, budget=Budget(board=board("nano33")))  # type: ignore[arg-type]


def test_memory_size_is_rejected_without_a_board() -> None:
    assert board_with_memory(None, None) is None
    changed = board_with_memory("nano33", "100KB")
    assert changed is not None and changed.memory == 102_400 and changed.flash == board("nano33").flash
    with pytest.raises(UsageError, match="give `board`, too"):
        board_with_memory(None, "100KB")
