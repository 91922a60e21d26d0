"""The commands' output: results on stdout, progress and warnings on stderr, tables, JSON."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import click

from poets_edge.cli.hints import with_flags
from poets_edge.cli.streams import escaped
from poets_edge.core import wording
from poets_edge.core.files import write_text
from poets_edge.photos.folder import PhotoFolder


class Judged(Protocol):
    """An accuracy with its number of photos and its interval: an `Evaluation`, or a cross-validation's."""

    @property
    def count(self) -> int: ...
    @property
    def accuracy(self) -> float: ...
    @property
    def interval(self) -> tuple[float, float]: ...


class Terminal:
    """The reporter of the command line."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._status = False
        self._bars: list[Any] = []
        context = click.get_current_context(silent=True)
        self._command = context.command if context else click.Command(None)

    def note(self, text: str) -> None:
        """Print a line, above the progress bar if there is one."""
        if not self._quiet:
            self._print(escaped(text))

    def status(self, text: str) -> None:
        """Show a line that the next output overwrites; where stderr is no terminal, print it."""
        if self._quiet:
            return
        text = escaped(text, line=True)
        if self._bars or not sys.stderr.isatty():
            self._print(text)
            return
        width = shutil.get_terminal_size().columns - 1
        click.echo(f"\r{text[:width]:<{width}}", err=True, nl=False)
        self._status = True

    def warn(self, text: str) -> None:
        """Print a warning, even when quiet."""
        self._print(click.style("warning: ", fg="yellow") + escaped(text, line=True))

    @contextlib.contextmanager
    def progress(self, what: str, total: int, unit: str = "photo") -> Iterator[Callable[[int], object]]:
        """A bar with rate and time left; one line at the end where stderr is no terminal."""
        if self._quiet or not total:
            yield lambda amount: None
            return
        from tqdm import tqdm

        self._clear_status()
        bar_format = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left, {rate_fmt}]"
        interactive = sys.stderr.isatty()
        bar = tqdm(
            total=total,
            desc=what,
            unit=unit,
            unit_scale=unit == "B",
            bar_format=bar_format,
            file=sys.stderr,
            mininterval=0.1 if interactive else 3600,
            dynamic_ncols=True,
        )
        self._bars.append(bar)
        try:
            with bar:
                yield bar.update
        finally:
            self._bars.pop()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear_status()  # results are printed next

    def _clear_status(self) -> None:
        if self._status:
            click.echo(f"\r{'':<{shutil.get_terminal_size().columns - 1}}\r", err=True, nl=False)
            self._status = False

    def _print(self, text: str) -> None:
        text = with_flags(text, self._command)
        self._clear_status()
        if self._bars:
            self._bars[-1].write(click.unstyle(text) if not sys.stderr.isatty() else text, file=sys.stderr)
        else:
            click.echo(text, err=True)


def give(
    result: dict[str, Any] | list[Any] | Callable[[], dict[str, Any]], *, as_json: bool, output: Path | None
) -> bool:
    """Write a result where `--output` says and print it where `--json` says; False: it is still to be shown.

    Args:
        result: or a function that makes it, where it is large: it is only called if one of the two was asked for.

    Raises:
        OutputError: the file cannot be written.
    """
    if not as_json and output is None:
        return False
    text = json.dumps(result() if callable(result) else result, indent=1, ensure_ascii=False, allow_nan=False)
    if output is not None:
        write_text(output, f"{text}\n")
    if as_json:
        click.echo(text)
    return as_json


def open_page(path: Path) -> None:
    """Show a page in the user's browser."""
    import webbrowser

    webbrowser.open(path.resolve().as_uri())


def table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Rows (the first is the heading) as aligned columns; the first `left` columns are text, the others numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def give_photos(found: PhotoFolder, *, as_json: bool, output: Path | None) -> None:
    """Print the classes of a folder of photos, and how many each has."""
    counts = Counter(photo.label for photo in found.photos)
    result = {"folder": str(found.path), "classes": dict(sorted(counts.items()))}
    if not give(result, as_json=as_json, output=output):
        click.echo(table([["class", "photos"], *([label, str(counts[label])] for label in found.classes)]))
        click.echo(f"{len(found.photos)} photos in {found.path}")


def accuracy_text(evaluation: Judged) -> str:
    """`87.5 % (N = 104, 95 % interval 79.8 to 92.5)`."""
    return wording.accuracy_text(evaluation.accuracy, evaluation.count, evaluation.interval)
