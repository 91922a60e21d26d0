"""Tests of `export --target microcontroller`: firmware is compiled, and run with the kernels of TensorFlow Lite Micro.

The shared library in the Python package tflite-micro contains all kernels and exports their symbols, but the package
has no headers. The headers in `tests/exporting/tflm` declare the functions that the firmware uses.
"""

from __future__ import annotations

import ctypes
import functools
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from poets_edge.errors import ModelError, UsageError
from poets_edge.exporting.export import prepare_export
from poets_edge.exporting.generated_files import LIST
from poets_edge.exporting.microcontroller import microcontroller
from poets_edge.exporting.microcontroller.boards import BOARDS, board
from poets_edge.exporting.microcontroller.firmware import MicroModel, firmware_files
from poets_edge.exporting.microcontroller.fitting import blank_network, fitting_architecture, micro_cost
from poets_edge.exporting.microcontroller.microcontroller import Firmware, export_firmware
from poets_edge.exporting.microcontroller.tflm import micro_operators, run_micro
from poets_edge.exporting.options import ExportOptions
from poets_edge.nets.architectures import architecture
from poets_edge.photos.image import fit, read_photo
from poets_edge.progress import Silent
from tests.conftest import ROOT, Trained, poets_edge
from tests.needs import missing, need_module

HEADERS = Path(__file__).parent / "tflm"
RGB888, RGB565, GRAY8 = 0, 1, 2
WARNINGS = ("-Wall", "-Wextra", "-Werror")

Pixels = npt.NDArray[np.uint8]


def compile_cpp(*arguments: str | Path) -> None:
    subprocess.run([compiler(), *WARNINGS, *map(str, arguments)], check=True)


def compiler() -> str:
    return shutil.which("g++") or missing("g++ is not installed")


@pytest.fixture(scope="module")
def firmware(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    need_module("tflite_micro")
    options = ExportOptions(
        graph=trained.folder / "tf_files/retrained_graph.pb", output_dir=tmp_path_factory.mktemp("firmware")
    )
    return export_firmware(options, board("esp32s3"))


@pytest.fixture(scope="module")
def library(firmware: Firmware) -> Any:
    """The firmware as a shared library that uses the kernels in the package tflite-micro, loaded with ctypes."""
    sketch, target = firmware.folder / "photo_classifier", firmware.folder / "firmware.so"
    sources = [sketch / name for name in ("classifier.cc", "model.cc", "preprocess.cc")]
    includes = ("-I", sketch, "-I", HEADERS)
    compile_cpp("-std=c++14", "-O2", "-shared", "-fPIC", *includes, *sources, HEADERS / "host.cc", "-o", target)
    runtime = need_module("tflite_micro.python.tflite_micro.runtime")
    ctypes.CDLL(runtime._runtime.__file__, ctypes.RTLD_GLOBAL)
    found = ctypes.CDLL(str(target))
    found.Score.restype = found.BestLabel.restype = ctypes.c_char_p
    return found


def address(values: npt.NDArray[Any]) -> ctypes.c_void_p:
    return values.ctypes.data_as(ctypes.c_void_p)


def preprocessed(library: Any, frame: Pixels, layout: int, size: tuple[int, int], channels: int = 3) -> Pixels:
    """Return the model input that the firmware computes from a camera frame, as uint8 [height, width, channels]."""
    height, width = size
    values = np.zeros((height, width, channels), np.int8)
    rows, columns = frame.shape[:2]
    library.Preprocess(address(frame), columns, rows, layout, width, height, channels, address(values))
    return np.asarray(values.astype(np.int16) + 128, np.uint8)


def random_frame(height: int, width: int, channels: int = 3) -> Pixels:
    coarse = np.random.default_rng(height * width).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    frame = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return np.ascontiguousarray(frame[..., :channels])


def test_firmware_is_written_with_a_list_of_its_files(firmware: Firmware) -> None:
    """With the list, the next export recognizes edited files, which it does not overwrite."""
    listed = json.loads((firmware.folder / LIST).read_text())["files"]
    assert {"README.md", "photo_classifier/photo_classifier.ino", firmware.file.path.name} <= set(listed)


def test_firmware_scores_equal_those_of_classifier(firmware: Firmware, library: Any, flowers: Path) -> None:
    """The firmware uses the kernels of TensorFlow Lite Micro, and also detects the same unknown photos as `Classifier`.

    One of the images is random noise, which is unknown.
    """
    classifier = Classifier(firmware.file.path)
    frames = [np.ascontiguousarray(read_photo(photo)) for photo in sorted(flowers.glob("*/*"))[::90]]
    labels, verdicts = set(), set()
    for frame in (*frames, np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)):
        scores, unknown = np.zeros(len(classifier.labels), np.float32), np.zeros(1, np.int32)
        height, width = frame.shape[:2]
        assert library.Score(address(frame), width, height, RGB888, address(scores), address(unknown)) is None
        expected = classifier(Image.fromarray(frame))
        np.testing.assert_array_equal(scores, classifier.scores(Image.fromarray(frame)))
        assert unknown[0] == expected.unknown
        labels.add(library.BestLabel(address(scores)).decode())
        verdicts.add(expected.unknown)
    assert len(labels) >= 3 and labels <= set(classifier.labels) and verdicts == {False, True}


