"""Parameter types for command-line options, and options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import click

from poets_edge.cli.command import OUTPUT, option
from poets_edge.core.credentials import split_user_info
from poets_edge.core.files import existing_head
from poets_edge.core.paths import BOTTLENECKS, MODELS
from poets_edge.errors import UsageError
from poets_edge.photos.address import is_address, photo_path
from poets_edge.tflite.formats import MODEL_SUFFIXES

PHOTOS_SECTION = "Photos"
NETWORK_SECTION = "Network"
TRAINING_SECTION = "Training"
TIMING_SECTION = "Timing"
DEVICE_SECTION = "Device"

_Function = TypeVar("_Function", bound=Callable[..., Any])
_HEAD_BYTES = 1024


class _File(click.Path):
    """Parameter type for a local path, which rejects URLs."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if is_address(str(value)):
            address = split_user_info(str(value))
            self.fail(f"{address} is an address, and files are read from this machine. Fetch it first.", param, ctx)
        return super().convert(value, param, ctx)


class _Photos(_File):
    """Parameter type for the local path or URL of photos, or the local path of a model."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if is_address(str(value)) and PurePosixPath(str(value)).suffix.lower() not in MODEL_SUFFIXES:
            return photo_path(str(value))
        return super().convert(value, param, ctx)


class _ResultFile(_File):
    """Parameter type for a file to which a result is written as JSON; an existing file of another kind is an error."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = super().convert(value, param, ctx)
        head = existing_head(path, _HEAD_BYTES).lstrip()
        if head and head[:1] not in (b"{", b"["):
            self.fail(f"{path} exists, is not JSON, and is not replaced. Name another file.", param, ctx)
        return path


class Number(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """Parameter type for a finite number, optionally limited to a range."""

    name = "number"

    def __init__(self, least: float = -math.inf, most: float = math.inf) -> None:
        self._least, self._most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = click.FLOAT.convert(value, param, ctx)
        if not math.isfinite(number):  # `nan` would pass every comparison with a limit
            self.fail(f"{value} is not a finite number.", param, ctx)
        if number < self._least:
            self.fail(f"{value} is below {self._least:g}.", param, ctx)
        if number > self._most:
            self.fail(f"{value} is above {self._most:g}.", param, ctx)
        return number


class _Numbers(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """Parameter type for one or more finite numbers, separated by commas."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        return tuple(NUMBER.convert(word, param, ctx) for word in str(value).split(","))


FILE = _File(path_type=Path)
PHOTOS = _Photos(path_type=Path)
_RESULT = _ResultFile(path_type=Path)
NUMBER = Number()
NUMBERS = _Numbers()

quiet_option = option("--quiet", "-q", is_flag=True, section=OUTPUT, help="Print results and errors only.")
bottleneck_dir_option = option(
    "--bottleneck-dir",
    type=FILE,
    metavar="DIR",
    default=BOTTLENECKS,
    section=NETWORK_SECTION,
    advanced=True,
    help="Cache of bottlenecks, shared by all commands.",
)
model_dir_option = option(
    "--model-dir",
    type=FILE,
    metavar="DIR",
    default=MODELS,
    section=NETWORK_SECTION,
    advanced=True,
    help="Folder that is searched first for weights files.",
)
remote_dir_option = option(
    "--remote-dir",
    default="",
    metavar="DIR",
    section=DEVICE_SECTION,
    help="Folder on the device in which the program creates its own folder, poets-edge.",
    show_default="cache folder; for deploy, data folder",
)


def cluster_options(function: _Function) -> _Function:
    """Add the options `--cluster` and `--insecure-cluster` to a command."""
    function = option(
        "--insecure-cluster",
        is_flag=True,
        section=NETWORK_SECTION,
        advanced=True,
        help="Allow a scheduler on another machine whose connection is not encrypted.",
    )(function)
    return option(
        "--cluster",
        default="",
        metavar="ADDRESS",
        section=NETWORK_SECTION,
        advanced=True,
        help="Compute bottlenecks on the workers of the Dask scheduler at ADDRESS, which need the photos under the same"
        " paths; or in N processes here (local:N).",
        show_default="threads of this process",
    )(function)


def on_option(name: str = "on", **settings: Any) -> Callable[[_Function], _Function]:
    """Add the option `--on HOST`, which selects a remote device, to a command."""
    text = "Measure on this device, over ssh, as pi@raspberrypi.local."
    return option("--on", name, metavar="HOST", section=DEVICE_SECTION, **{"help": text, **settings})


def result_options(function: _Function) -> _Function:
    """Add the options `--json` and `--output`, whose values the command passes to `terminal.output_json`."""
    function = option(
        "--output", type=_RESULT, metavar="FILE", section=OUTPUT, help="Also write the result to FILE, as JSON."
    )(function)
    return option("--json", "as_json", is_flag=True, section=OUTPUT, help="Print the result as JSON.")(function)


def open_option(what: str) -> Callable[[_Function], _Function]:
    """Add the option `--open`, which shows the written page in a browser."""
    return option("--open", "opened", is_flag=True, section=OUTPUT, help=f"Show the {what} in a browser.")


def thread_list(text: str) -> tuple[int, ...]:
    """Parse a list of thread counts, such as `1,2,4`. Raises UsageError if the text is invalid."""
    try:
        return tuple(int(word) for word in text.split(",")) if text.strip() else ()
    except ValueError:
        raise UsageError(f"`threads` {text}: expected a number, or several as 1,2,4.") from None
