"""Generate firmware that runs a model on a board: an Arduino sketch and, for ESP32 boards, an ESP-IDF project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import poets_edge
from poets_edge.exporting.microcontroller.boards import Board

SKETCH = "photo_classifier"
"""Name of the Arduino sketch and of its folder; Arduino requires that they are equal."""

_SOURCES = Path(__file__).parent / "firmware"
_BYTES_PER_LINE = 20


@dataclass(frozen=True, kw_only=True)
class MicroModel:
    """A model to be compiled into firmware.

    Attributes:
        name: description of the model, for comments in the sources.
        content: bytes of the `.tflite` model, without the labels and metadata files that are appended to it.
        labels: class names, in the order of the output.
        size: (height, width) of the input, pixels.
        channels: 3 for RGB, 1 for gray.
        arena: size in bytes of the tensor arena.
        operators: names of the operators that the model uses, as in `MicroMutableOpResolver`: "Conv2D" for `AddConv2D`.
        has_detector: whether the second output is the distance from the training photos.
    """

    name: str
    content: bytes
    labels: Sequence[str]
    size: tuple[int, int]
    channels: int
    arena: int
    operators: Sequence[str]
    has_detector: bool


def firmware_files(model: MicroModel, board: Board) -> dict[str, str]:
    """Return the contents of all firmware files, keyed by path relative to the firmware folder."""
    files = {
        "README.md": _readme(model, board),
        f"{SKETCH}/model.h": _model_header(model),
        f"{SKETCH}/model.cc": _model_source(model),
        f"{SKETCH}/labels.h": _labels(model.labels),
        f"{SKETCH}/operators.h": _operators(model.operators),
        f"{SKETCH}/{SKETCH}.ino": _source(f"{SKETCH}.ino"),
        f"{SKETCH}/camera.h": _source(f"camera_{board.camera}.h"),
        **{f"{SKETCH}/{path.name}": path.read_text("utf-8") for path in sorted((_SOURCES / "sketch").iterdir())},
    }
    if board.camera == "esp32":
        files[f"{SKETCH}/camera_pins.h"] = _camera_pins(board)
    if board.chip:
        for path in ("CMakeLists.txt", "main/CMakeLists.txt", "main/idf_component.yml", "main/main.cc"):
            files[f"esp-idf/{path}"] = _source(f"esp_idf/{path}")
        files["esp-idf/sdkconfig.defaults"] = _sdkconfig(board)
        files["esp-idf/partitions.csv"] = f"factory, app, factory, 0x10000, {board.flash // 1024 + 1024}K\n"
    return files


def _source(path: str) -> str:
    return (_SOURCES / path).read_text("utf-8")


def _header(name: str, body: str) -> str:
    guard = f"POETS_EDGE_{name}_H_"
    return (
        f"// Written by poets-edge {poets_edge.__version__}.\n#ifndef {guard}\n#define {guard}\n\n{body}\n#endif"
        f"  // {guard}\n"
    )


def _model_header(model: MicroModel) -> str:
    height, width = model.size
    return _header(
        "MODEL",
        f"""#include <cstddef>
#include <cstdint>

namespace poets_edge {{

// {_comment(model.name)}
alignas(16) extern const std::uint8_t kModel[];
constexpr std::size_t kModelSize = {len(model.content)};

constexpr int kInputWidth = {width};
constexpr int kInputHeight = {height};
constexpr int kInputChannels = {model.channels};

// Whether the second output is the distance from the training photos.
constexpr bool kHasDetector = {"true" if model.has_detector else "false"};

// Bytes, as measured on a computer with 64 bits. A microcontroller needs less.
constexpr std::size_t kArenaSize = {-(-model.arena // 16) * 16};

}}  // namespace poets_edge
""",
    )


def _model_source(model: MicroModel) -> str:
    data = model.content
    lines = [
        "  " + "".join(f"{byte}," for byte in data[start : start + _BYTES_PER_LINE])
        for start in range(0, len(data), _BYTES_PER_LINE)
    ]
    joined = "\n".join(lines)
    return f"""#include "model.h"

namespace poets_edge {{

alignas(16) const std::uint8_t kModel[] = {{
{joined}
}};

static_assert(sizeof kModel == kModelSize, "model.h belongs to another model");

}}  // namespace poets_edge
"""


def _labels(labels: Sequence[str]) -> str:
    listed = "\n".join(f"    {_c_string(label)}," for label in labels)
    return _header(
        "LABELS",
        f"""namespace poets_edge {{

constexpr int kLabelCount = {len(labels)};

// In the order of the model's output, UTF-8.
constexpr const char* kLabels[kLabelCount] = {{
{listed}
}};

}}  // namespace poets_edge
""",
    )


def _operators(operators: Sequence[str]) -> str:
    added = "\n".join(f"  if (operators->Add{name}() != kTfLiteOk) return kTfLiteError;" for name in operators)
    return _header(
        "OPERATORS",
        f"""#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace poets_edge {{

using Operators = tflite::MicroMutableOpResolver<{len(operators)}>;

// Adds the operators that the model consists of, and no others, which keeps the firmware small.
inline TfLiteStatus AddOperators(Operators* operators) {{
{added}
  return kTfLiteOk;
}}

}}  // namespace poets_edge
""",
    )


def _camera_pins(board: Board) -> str:
    pins = "\n".join(f"  config.pin_{name} = {number};" for name, number in board.pins.items())
    return _header(
        "CAMERA_PINS",
        f"""#include "esp_camera.h"

