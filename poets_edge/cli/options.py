"""Shared declarations of commands: parameter types, options, and interpretation of arguments."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from poets_edge.cli.command import CODELAB, OUTPUT, argument, option
from poets_edge.core.credentials import split_user_info
from poets_edge.core.paths import BOTTLENECKS, GRAPH, MODELS
from poets_edge.errors import ModelError, UsageError
from poets_edge.photos.address import is_address, photo_path
from poets_edge.photos.formats import is_photo_file
from poets_edge.photos.names import PHOTO_SUFFIXES
from poets_edge.photos.normalization import Normalization, is_sound
from poets_edge.photos.table import SPLIT_NAMES
from poets_edge.tflite.formats import MODEL_SUFFIXES, model_format

if TYPE_CHECKING:
    from poets_edge.photos.split import SplitConfig

PHOTOS_SECTION = "Photos"
NETWORK_SECTION = "Network"
TRAINING_SECTION = "Training"
TIMING_SECTION = "Timing"
DEVICE_SECTION = "Device"

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _File(click.Path):
    """Parameter type of a local path; addresses are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if is_address(str(value)):
            address = split_user_info(str(value))
            self.fail(f"{address} is an address, and files are read from this machine. Fetch it first.", param, ctx)
        return super().convert(value, param, ctx)


class _Photos(_File):
    """Parameter type of a local path or address of photos, or a local path of a model."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if is_address(str(value)) and PurePosixPath(str(value)).suffix.lower() not in MODEL_SUFFIXES:
            return photo_path(str(value))
        return super().convert(value, param, ctx)


class Number(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """Parameter type of a finite number, optionally in a range."""

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
    """Parameter type of finite numbers, separated by commas."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        return tuple(NUMBER.convert(word, param, ctx) for word in str(value).split(","))


FILE = _File(path_type=Path)
PHOTOS = _Photos(path_type=Path)
NUMBER = Number()
NUMBERS = _Numbers()

folder_argument = argument(
    "folders",
    "[FOLDER]",
    {
        "FOLDER": "One folder of photos for each class, named after it; or a .zip or .tar of these folders, or an"
        " address, such as s3://bucket/photos."
    },
    nargs=-1,
    type=PHOTOS,
)
image_dir_option = option(
    "--image-dir", type=PHOTOS, metavar="FOLDER", section=CODELAB, help="FOLDER, as the codelab names it."
)
exclude_option = option(
    "--exclude", type=FILE, metavar="FILE", section=PHOTOS_SECTION, help="Photos to skip or relabel, saved by audit."
)
recursive_option = option(
    "--recursive", is_flag=True, section=PHOTOS_SECTION, help="Include subfolders of class folders."
)
zip_encoding_option = option(
    "--zip-encoding",
    metavar="NAME",
    section=PHOTOS_SECTION,
    advanced=True,
    help="Encoding of names in a .zip that are not UTF-8, as gbk or cp932.",
    show_default="cp437",
)
rehash_option = option(
    "--rehash",
    is_flag=True,
    section=PHOTOS_SECTION,
    advanced=True,
    help="Read every photo again. By default a photo whose size, times and inode are unchanged is not read.",
)
quiet_option = option("--quiet", "-q", is_flag=True, section=OUTPUT, help="Print results and errors only.")
delegate_option = option(
    "--delegate",
    metavar="LIBRARY",
    section="Model",
    help="Shared library that runs the model, such as libedgetpu.so.1 for a Coral Edge TPU.",
)
labels_option = option(
    "--labels",
    type=FILE,
    metavar="FILE",
    section="Model",
    help="Labels of a model that has none, one a line; or new names: old=new.",
)
accept_all_option = option(
    "--accept-all",
    is_flag=True,
    section="Answer",
    help="Give a label to photos unlike the training photos, too, instead of 'unknown'.",
)
input_range_option = option(
    "--input-range",
    metavar="LOW:HIGH",
    section="Model",
    help="Input values of the pixels 0 and 255, for a foreign model that does not tell them: -1:1, 0:1 or 0:255.",
    show_default="as the model tells",
)
graph_option = option(
    "--graph",
    type=FILE,
    metavar="FILE",
    section=CODELAB,
    help="The model, as the codelab names it.",
    show_default=False,
)
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
    help="Folder on the device in which the program makes its own folder, poets-edge.",
    show_default="cache folder; for deploy, data folder",
)


def cluster_options(function: _Function) -> _Function:
    """Declare `--cluster` and `--insecure-cluster`."""
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


def input_options(function: _Function) -> _Function:
    """Declare `--input-range`, and `--input-mean` with `--input-std`, which specify the range in units of pixels.

    The function receives `input_range` as text for `parse_input_range`, or None if none of the options is given.
    """

    @functools.wraps(function)
    def merged(
        *arguments: Any,
        input_range: str | None,
        input_mean: tuple[float, ...] | None,
        input_std: tuple[float, ...] | None,
        **others: Any,
    ) -> Any:
        if (input_mean is None) != (input_std is None):
            raise UsageError("--input-mean and --input-std belong together.")
        return function(*arguments, input_range=merged_range(input_range, input_mean, input_std), **others)

    declared: Any = merged
    for name in ("std", "mean"):
        declared = option(
            f"--input-{name}",
            type=NUMBERS,
            metavar="X",
            section="Model",
            advanced=True,
            help=f"The model's input {name}, in units of pixels; or three, separated by commas.",
        )(declared)
    found: _Function = input_range_option(declared)
    return found


