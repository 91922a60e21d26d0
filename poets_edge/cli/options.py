"""Declarations that commands share: options, and the arguments that name a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import click

from poets_edge.cli.hints import option_hint
from poets_edge.core.paths import BOTTLENECKS, GRAPH, MODELS
from poets_edge.errors import UsageError
from poets_edge.photos.address import is_address, photo_path


class _File(click.Path):
    """A path on this machine; addresses of other machines are told apart from files that are missing."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value).startswith(("http://", "https://")):
            self.fail(f"{value} is an address, and files are read from this machine. Fetch it first.", param, ctx)
        return super().convert(value, param, ctx)


class _Photos(_File):
    """A folder or an archive of photos on this machine, or an address; or a model on this machine."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if is_address(str(value)) and PurePosixPath(str(value)).suffix.lower() not in MODEL_SUFFIXES:
            return photo_path(str(value))
        return super().convert(value, param, ctx)


FILE = _File(path_type=Path)
PHOTOS = _Photos(path_type=Path)

MODEL_SUFFIXES = frozenset({".tflite", ".pb"})

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Command(click.Command):
    """A command that knows what other programs call its options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = option_hint(self.name or "", error.option_name)
            if hint is None:
                raise
            ctx.fail(f"No such option: {error.option_name}. {hint}")


def subcommand(name: str) -> Callable[[Callable[..., Any]], Command]:
    """Declare a command of `poets-edge`."""
    return click.command(name, cls=Command)


def option(name: str, *more: Any, **settings: Any) -> Callable[[_Function], _Function]:
    """A click option whose default is shown in the help."""
    return click.option(name, *more, **{"show_default": True, **settings})


quiet_option = option("--quiet", "-q", is_flag=True, help="Print results and errors only.", show_default=False)
labels_option = option("--labels", type=FILE, help="Labels file, one label per line, in place of the model's own.")
graph_option = option("--graph", type=FILE, help="The model, as the codelab names it.", show_default=False)
image_dir_option = option(
    "--image_dir",
    type=PHOTOS,
    help="Folder with one folder of photos for each class; or a .zip or .tar of it, or an address as s3://bucket/photos.",
)
bottleneck_dir_option = option(
    "--bottleneck_dir", type=FILE, default=BOTTLENECKS, help="Where bottlenecks are kept; shared by all commands."
)
model_dir_option = option("--model_dir", type=FILE, default=MODELS, help="Where weights files are looked for first.")
recursive_option = option(
    "--recursive", is_flag=True, help="Also take photos from folders inside a class folder.", show_default=False
)
rehash_option = option(
    "--rehash",
    is_flag=True,
    help="Read every photo again; by default one whose size, times and inode are unchanged is known.",
    show_default=False,
)
on_option = option(
    "--on",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="Measure on this device, such as pi@raspberrypi.local, over ssh; repeat it for several.",
)
remote_dir_option = option(
    "--remote-dir",
    default="",
    metavar="DIR",
    help="Folder on that device; the program has a folder of its own in it, poets-edge.",
    show_default="the user's cache folder; for deploy, data folder",
)


def cluster_options(function: _Function) -> _Function:
    """`--cluster` and `--insecure-cluster`."""
    function = option(
        "--insecure-cluster",
        is_flag=True,
        help="Allow a scheduler on another machine whose connection is not encrypted.",
        show_default=False,
    )(function)
    return option(
        "--cluster",
        default="",
        metavar="ADDRESS|local:N",
        help="Compute bottlenecks on the workers of this Dask scheduler, which must see the photos under the same"
        " paths, or in N processes here.",
        show_default="threads of this process",
    )(function)


def result_options(function: _Function) -> _Function:
    """`--json` and `--output`, for `poets_edge.cli.terminal.give`."""
    function = option("--output", type=FILE, metavar="FILE", help="Also write the result to this file, as JSON.")(
        function
    )
    return option("--json", "as_json", is_flag=True, help="Print the result as JSON.", show_default=False)(function)


def models_and_rest(arguments: Sequence[Path], graph: Path | None) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Tell models (`.tflite`, `.pb`) from photos and folders among a command's arguments.

    Args:
        graph: what `--graph` names; then no argument is a model.

    Returns:
        The models, at least one: where none is named, the graph that `train` writes. Then the other arguments.

    Raises:
        UsageError: no model is named, and there is none in the place where `train` writes.
    """
    if graph is not None:
        return (graph,), tuple(arguments)
    models = tuple(path for path in arguments if path.suffix.lower() in MODEL_SUFFIXES)
    rest = tuple(path for path in arguments if path.suffix.lower() not in MODEL_SUFFIXES)
    if not models and not GRAPH.is_file():
        raise UsageError(f"no model named, and train has not written {GRAPH} here. Name a .tflite or .pb file.")
    return models or (GRAPH,), rest


def one_folder(arguments: Sequence[Path], image_dir: Path | None) -> Path:
    """The folder of photos, named by `--image_dir` or without a flag. Raises UsageError: none, or several."""
    named = [*([image_dir] if image_dir else []), *arguments]
    if not named:
        raise UsageError("no photos named. Give a folder with one folder of photos for each class: --image_dir FOLDER")
    if len(named) > 1:
        raise UsageError(f"one folder of photos is enough, not {len(named)}: {', '.join(map(str, named))}.")
    return named[0]


def thread_list(text: str) -> tuple[int, ...]:
    """`1,2,4` as numbers. Raises UsageError."""
    try:
        return tuple(int(word) for word in text.split(",")) if text.strip() else ()
    except ValueError:
        raise UsageError(f"`threads` {text}: wanted a number, or several as 1,2,4.") from None