namespace poets_edge {{

// Pins of the camera on the {board.title}.
inline camera_config_t CameraPins() {{
  camera_config_t config = {{}};
{pins}
  config.ledc_channel = LEDC_CHANNEL_0;
  config.ledc_timer = LEDC_TIMER_0;
  return config;
}}

}}  // namespace poets_edge
""",
    )


def _sdkconfig(board: Board) -> str:
    mode = "CONFIG_SPIRAM_MODE_OCT=y\n" if board.psram == "oct" else ""
    megabytes = 8 if board.psram == "oct" else 4
    return (
        f'CONFIG_IDF_TARGET="{board.chip}"\n'
        f"CONFIG_ESPTOOLPY_FLASHSIZE_{megabytes}MB=y\n"
        "CONFIG_PARTITION_TABLE_CUSTOM=y\n"
        'CONFIG_PARTITION_TABLE_CUSTOM_FILENAME="partitions.csv"\n'
        "CONFIG_COMPILER_OPTIMIZATION_PERF=y\n"
        "CONFIG_ESP_MAIN_TASK_STACK_SIZE=8192\n"
        f"CONFIG_SPIRAM=y\n{mode}"
    )


def _readme(model: MicroModel, board: Board) -> str:
    arduino = f"""## Arduino

    arduino-cli core install {board.core}
    arduino-cli lib install Chirale_TensorFlowLite{" Arduino_OV767X" if board.camera == "ov767x" else ""}
    arduino-cli compile --fqbn {board.fqbn} {SKETCH}
    arduino-cli upload --fqbn {board.fqbn} --port /dev/ttyACM0 {SKETCH}
    arduino-cli monitor --port /dev/ttyACM0 --config 115200
"""
    idf = f"""## ESP-IDF

    cd esp-idf
    idf.py set-target {board.chip}
    idf.py build flash monitor

The project takes its sources from `../{SKETCH}`.

"""
    serial = """
The board has no camera: the sketch reads pictures from the serial port, RGB bytes of the model's input size, row by
row. Replace `camera.h` for a camera of yours.
"""
    unknown = ' It prints "unknown" for frames\nthat are unlike the training photos.' if model.has_detector else ""
    return f"""# {model.name} on the {board.title}

Written by poets-edge {poets_edge.__version__}. The model takes {len(model.content):,} bytes of flash memory, and its
tensors {model.arena:,} bytes of memory, measured in TensorFlow Lite Micro on a computer with 64 bits; a microcontroller
needs less. The firmware prints the label of what the camera sees, once a second.{unknown}
{serial if board.camera == "serial" else ""}
{idf if board.chip else ""}{arduino}
## Files

| file | contents |
|---|---|
| `{SKETCH}/model.h`, `model.cc` | the model, the size of its input, and of the memory for its tensors |
| `{SKETCH}/labels.h` | the labels |
| `{SKETCH}/operators.h` | the operators of the model |
| `{SKETCH}/preprocess.h`, `preprocess.cc` | conversion of frames to the pixels that the Python package computes |
| `{SKETCH}/classifier.h`, `classifier.cc` | the model in TensorFlow Lite Micro |
| `{SKETCH}/camera.h` | the camera{" (its pins: `camera_pins.h`)" if board.camera == "esp32" else ""} |

After another training, run the same `poets-edge export` again: all files are written anew.
"""


def _comment(text: str) -> str:
    return "".join(character if character.isprintable() and character != "\\" else " " for character in text)


def _c_string(text: str) -> str:
    """Return text as a C string literal; bytes other than printable ASCII are written as octal escapes."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'
