"""Tests of figures and generated sources for microcontrollers and NPUs, without a compiler."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.device.classifier import Classifier
from poets_edge.errors import ModelError, UsageError
from poets_edge.exporting.microcontroller import microcontroller as module
from poets_edge.exporting.microcontroller.boards import Board, board, parse_memory
from poets_edge.exporting.microcontroller.firmware import MicroModel, firmware_files
from poets_edge.exporting.microcontroller.fitting import MicroCost
from poets_edge.exporting.microcontroller.microcontroller import Firmware, _largest_difference, export_firmware
from poets_edge.exporting.microcontroller.tflm import micro_operators
from poets_edge.exporting.npu.edge_tpu import check_edge_tpu
from poets_edge.exporting.npu.vela import NpuEstimate, _estimate
from poets_edge.exporting.options import ExportOptions
from poets_edge.nets.layers import INPUT, Layer
from poets_edge.nets.network import Parameters, checked
from poets_edge.photos.normalization import BACKBONE
from poets_edge.quantize.write_model import write_float_model
from poets_edge.tflite.flatbuffer import add_tensor, new_model, new_operator, pack_model, quant_params, schema
from poets_edge.tflite.model_file import ModelFile
from tests.tiny_model import color_model

MODEL = MicroModel(
    name="flowers", content=bytes(range(200)), labels=("tulips", 'the "rose"', "Gänseblümchen"), size=(96, 128),
    channels=1, arena=100_001, operators=("Conv2D", "Softmax"), has_detector=True,
)  # fmt: skip


def test_npu_estimate_converts_the_units_in_the_report_of_vela(tmp_path: Path) -> None:
    columns = {
        "system_config": "Internal_Default", "memory_mode": "Shared_Sram", "inference_time": "0.0042",
        "sram_memory_used": "12.5", "dram_memory_used": "1.5", "on_chip_flash_memory_used": "2.0",
        "off_chip_flash_memory_used": "0.25",
    }  # fmt: skip
    (tmp_path / "model_summary_it.csv").write_text(f"{','.join(columns)}\n{','.join(columns.values())}\n")
    found = _estimate("ethos-u55-128", "CPU operators = 2 (40.0%)\nNPU operators = 3 (60.0%)\n", tmp_path)
    assert found == NpuEstimate(
        accelerator="ethos-u55-128", system="Internal_Default, Shared_Sram", npu_operators=3, cpu_operators=2,
        sram=12_800, flash=3_840, milliseconds=0.0042 * 1000,
    )  # fmt: skip
    assert found.share == 0.6 and found.inferences_per_second == pytest.approx(238.095, abs=0.001)


def test_model_fits_a_board_if_memory_and_flash_are_sufficient() -> None:
    limited = replace(board("nano33"), memory=1000, flash=3000)
    cost = MicroCost(arena=1000, size=3000, gray_arena=900)
    assert cost.fits(limited) and not replace(cost, arena=1001).fits(limited)
    assert not replace(cost, size=3001).fits(limited)
    assert replace(cost, arena=1001).fits(limited, gray=True)
    assert not replace(cost, gray_arena=1001).fits(limited, gray=True)


def test_firmware_sources_contain_sizes_and_labels_of_the_model() -> None:
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


def test_ai_thinker_camera_pins_match_those_published_by_espressif() -> None:
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
def test_memory_sizes_with_units_are_accepted(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "KB", "-3KB", "much", "nan", "1e30MB"])
def test_invalid_memory_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_memory(text)


def test_board_memory_is_chip_memory_minus_frame_buffers_and_system_memory() -> None:
    """Of the 256 KiB of the Nano 33, 37.5 KiB hold a frame and 56 KiB the system; of the 520 KiB of the Pico 2, 112."""
    assert [board(name).memory for name in ("nano33", "pico2")] == [166_400, 417_792]


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Firmware]:
    """Function that writes firmware for a small model; a test sets its simulated output in TensorFlow Lite Micro."""
    content = color_model("int8", 1 / 128, normalization=BACKBONE)
    prepared = SimpleNamespace(
        result=SimpleNamespace(files=[SimpleNamespace(path=tmp_path / "colors.tflite", scored=None)]),
        contents=[content], models={"full-int8": content}, remember=lambda: None,
    )  # fmt: skip
    own = Classifier(ModelFile(tmp_path / "colors.tflite", content))
    gray = own.input_values(np.full((8, 8, 3), 128, np.uint8))[None]
    [outputs] = own.session.run_some(gray, range(1))

    def export(target: Board, arena: int = 1000, difference: int = 0, memory: int | None = None) -> Firmware:
        changed = outputs.astype(int)
        changed[0, 1] += difference
        micro = SimpleNamespace(arena=arena, outputs=[(changed,)])
        monkeypatch.setattr(module, "run_micro", lambda model, values, name: micro)
        options = ExportOptions(graph=tmp_path / "graph.pb", output_dir=tmp_path / "firmware")
        return export_firmware(options, target, memory=memory)

    monkeypatch.setattr(module, "prepare_export", lambda options, reporter: prepared)
    monkeypatch.setattr(module, "fitting_architecture", lambda *arguments, **options: None)
    return export


def test_firmware_is_refused_if_its_scores_differ_by_more_than_one_quantization_step(
    export: Callable[..., Firmware], tmp_path: Path
) -> None:
    for difference in (2, -2):
        with pytest.raises(ModelError, match="differ by 2/256"):
            export(board("nano33"), difference=difference)
    assert not (tmp_path / "firmware").exists()
    assert export(board("nano33")).largest_difference == 0
    found = export(board("nano33"), difference=-1)
    assert found.largest_difference == 1 / 256 and found.compared == 1 and found.operators == ("Mean",)


def test_firmware_is_refused_if_the_model_does_not_fit_into_memory_or_flash(
    export: Callable[..., Firmware], tmp_path: Path
) -> None:
    size = export(board("nano33")).model_size
    exact = replace(board("nano33"), memory=1000, flash=size)
    assert export(exact).memory == 1000
    with pytest.raises(ModelError, match="need 1,001 bytes of memory, and nano33 has 1,000 for them"):
        export(exact, arena=1001)
    assert export(exact, arena=1001, memory=1001).memory == 1001
    with pytest.raises(ModelError, match=f"has {size - 1:,} bytes of flash memory for it"):
        export(replace(exact, flash=size - 1))


def test_micro_operators_are_named_as_in_the_resolver_of_tensorflow_lite_micro() -> None:
    layers = (
        Layer("first", "convolution", (INPUT,), 4, (3, 3), 2, activation="relu6"),
        Layer("second", "depthwise", ("first",), 4, (3, 3), activation="relu6"),
        Layer("bottleneck", "mean", ("second",)),
    )
    parameters = {
        "first": Parameters(np.ones((3, 3, 3, 4), np.float32), np.zeros(4, np.float32)),
        "second": Parameters(np.ones((3, 3, 4, 1), np.float32), np.zeros(4, np.float32)),
    }
    model = write_float_model(checked((8, 8), layers, parameters))
    assert micro_operators(model) == ("Conv2D", "DepthwiseConv2D", "Mean")


@pytest.mark.parametrize(("operator", "supported"), [("RSQRT", True), ("DIV", False), ("CUSTOM", False)])
def test_edge_tpu_refuses_unsupported_operators(operator: str, supported: bool) -> None:
    model = new_model("one operator")
    graph, types = model.subgraphs[0], schema().TensorType
    ends = [add_tensor(graph, name, (1, 4), types.INT8, quant_params(0.1)) for name in (b"input", b"output")]
    graph.inputs, graph.outputs = ends[:1], ends[1:]
    graph.operators.append(new_operator(model, getattr(schema().BuiltinOperator, operator), 1, ends[:1], ends[1:]))
    if supported:
        check_edge_tpu(pack_model(model), name="it")
        return
    with pytest.raises(ModelError, match=f"it: the Edge TPU has no operator {operator}"):
        check_edge_tpu(pack_model(model), name="it")


def test_firmware_contains_the_model_without_appended_files_and_states_its_size(
    export: Callable[..., Firmware], tmp_path: Path
) -> None:
    found = export(board("esp32s3"))
    content = color_model("int8", 1 / 128, normalization=BACKBONE)
    assert (tmp_path / "firmware/colors.tflite").read_bytes() == content and found.model_size == len(content)
    assert found.board == board("esp32s3") and found.largest_difference == 0
    header = (tmp_path / "firmware/photo_classifier/model.h").read_text()
    assert "kInputWidth = 8;" in header and "kInputHeight = 8;" in header


def test_labels_in_firmware_are_c_strings_of_their_utf8_bytes() -> None:
    """An escape has three digits, so that a digit after it is not part of it."""
    labels = ('"1"', "what?", "a\\7", "tab\t0", "rosé8")
    header = firmware_files(replace(MODEL, labels=labels), board("nano33"))["photo_classifier/labels.h"]
    written = re.findall(r'^    "(.*)",$', header, re.MULTILINE)
    assert all(re.fullmatch(r"([^\\?\"]|\\[0-7]{3})*", text) for text in written)
    decoded = [re.sub(r"\\(.{3})", lambda match: chr(int(match[1], 8)), text) for text in written]
    assert tuple(text.encode("latin-1").decode() for text in decoded) == labels


def test_model_names_in_firmware_comments_have_no_line_breaks_or_backslashes() -> None:
    """A backslash at the end of a line would continue the comment on the next line."""
    files = firmware_files(replace(MODEL, name="C:\\models\n#error x\\"), board("nano33"))
    comments = [line for line in files["photo_classifier/model.h"].splitlines() if "models" in line]
    assert comments == ["// C: models #error x "]


@pytest.mark.parametrize(
    ("name", "lines", "without"),
    [
        ("esp32s3", ('TARGET="esp32s3"', "FLASHSIZE_8MB=y", "SPIRAM_MODE_OCT=y"), "FLASHSIZE_4MB"),
        ("esp32cam", ('TARGET="esp32"', "FLASHSIZE_4MB=y", "CONFIG_SPIRAM=y"), "SPIRAM_MODE_OCT"),
    ],
)
def test_esp_idf_project_is_configured_for_the_flash_and_psram_of_the_board(
    name: str, lines: tuple[str, ...], without: str
) -> None:
    config = firmware_files(MODEL, board(name))["esp-idf/sdkconfig.defaults"]
    assert all(line in config for line in lines) and without not in config