def test_full_int8_and_float32_models_detect_nearly_the_same_unknown_photos(
    firmware: Firmware, trained: Trained, flowers: Path
) -> None:
    """The models disagree on at most 3 % of the flower photos, and 5 % of all images, including negatives and noise."""
    integer, real = Classifier(firmware.file.path), Classifier(trained.model("float32"))
    photos = [np.asarray(read_photo(photo)) for photo in sorted(flowers.glob("*/*"))[::16]]
    frames = [random_frame(60 + index, 80) for index in range(len(photos))]
    images = [Image.fromarray(pixels) for pixels in (*photos, *(255 - photo for photo in photos), *frames)]
    verdicts = np.array([(integer(image).unknown, real(image).unknown) for image in images])
    assert 0.2 < verdicts[:, 1].mean() < 0.8
    agree = verdicts[:, 0] == verdicts[:, 1]
    assert agree[: len(photos)].mean() >= 0.97 and agree.mean() >= 0.95


@pytest.mark.parametrize(
    ("frame", "size"),
    [
        ((240, 320), (96, 96)),
        ((120, 160), (128, 128)),
        ((64, 48), (96, 160)),
        ((96, 96), (96, 96)),
        ((481, 333), (5, 7)),
    ],
)
def test_firmware_preprocesses_frames_like_python(library: Any, frame: tuple[int, int], size: tuple[int, int]) -> None:
    pixels = random_frame(*frame)
    np.testing.assert_array_equal(preprocessed(library, pixels, RGB888, size), fit(Image.fromarray(pixels), size))


def test_firmware_expands_rgb565_frames_to_rgb(library: Any) -> None:
    packed = np.random.default_rng(0).integers(0, 1 << 16, (60, 80), np.uint16)
    red, green, blue = packed >> 11, packed >> 5 & 63, packed & 31
    expanded = np.stack([red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2], axis=-1).astype(np.uint8)
    frame = np.stack([packed >> 8, packed & 255], axis=-1).astype(np.uint8)
    np.testing.assert_array_equal(
        preprocessed(library, frame, RGB565, (32, 40)), fit(Image.fromarray(expanded), (32, 40))
    )


def test_preprocessing_converts_gray_frames_to_rgb_and_rgb_frames_to_gray(library: Any) -> None:
    gray = random_frame(60, 80, 1)
    resized = preprocessed(library, gray, GRAY8, (32, 40))
    np.testing.assert_array_equal(resized, fit(Image.fromarray(gray[..., 0]).convert("RGB"), (32, 40)))
    color = random_frame(60, 80)
    expected = np.asarray(Image.fromarray(fit(Image.fromarray(color), (32, 40))).convert("L"))
    np.testing.assert_array_equal(preprocessed(library, color, RGB888, (32, 40), 1)[..., 0], expected)


@pytest.mark.parametrize("name", [one.name for one in BOARDS])
def test_arduino_and_esp_idf_sources_compile_for_every_board(name: str, tmp_path: Path) -> None:
    """The sources are compiled with declarations of the functions in Arduino, ESP-IDF and the camera drivers."""
    model = MicroModel(
        name="a test", content=bytes(range(256)), labels=['a "b" \\ ü??', "c"], size=(96, 128), channels=3, arena=1000,
        operators=("Conv2D", "Softmax"), has_detector=True,
    )  # fmt: skip
    for path, text in firmware_files(model, board(name)).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    sketch, boards = tmp_path / "photo_classifier", HEADERS / "boards"
    check = ("-fsyntax-only", "-I", sketch, "-I", HEADERS, "-I", boards)
    compile_cpp(*check, "-std=c++14", "-x", "c++", "-include", "Arduino.h", sketch / "photo_classifier.ino")
    if board(name).chip:
        compile_cpp(*check, "-std=c++17", tmp_path / "esp-idf/main/main.cc")
    compile_cpp(*check, "-std=c++14", sketch / "model.cc")
    assert ((tmp_path / "esp-idf").is_dir(), (sketch / "camera_pins.h").is_file()) == (bool(board(name).chip),) * 2
    assert "static_assert" in (sketch / "model.cc").read_text()


def test_firmware_export_measures_memory_and_compares_scores(firmware: Firmware) -> None:
    of_network = ("Conv2D", "DepthwiseConv2D", "FullyConnected", "Mean", "Softmax")
    of_detector = ("Concatenation", "FullyConnected", "Mul", "ReduceMax", "Rsqrt", "SquaredDifference")
    assert firmware.operators == tuple(sorted({*of_network, *of_detector}))
    assert firmware.largest_difference == 0 and firmware.compared >= 20
    assert firmware.arena < firmware.memory == board("esp32s3").memory
    header = (firmware.folder / "photo_classifier/model.h").read_text()
    assert (
        f"kArenaSize = {-(-firmware.arena // 16) * 16};" in header and f"kModelSize = {firmware.model_size};" in header
    )
    assert firmware.file.path.parent == firmware.folder and firmware.file.accuracy is not None
    assert json.dumps(firmware.to_json())


