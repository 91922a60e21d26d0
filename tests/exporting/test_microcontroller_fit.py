"""Tests of the memory of boards, and of the search for an architecture that fits, without TensorFlow Lite Micro."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from poets_edge.errors import UsageError
from poets_edge.exporting.microcontroller import fitting
from poets_edge.exporting.microcontroller import microcontroller as module
from poets_edge.exporting.microcontroller.boards import Board, board, board_with_memory, parse_memory
from poets_edge.exporting.microcontroller.fitting import MicroCost, fitting_architecture
from poets_edge.exporting.options import ExportOptions
from poets_edge.nets.architectures import architecture
from poets_edge.nets.layers import INPUT, Layer
from poets_edge.nets.network import Network, Parameters, checked
from poets_edge.photos.folder import Photo
from poets_edge.photos.normalization import BACKBONE
from poets_edge.tflite.flatbuffer import pack_model, schema, unpack_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata
from tests.tiny_model import COLORS, color_model


@pytest.mark.parametrize(
    ("memory", "expected"),
    [("1", 1), (" 2 KB ", 2048), ("0.5MB", 524_288), ("1023GB", None), ("0", None), ("0.5", None)],
)
def test_memory_sizes_within_the_limits_are_converted_to_bytes(memory: str, expected: int | None) -> None:
    if expected is None:
        with pytest.raises(UsageError, match="is not a size"):
            parse_memory(memory)
    else:
        assert parse_memory(memory) == expected


def test_memory_option_changes_no_other_property_of_a_board() -> None:
    own = board("pico2")
    found = board_with_memory("pico2", "100KB")
    assert found == replace(own, memory=102_400)
    assert board_with_memory("pico2", None) == own and board_with_memory(None, None) is None
    with pytest.raises(UsageError, match="give `board`, too"):
        board_with_memory(None, "100KB")


@pytest.mark.parametrize(
    ("name", "memory", "flash"),
    [
        ("esp32s3", 7_864_320, 4_194_304), ("xiao-esp32s3", 7_864_320, 4_194_304), ("esp32cam", 3_670_016, 2_097_152),
        ("nano33", 166_400, 655_360), ("pico2", 417_792, 3_145_728),
    ],
)  # fmt: skip
def test_board_memory_and_flash_exclude_the_memory_used_by_the_system(name: str, memory: int, flash: int) -> None:
    """The expected values are the sizes in the data sheets minus the memory for frame buffers, firmware and system."""
    assert (board(name).memory, board(name).flash) == (memory, flash)


def small_network() -> Network:
    layers = (
        Layer("first", "convolution", (INPUT,), 4, (3, 3), 2, activation="relu6"),
        Layer("bottleneck", "mean", ("first",)),
    )
    parameters = {"first": Parameters(np.ones((3, 3, 3, 4), np.float32), np.zeros(4, np.float32))}
    return checked((8, 8), layers, parameters)


def test_arena_lower_bound_is_the_largest_input_plus_output_size_of_any_layer() -> None:
    network = small_network()
    assert fitting._least_arena(network, gray=False) == 8 * 8 * 3 + 4 * 4 * 4
    assert fitting._least_arena(network, gray=True) == 8 * 8 + 4 * 4 * 4
    assert fitting._weights(network) == 3 * 3 * 3 * 4


def test_blank_network_has_the_parameter_shapes_of_a_trained_network() -> None:
    entry = architecture("mobilenet_0.25_128")
    network = fitting.blank_network(entry, 7)
    assert network.size == entry.size
    detector = network.detector
    assert detector is not None
    assert detector.inner is None
    shapes = [getattr(detector, field.name).shape for field in fields(detector) if field.name != "inner"]
    assert shapes == [(256, 32), (32,), (32,), (32, 7), (7,), (32,), (1,)]
    assert network.shapes()["final_result"] == (7,)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the networks whose memory was measured; each needs 100 bytes per 1,000 input pixels, a third if gray."""
    found: list[str] = []

    def cost(network: Network, *, name: str) -> MicroCost:
        found.append(name)
        arena = network.size[0] * network.size[1] // 10
        return MicroCost(arena=arena, size=1000, gray_arena=arena // 3)

    monkeypatch.setattr(fitting, "micro_cost", cost)
    monkeypatch.setattr(fitting, "_least_arena", lambda network, gray: 0)
    monkeypatch.setattr(fitting, "_weights", lambda network: 500)
    return found


def test_largest_fitting_architecture_is_found_for_rgb_and_gray_input(measured: list[str]) -> None:
    limited = replace(board("nano33"), memory=192 * 192 // 10, flash=1000)
    found = fitting_architecture(limited, classes=5)
    assert found is not None and found[0].name == "mobilenet_1.0_192" and not found[0].gray
    assert measured[:2] == ["mobilenet_1.0_224", "mobilenet_1.0_192"], "the largest first"
    gray = fitting_architecture(replace(limited, memory=192 * 192 // 10 // 3), classes=5, gray=True)
    assert gray is not None and gray[0] == found[0].in_gray() and gray[1].arena > limited.memory // 3
    assert fitting_architecture(replace(limited, flash=999), classes=5) is None
    measured.clear()
    assert fitting_architecture(replace(limited, flash=499), classes=5) is None and measured == [], "too many weights"


def test_memory_is_not_measured_for_networks_that_cannot_fit(
    measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = replace(board("nano33"), memory=1 << 20, flash=1000)
    monkeypatch.setattr(fitting, "_least_arena", lambda network, gray: (1 << 20) + gray)
    assert fitting_architecture(limited, classes=5) is not None and len(measured) == 1
    assert fitting_architecture(limited, classes=5, gray=True) is None and len(measured) == 1


def test_memory_is_measured_for_rgb_and_gray_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "uncalibrated", lambda network, gray=False: b"gray" if gray else b"color")
    arenas = {b"color": 900, b"gray": 300}
    monkeypatch.setattr(
        fitting, "run_micro", lambda model, values, name: SimpleNamespace(arena=arenas[model], outputs=())
    )
    assert fitting.micro_cost(small_network(), name="it") == MicroCost(arena=900, size=5, gray_arena=300)


@pytest.mark.parametrize("gray", [False, True])
def test_memory_is_measured_with_int8_inputs_and_outputs(gray: bool) -> None:
    """Two more operators would convert uint8 ends, and their tensors would be counted."""
    model = unpack_model(fitting.uncalibrated(fitting.blank_network(architecture("mobilenet_0.25_96"), 5), gray=gray))
    graph = model.subgraphs[0]
    ends = [graph.tensors[index] for index in (*graph.inputs, *graph.outputs)]
    assert [(list(tensor.shape), tensor.type) for tensor in ends] == [
        (shape, schema().TensorType.INT8) for shape in ([1, 96, 96, 1 if gray else 3], [1, 5], [1, 1])
    ]


def test_error_for_a_model_that_is_too_large_suggests_rgb_before_gray(monkeypatch: pytest.MonkeyPatch) -> None:
    entry, cost = architecture("mobilenet_0.25_96"), MicroCost(arena=5000, size=1, gray_arena=4000)
    fits = {False: None, True: None}

    def found(target: Board, *, classes: int, gray: bool) -> Any:
        assert classes == 5
        return fits[gray]

    monkeypatch.setattr(module, "fitting_architecture", found)
    assert module._remedy(board("nano33"), classes=5).startswith("No architecture here would fit")
    fits[True] = (entry.in_gray(), cost)  # type: ignore[assignment]
    assert module._remedy(board("nano33"), classes=5) == (
        "mobilenet_0.25_96_gray would fit with `gray` (4,000 bytes): poets-edge train --architecture"
        " mobilenet_0.25_96_gray"
    )
    fits[False] = (entry, cost)  # type: ignore[assignment]
    assert module._remedy(board("nano33"), classes=5).startswith("mobilenet_0.25_96 would fit (5,000 bytes)")


def test_firmware_is_compared_on_evenly_spaced_test_photos(tmp_path: Path) -> None:
    photos = []
    for number in range(60):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
        photos.append(Photo(path, path.name, "a"))
    photos[2] = replace(photos[2], path=tmp_path / "gone.png")
    classifier: Any = SimpleNamespace(size=(8, 8))
    file: Any = SimpleNamespace(scored=SimpleNamespace(photos=photos))
    found = [int(picture[0, 0, 0]) for picture in module._test_pictures(file, classifier)]
    assert found == [0, *range(4, 50, 2)], "every second one, up to 25, without the unreadable one"
    [gray] = module._test_pictures(SimpleNamespace(scored=None), classifier)  # type: ignore[arg-type]
    assert gray.shape == (8, 8, 3) and (gray == 128).all()


def test_firmware_contains_the_model_without_metadata_and_its_input_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The full-int8 file is written beside the firmware with its metadata, which the firmware does not contain."""
    parts = unpack_model(color_model("int8", 1 / 128))
    parts.subgraphs[0].tensors[parts.subgraphs[0].inputs[0]].shape = np.array([1, 8, 12, 3], np.int32)
    bare, info = pack_model(parts), ModelInfo("net", "a description", COLORS)
    content = with_files(with_metadata(bare, info, BACKBONE), info, {})
    own = Classifier(ModelFile(Path("m"), content))
    [outputs] = own.session.run_some(own.input_values(np.full((8, 12, 3), 128, np.uint8))[None], range(1))
    ran: list[bytes] = []

    def run(model: bytes, values: Any, name: str) -> Any:
        ran.append(model)
        return SimpleNamespace(arena=1000, outputs=[(outputs,)])

    file = SimpleNamespace(path=tmp_path / "m.tflite", scored=None)
    prepared = SimpleNamespace(
        result=SimpleNamespace(files=[file]), contents=[content], models={"full-int8": bare}, remember=lambda: None
    )
    monkeypatch.setattr(module, "prepare_export", lambda options, reporter: prepared)
    monkeypatch.setattr(module, "run_micro", run)
    options = ExportOptions(graph=tmp_path / "g.pb", output_dir=tmp_path / "out")
    found = module.export_firmware(options, board("esp32s3"))
    assert ran == [bare] and found.model_size == len(bare) < len(content)
    assert (tmp_path / "out/m.tflite").read_bytes() == content
    header = (tmp_path / "out/photo_classifier/model.h").read_text()
    assert "kInputWidth = 12;" in header and "kInputHeight = 8;" in header and f"kModelSize = {len(bare)};" in header
    assert "// a description" in header


def test_fitting_architecture_is_the_one_with_the_most_multiply_accumulates(monkeypatch: pytest.MonkeyPatch) -> None:
    """mobilenet_0.50_224 has fewer parameters than mobilenet_0.75_128, but more multiply-accumulates."""

    def measured(network: Network, *, name: str) -> MicroCost:
        return MicroCost(arena=10**9 if "0.75_160" in name else 1, size=1, gray_arena=1)

    monkeypatch.setattr(fitting, "micro_cost", measured)
    found = fitting_architecture(replace(board("pico2"), memory=610_000, flash=3_000_000), classes=5)
    assert found is not None and found[0].name == "mobilenet_0.50_224"
