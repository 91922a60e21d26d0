"""Supported microcontroller boards, and how much of their memory is available for a model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from poets_edge.errors import UsageError

_KB, _MB = 1024, 1024 * 1024

Camera = Literal["esp32", "ov767x", "serial"]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A microcontroller board.

    Attributes:
        name: name on the command line.
        title: name of the product.
        memory: bytes of memory for the tensor arena; the rest is reserved for camera, stack and system.
        flash: bytes of flash memory for the model; the rest is reserved for the firmware.
        camera: source of the images: "esp32" for a camera on an ESP32, "ov767x" for Arduino's OV7675, or "serial" for
            the serial port.
        fqbn: fully qualified board name for arduino-cli.
        core: Arduino core that contains the board.
        chip: name of the chip in ESP-IDF; empty for boards that ESP-IDF does not support.
        psram: mode of the external memory (PSRAM), "quad" or "oct"; empty if the board has none.
        source: URL of the page or data sheet that states the memory sizes.
        pins: pin numbers of the camera, by field name in `camera_config_t` without the prefix `pin_`; copied from
            `camera_pins.h` in the camera examples for Espressif's Arduino core.
    """

    name: str
    title: str
    memory: int
    flash: int
    camera: Camera
    fqbn: str
    core: str
    source: str
    chip: str = ""
    psram: str = ""
    pins: dict[str, int] = field(default_factory=dict)


def _pins(numbers: str) -> dict[str, int]:
    """Parse the pin numbers of a camera, in the order pwdn, reset, xclk, ..., pclk; return them by field name."""
    names = "pwdn reset xclk sccb_sda sccb_scl d7 d6 d5 d4 d3 d2 d1 d0 vsync href pclk"
    return dict(zip(names.split(), map(int, numbers.split()), strict=True))


BOARDS = (
    Board(
        name="esp32s3",
        title="ESP32-S3-EYE (and other ESP32-S3 with 8 MB of PSRAM and its camera pins)",
        memory=8 * _MB - 512 * _KB,  # minus two frames of 320 x 240 and the memory of the camera driver
        flash=4 * _MB,
        camera="esp32",
        fqbn="esp32:esp32:esp32s3:PSRAM=opi,FlashSize=8M,PartitionScheme=max_app_8MB",
        core="esp32:esp32",
        source="https://components.espressif.com/components/espressif/esp32_s3_eye",
        chip="esp32s3",
        psram="oct",
        pins=_pins("-1 -1 15 4 5 16 17 18 12 10 8 9 11 6 7 13"),
    ),
    Board(
        name="xiao-esp32s3",
        title="Seeed Studio XIAO ESP32S3 Sense",
        memory=8 * _MB - 512 * _KB,
        flash=4 * _MB,
        camera="esp32",
        fqbn="esp32:esp32:XIAO_ESP32S3:PSRAM=opi,PartitionScheme=max_app_8MB",
        core="esp32:esp32",
        source="https://www.seeedstudio.com/XIAO-ESP32S3-Sense-p-5639.html",
        chip="esp32s3",
        psram="oct",
        pins=_pins("-1 -1 10 40 39 48 11 12 14 16 18 17 15 38 47 13"),
    ),
    Board(
        name="esp32cam",
        title="AI-Thinker ESP32-CAM",
        memory=4 * _MB - 512 * _KB,  # of 8 MB, an ESP32 addresses 4 MB
        flash=2 * _MB,  # of the 3 MB for the application
        camera="esp32",
        fqbn="esp32:esp32:esp32cam:PartitionScheme=huge_app",
        core="esp32:esp32",
        source="https://docs.ai-thinker.com/esp32-cam",
        chip="esp32",
        psram="quad",
        pins=_pins("32 -1 0 26 27 35 34 39 36 21 19 18 5 25 23 22"),
    ),
    Board(
        name="nano33",
        title="Arduino Nano 33 BLE Sense with the OV7675 of the Tiny Machine Learning Kit",
        memory=256 * _KB - 160 * 120 * 2 - 56 * _KB,  # minus a frame, and Mbed OS with its stacks
        flash=640 * _KB,  # of the 960 KB for the application
        camera="ov767x",
        fqbn="arduino:mbed_nano:nano33ble",
        core="arduino:mbed_nano",
        source="https://docs.arduino.cc/resources/datasheets/ABX00031-datasheet.pdf",
    ),
    Board(
        name="pico2",
        title="Raspberry Pi Pico 2",
        memory=520 * _KB - 3 * 128 * 128 - 64 * _KB,  # minus an image from the serial port, and the system
        flash=3 * _MB,
        camera="serial",
        fqbn="rp2040:rp2040:rpipico2",
        core="rp2040:rp2040",
        source="https://docs.zephyrproject.org/4.1.0/boards/raspberrypi/rpi_pico2/doc/index.html",
    ),
)
"""Supported boards. Their memory sizes are those in data sheets minus an estimate of what the system uses. The option
`--memory` overrides the memory for tensors."""


def board(name: str) -> Board:
    """Return the board with the given name.

    Raises:
        UsageError: there is no such board.
    """
    for one in BOARDS:
        if one.name == name:
            return one
    raise UsageError(f"unknown board {name!r}. There are {', '.join(one.name for one in BOARDS)}.")


def board_with_memory(name: str | None, memory: str | None) -> Board | None:
    """Return the board with the given name; None if `name` is None.

    If `memory` is given, it replaces the board's memory for tensors.

    Raises:
        UsageError: there is no such board, `memory` is not a size, or `memory` is given without a board.
    """
    if name is None:
        if memory is not None:
            raise UsageError("`memory` is that of a board: give `board`, too.")
        return None
    found = board(name)
    return replace(found, memory=parse_memory(memory)) if memory else found


def parse_memory(text: str) -> int:
    """Convert a memory size such as "320KB", "1.5 MB" or "65536" to a number of bytes.

    Raises:
        UsageError: the text is not a size.
    """
    number = text.strip().upper().removesuffix("B").strip()
    unit = {"K": _KB, "M": _MB}.get(number[-1:], 1)
    try:
        size = float(number.rstrip("KM")) * unit
    except ValueError:
        size = 0.0
    if not 1 <= size < 1 << 40:
        raise UsageError(f"`memory` {text!r} is not a size such as 320KB or 4MB.")
    return int(size)
