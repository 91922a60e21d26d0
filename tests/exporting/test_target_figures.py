"""Tests of figures and generated sources for microcontrollers and NPUs, without a compiler."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import UsageError
from poets_edge.exporting.microcontroller.boards import board, parse_memory
from poets_edge.exporting.microcontroller.firmware import MicroModel, firmware_files
from poets_edge.exporting.microcontroller.fitting import MicroCost
from poets_edge.exporting.microcontroller.microcontroller import _largest_difference
from poets_edge.exporting.npu.vela import NpuEstimate, _estimate

MODEL = MicroModel(
    name="flowers", content=bytes(range(200)), labels=("tulips", 'the "rose"', "Gänseblümchen"), size=(96, 128),
    channels=1, arena=100_001, operators=("Conv2D", "Softmax"), has_detector=True,
)  # fmt: skip


def test_estimate_converts_the_units_of_vela(tmp_path: Path) -> None:
    columns = {
        "system_config": "Internal_Default", "memory_mode": "Shared_Sram", "inference_time": "0.0042",
        "sram_memory_used": "12.5", "dram_memory_used": "1.5", "on_chip_flash_memory_used": "2.0",
        "off_chip_flash_memory_used": "0.25",
    }  # fmt: skip
    (tmp_path / "model_summary_it.csv").write_text(f"{','.join(columns)}\n{','.join(columns.values())}\n")
    found = _estimate("ethos-u55-128", "CPU operators = 1 (25.0%)\nNPU operators = 3 (75.0%)\n", tmp_path)
    assert found == NpuEstimate(
        accelerator="ethos-u55-128", system="Internal_Default, Shared_Sram", npu_operators=3, cpu_operators=1,
        sram=12_800, flash=3_840, milliseconds=0.0042 * 1000,
    )  # fmt: skip
    assert found.share == 0.75 and found.inferences_per_second == pytest.approx(238.095, abs=0.001)


def test_model_fits_a_board_if_both_memories_are_sufficient() -> None:
    limited = replace(board("nano33"), memory=1000, flash=3000)
    cost = MicroCost(arena=1000, size=3000, gray_arena=900)
    assert cost.fits(limited) and not replace(cost, arena=1001).fits(limited)
    assert not replace(cost, size=3001).fits(limited)
    assert replace(cost, arena=1001).fits(limited, gray=True)
    assert not replace(cost, gray_arena=1001).fits(limited, gray=True)


def test_sources_state_sizes_and_labels_of_the_model() -> None:
    files = firmware_files(MODEL, board("esp32cam"))
    header = files["photo_classifier/model.h"]
    for line in (
        "kInputWidth = 128;", "kInputHeight = 96;", "kInputChannels = 1;", "kModelSize = 200;",
        "kHasDetector = true;", "kArenaSize = 100016;",
    ):  # fmt: skip
        assert f" {line}\n" in header, "the arena is rounded up to a multiple of 16"
    labels = files["photo_classifier/labels.h"]
    places = [labels.index(text) for text in ("tulips", "rose", "nsebl")]
    assert places == sorted(places) and "kLabelCount = 3;" in labels and r"G\303\244nsebl\303\274mchen" in labels
    assert "MicroMutableOpResolver<2>" in files["photo_classifier/operators.h"]
    assert files["esp-idf/partitions.csv"] == "factory, app, factory, 0x10000, 3072K\n", (
        "2 MB, and 1 MB for the program"
    )


def test_camera_pins_of_the_ai_thinker_board_are_those_of_espressif() -> None:
    pins = firmware_files(MODEL, board("esp32cam"))["photo_classifier/camera_pins.h"]
    expected = {
        "pwdn": 32, "reset": -1, "xclk": 0, "sccb_sda": 26, "sccb_scl": 27, "d7": 35, "d6": 34, "d5": 39, "d4": 36,
        "d3": 21, "d2": 19, "d1": 18, "d0": 5, "vsync": 25, "href": 23, "pclk": 22,
    }  # fmt: skip
    assert all(f"config.pin_{name} = {number};" in pins for name, number in expected.items())


@pytest.mark.parametrize(("micro", "expected"), [(127, 255), (-128, 0), (-126, 2)])
def test_largest_difference_of_scores_is_not_limited_to_eight_bits(micro: int, expected: int) -> None:
    outputs = [np.array([[-128, -128]], np.int8), np.array([[5]], np.int8)]
    session = SimpleNamespace(outputs=[None, None], run_some=lambda values, indices: outputs)
    classifier: Any = SimpleNamespace(session=session, input_values=lambda picture: picture)
    found = (np.array([[micro, -128]], np.int8), np.array([[5]], np.int8))
    assert _largest_difference(classifier, [np.zeros((2, 2, 3), np.uint8)], [found]) == expected


@pytest.mark.parametrize(
    ("text", "size"), [("320KB", 327_680), ("1.5 mb", 1_572_864), ("65536", 65_536), ("64k", 65_536)]
)
def test_parse_memory_accepts_units(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "KB", "-3KB", "much", "nan", "1e30MB"])
def test_parse_memory_refuses_invalid_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_memory(text)


def test_memory_of_boards_is_that_of_the_chip_minus_frames_and_system() -> None:
    """Of the 256 KiB of the Nano 33, 37.5 KiB hold a frame and 56 KiB the system; of the 520 KiB of the Pico 2, 112."""
    assert [board(name).memory for name in ("nano33", "pico2")] == [166_400, 417_792]
