"""Arguments and options that specify which photos a command uses, and how they are split and grouped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from poets_edge.cli.command import CODELAB, argument, option
from poets_edge.cli.options import FILE, PHOTOS, PHOTOS_SECTION
from poets_edge.errors import UsageError
from poets_edge.photos.split_names import SPLIT_NAMES

if TYPE_CHECKING:
    from poets_edge.photos.split import SplitConfig

_Function = TypeVar("_Function", bound=Callable[..., Any])

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
group_by_option = option(
    "--group-by",
    default="",
    metavar="PATTERN|parent|CSV",
    show_default="found by contents, names, times and similarity",
    section=PHOTOS_SECTION,
    advanced=True,
    help="Photos that belong together, in sets, folds and intervals: a regular expression that finds the group in a"
    " photo's path, the folders inside class folders, or a .csv file with the columns photo and group.",
)


def split_option(help: str, show_default: str) -> Callable[[_Function], _Function]:
    """Add the option `--split`, which selects the photos to evaluate: one split, unseen photos, or all."""
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
    """Add the options `--testing-percentage` and `--validation-percentage` to a command."""

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


def one_folder(arguments: Sequence[Path], image_dir: Path | None, zip_encoding: str | None = None) -> Path:
    """Return the folder of photos, which is given as an argument or by `--image-dir`.

    Raises:
        UsageError: no folder or several folders are given, or `zip_encoding` is given for photos that are not in a zip.
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