def test_smallest_arena_in_which_a_model_runs_is_found(firmware: Firmware) -> None:
    """The model runs in an arena of the reported size, but not in an arena that is 16 bytes smaller."""
    need_module("tflite_micro")
    source = (firmware.folder / "photo_classifier/model.cc").read_text()
    data = bytes(
        map(int, source[source.index("kModel[]") :].split("{")[1].split("}")[0].replace("\n", "").split(",")[:-1])
    )
    assert run_micro(data, [], name="it").arena == firmware.arena
    script = (
        "import sys; from tflite_micro.python.tflite_micro import runtime;"
        "runtime.Interpreter.from_bytes(sys.stdin.buffer.read(), arena_size=int(sys.argv[1]))"
    )

    def status(size: int) -> int:
        return subprocess.run([sys.executable, "-c", script, str(size)], input=data, capture_output=True).returncode

    assert status(firmware.arena) == 0 and status(firmware.arena - 16) != 0


def test_error_for_a_too_large_model_names_a_model_that_fits(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_module("tflite_micro")
    convert_once = functools.cache(lambda options: prepare_export(options, Silent()))
    monkeypatch.setattr(microcontroller, "prepare_export", lambda options, _: convert_once(options))
    options = ExportOptions(graph=trained.folder / "tf_files/retrained_graph.pb", output_dir=tmp_path / "firmware")
    with pytest.raises(
        ModelError, match=r"need [\d,]+ bytes of memory, and nano33 has 166,400 .*mobilenet_0.25_128 would fit"
    ):
        export_firmware(options, board("nano33"))
    with pytest.raises(ModelError, match=r"mobilenet_0.25_96_gray would fit with `gray` \([\d,]+ bytes\)"):
        export_firmware(options, board("nano33"), memory=95_000)
    with pytest.raises(ModelError, match="No architecture here would fit"):
        export_firmware(options, board("nano33"), memory=50_000)
    assert not (tmp_path / "firmware").exists()


def test_fitting_architecture_returns_the_largest_architecture_that_fits() -> None:
    need_module("tflite_micro")
    limited = replace(board("nano33"), memory=170_000, flash=500_000)
    found = fitting_architecture(limited, classes=5)
    assert found is not None and found[0].name == "mobilenet_0.25_128"
    larger = micro_cost(blank_network(architecture("mobilenet_0.25_160"), 5), name="larger")
    assert found[1].arena <= 170_000 < larger.arena
    smaller = fitting_architecture(replace(limited, memory=found[1].arena - 1), classes=5)
    assert smaller is not None and smaller[0].name == "mobilenet_0.25_96"
    assert fitting_architecture(replace(limited, memory=1 << 30, flash=1000), classes=5) is None
    narrow = replace(limited, memory=smaller[1].arena - 1)
    assert fitting_architecture(narrow, classes=5) is None
    gray = fitting_architecture(narrow, classes=5, gray=True)
    assert gray is not None and gray[0] == smaller[0].in_gray()


def test_model_with_float_operators_is_refused(trained: Trained) -> None:
    need_module("tflite_micro")
    classifier = Classifier(trained.model("int8"))
    values = classifier.input_values(np.zeros((*classifier.size, 3), np.uint8))[None]
    with pytest.raises(ModelError, match="TensorFlow Lite Micro cannot run the model"):
        run_micro(classifier.file.content, [values], name="int8")
    assert "Dequantize" in micro_operators(classifier.file.content)


def test_documentation_lists_every_board_with_its_source() -> None:
    page = (ROOT / "docs/targets.md").read_text("utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    assert set(rows) == {one.name for one in BOARDS}
    for one in BOARDS:
        assert f"]({one.source})" in rows[one.name] and one.source.startswith("https://")


def test_error_for_an_unknown_board_lists_the_known_boards() -> None:
    with pytest.raises(UsageError, match="There are esp32s3, "):
        board("z80")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--board", "nano33"], "--board and --memory belong to --target microcontroller"),
        (["--target", "microcontroller"], "needs a board: --board esp32s3|"),
        (["--target", "microcontroller", "--board", "nano33", "--quantize", "int8"], "leave out --quantize"),
        (["--target", "microcontroller", "--board", "nano33", "--memory", "some"], "is not a size"),
    ],
)
def test_export_target_refuses_incomplete_options(arguments: list[str], message: str, trained: Trained) -> None:
    poets_edge("export", *arguments, cwd=trained.folder).failed(message)


def test_gray_firmware_has_one_input_channel(firmware: Firmware, trained: Trained, tmp_path: Path) -> None:
    graph = trained.folder / "tf_files/retrained_graph.pb"
    options = ExportOptions(graph=graph, output_dir=tmp_path, quantizations=("full-int8",), gray=True)
    gray = export_firmware(options, board("esp32s3"))
    assert gray.arena <= firmware.arena and gray.largest_difference == 0
    assert "kInputChannels = 1;" in (tmp_path / "photo_classifier/model.h").read_text()
    with pytest.raises(UsageError, match="`gray` is for full-int8 files only"):
        ExportOptions(graph=graph, gray=True)
