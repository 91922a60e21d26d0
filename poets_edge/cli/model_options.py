"""Options that describe a model, and a function that separates models from photos in the arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from poets_edge.cli.command import CODELAB, option
from poets_edge.cli.options import FILE, NUMBERS
from poets_edge.core.paths import GRAPH
from poets_edge.errors import ModelError, UsageError
from poets_edge.photos.formats import PHOTO_SUFFIXES, is_photo_file
from poets_edge.photos.normalization import Normalization, is_sound
from poets_edge.tflite.formats import MODEL_SUFFIXES, model_format

_Function = TypeVar("_Function", bound=Callable[..., Any])

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
    help="Input values of the pixels 0 and 255, for a foreign model that does not specify them: -1:1, 0:1 or 0:255.",
    show_default="as the model specifies",
)
graph_option = option(
    "--graph",
    type=FILE,
    metavar="FILE",
    section=CODELAB,
    help="The model, as the codelab names it.",
    show_default=False,
)


def input_options(function: _Function) -> _Function:
    """Add the options `--input-range`, `--input-mean` and `--input-std`, which specify the range of the model's input.

    The decorated function receives the options as one argument `input_range`, a string in the format of
    `parse_input_range`; it is None if no option is given.
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
    """Return the input range that the options specify; None if they specify none.

    Raises:
        UsageError: the options contradict each other, or a mean or standard deviation is invalid.
    """
    if mean is None or std is None:
        return input_range
    if input_range is not None:
        raise UsageError("--input-range and --input-mean say the same; give one.")
    if not is_sound(mean, std):
        raise UsageError("--input-mean and --input-std: one number or three are wanted of each, and std positive.")
    return Normalization(mean, std).text


def models_and_rest(arguments: Sequence[Path], graph: Path | None) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Separate the models among a command's arguments from photos and folders, by examining the files.

    Args:
        graph: value of `--graph`; if given, it is the only model, and all arguments are photos or folders.

    Returns:
        The models (if no argument is a model, the graph that `train` writes by default), and the other arguments.

    Raises:
        ModelError: a model has a format that cannot be read.
        UsageError: no model is given, and the default graph does not exist; or the first of several arguments is
            neither a model nor a photo nor a folder.
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
    """Return whether an argument is a model. Raises ModelError if the model has a known but unsupported format."""
    if not isinstance(path, Path):  # an address of photos; those of models are refused when the arguments are parsed
        return False
    found = model_format(path)
    if found is not None and found.remedy:
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