def merged_range(input_range: str | None, mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> str | None:
    """Return the input range from the options; None if none is given. Raises UsageError if there are two ranges."""
    if mean is None or std is None:
        return input_range
    if input_range is not None:
        raise UsageError("--input-range and --input-mean say the same; give one.")
    if len(mean) != len(std) or not is_sound(mean, std):
        raise UsageError("--input-mean and --input-std: one number or three are wanted of each, and std positive.")
    return Normalization(mean, std).text


def on_option(name: str = "on", **settings: Any) -> Callable[[_Function], _Function]:
    """Declare `--on HOST`."""
    text = "Measure on this device, over ssh, as pi@raspberrypi.local."
    return option("--on", name, metavar="HOST", section=DEVICE_SECTION, **{"help": text, **settings})


def split_option(help: str, show_default: str) -> Callable[[_Function], _Function]:
    """Declare `--split`, the split of the photos to score."""
    return option(
        "--split",
        "split",
        type=click.Choice([*SPLIT_NAMES, "unseen", "all"]),
        old=("--set",),
        section=PHOTOS_SECTION,
        help=help,
        show_default=show_default,
    )


def percentage_options(
    default: SplitConfig | None, show_default: str | bool = True
) -> Callable[[_Function], _Function]:
    """Declare `--testing-percentage` and `--validation-percentage`."""

    def declare(function: _Function) -> _Function:
        for name, what in (("validation", "validation"), ("testing", "test")):
            function = option(
                f"--{name}-percentage",
                name,
                type=int,
                default=getattr(default, name, None),
                section=PHOTOS_SECTION,
                advanced=name == "validation",
                help=f"Percentage of {what} photos.",
                show_default=show_default,
            )(function)
        return function

    return declare


group_by_option = option(
    "--group-by",
    default="",
    metavar="PATTERN|parent|CSV",
    show_default="found by contents, names and similarity",
    section=PHOTOS_SECTION,
    advanced=True,
    help="Photos that stay together in sets and folds: a regular expression that finds the group in a photo's path, the"
    " folders inside class folders, or a .csv file with the columns photo and group.",
)


def result_options(function: _Function) -> _Function:
    """Declare `--json` and `--output`, for `poets_edge.cli.terminal.give`."""
    function = option(
        "--output", type=FILE, metavar="FILE", section=OUTPUT, help="Also write the result to FILE, as JSON."
    )(function)
    return option("--json", "as_json", is_flag=True, section=OUTPUT, help="Print the result as JSON.")(function)


def open_option(what: str) -> Callable[[_Function], _Function]:
    """Declare `--open`, which opens a page in the browser."""
    return option("--open", "opened", is_flag=True, section=OUTPUT, help=f"Show the {what} in a browser.")


def models_and_rest(arguments: Sequence[Path], graph: Path | None) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Separate models from photos and folders among a command's arguments, by content.

    Args:
        graph: value of `--graph`; if given, no argument is a model.

    Returns:
        The models, or `train`'s default graph if no argument is a model; and the other arguments.

    Raises:
        ModelError: a model has a format that cannot be read.
        UsageError: no model is given, and the default graph does not exist; or the first of several arguments, where a
            model is named, is neither a model nor photos.
    """
    if graph is not None:
        return (graph,), tuple(arguments)
    models = tuple(path for path in arguments if _is_model(path))
    rest = tuple(path for path in arguments if path not in models)
    if models:
        return models, rest
    if len(rest) > 1 and isinstance(rest[0], Path) and str(rest[0]) != "-" and not rest[0].is_dir():
        _check_photo(rest[0])
    if not GRAPH.is_file():
        raise UsageError(f"no model named, and train has not written {GRAPH} here. Name a .tflite or .pb file.")
    return (GRAPH,), rest


def _is_model(path: Path) -> bool:
    """Return whether an argument is a model. Raises ModelError if its format is known but cannot be read."""
    if not isinstance(path, Path):  # an address
        return path.suffix.lower() in MODEL_SUFFIXES
    found = model_format(path)
    if found is not None and found.way_out:
        raise ModelError(found.refusal(path))
    return found is not None or (path.suffix.lower() in MODEL_SUFFIXES and not path.is_dir())


def _check_photo(path: Path) -> None:
    """Raise UsageError unless a file is a photo or an archive of photos."""
    from poets_edge.photos.sources import is_archive_or_address  # 4 % of `label`, where everything is in order

    if path.suffix.lower() in PHOTO_SUFFIXES or is_archive_or_address(str(path)):
        return
    if not path.exists():
        raise UsageError(f"{path}: no such file.")
    if not is_photo_file(path):
        raise UsageError(f"{path}: neither a model that is known here (.tflite, .pb) nor a photo.")


def one_folder(arguments: Sequence[Path], image_dir: Path | None, zip_encoding: str | None = None) -> Path:
    """Return the folder of photos, given as an argument or by `--image-dir`.

    Raises:
        UsageError: no folder or several folders are given, or `zip_encoding` is given but the folder is not a zip.
    """
    named = [*([image_dir] if image_dir else []), *arguments]
    if not named:
        command = click.get_current_context().info_name
        raise UsageError(
            "no photos named. Name a folder with one folder of photos for each class, as in:"
            f" poets-edge {command} flower_photos"
        )
    if len(named) > 1:
        raise UsageError(f"one folder of photos is enough, not {len(named)}: {', '.join(map(str, named))}.")
    if zip_encoding:
        from poets_edge.photos.sources import with_encoding

        return cast(Path, with_encoding(named[0], zip_encoding))
    return named[0]


def thread_list(text: str) -> tuple[int, ...]:
    """Parse numbers of threads such as `1,2,4`. Raises UsageError if the text is invalid."""
    try:
        return tuple(int(word) for word in text.split(",")) if text.strip() else ()
    except ValueError:
        raise UsageError(f"`threads` {text}: expected a number, or several as 1,2,4.") from None
