"""Output of commands: results on stdout, as tables or JSON; progress and warnings on stderr."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from poets_edge.cli.hints import with_flags
from poets_edge.cli.streams import escaped
from poets_edge.core import wording
from poets_edge.core.files import write_text

if TYPE_CHECKING:
    from poets_edge.device.metrics import Evaluation
    from poets_edge.photos.folder import PhotoFolder
    from poets_edge.training.cross_validation import CrossValidation

LINE_SECONDS = 5.0
"""Minimum time between two progress lines if stderr is not a terminal, in seconds."""


class Terminal:
    """Reporter that prints progress, warnings and notes on stderr.

    If stderr is a terminal, progress is shown as a bar, and the current activity as a line that is overwritten.
    Otherwise, a line is printed every few seconds.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._interactive = sys.stderr is not None and sys.stderr.isatty()
        self._status_shown = False
        self._pending = ""
        self._last_line = -math.inf
        self._bars: list[Any] = []
        context = click.get_current_context(silent=True)
        self._command = context.command if context else click.Command(None)

    def note(self, text: str) -> None:
        """Print a line, above the progress bar if there is one."""
        if not self._quiet:
            self._print(escaped(text))

    def status(self, text: str) -> None:
        """Show the current activity on a line that is overwritten; without a terminal, print it every few seconds."""
        if self._quiet:
            return
        text = escaped(text, line=True)
        if not self._interactive:
            self._pending = text
            if self._is_due():
                self._clear_status()
            return
        if self._bars:
            self._print(text)
            return
        width = shutil.get_terminal_size().columns - 1
        click.echo(f"\r{text[:width]:<{width}}", err=True, nl=False)
        self._status_shown = True

    def warn(self, text: str) -> None:
        """Print a warning, even if other output is suppressed by `quiet`."""
        self._print(click.style("warning: ", fg="yellow") + escaped(text, line=True))

    @contextlib.contextmanager
    def progress(self, what: str, total: int, unit: str = "photo") -> Iterator[Callable[[int], object]]:
        """Show the progress of a long operation; yield a function that adds to the number of completed units."""
        if self._quiet or not total:
            yield lambda amount: None
            return
        self._clear_status()
        what = escaped(what, line=True)
        if not self._interactive:
            yield from self._progress_lines(escaped(what, line=True), total, unit)
            return
        from tqdm import tqdm

        bar_format = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left, {rate_fmt}]"
        bar = tqdm(
            total=total,
            desc=what,
            unit=unit,
            unit_scale=unit == "B",
            bar_format=bar_format,
            file=sys.stderr,
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

    def _progress_lines(self, what: str, total: int, unit: str) -> Iterator[Callable[[int], object]]:
        start, done, lock = time.monotonic(), 0, threading.Lock()

        def show() -> None:
            counts = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB" if unit == "B" else f"{done:,} of {total:,}"
            self._print(f"{what}: {done / total:.0%}, {counts}, {time.monotonic() - start:.0f} s")

        def advance(amount: int) -> None:
            nonlocal done
            with lock:  # work is shared by threads
                done += amount
                if done < total and self._is_due():
                    show()

        yield advance
        show()

    def _is_due(self) -> bool:
        """Return whether enough time has passed since the last progress line; if so, restart the timer."""
        now = time.monotonic()
        if now - self._last_line < LINE_SECONDS:
            return False
        self._last_line = now
        return True

    def _clear_status(self) -> None:
        if self._status_shown:
            click.echo(f"\r{'':<{shutil.get_terminal_size().columns - 1}}\r", err=True, nl=False)
            self._status_shown = False
        if self._pending:
            pending, self._pending = self._pending, ""
            click.echo(with_flags(pending, self._command), err=True)

    def _print(self, text: str) -> None:
        text = with_flags(text, self._command)
        self._clear_status()
        if self._bars:
            self._bars[-1].write(text, file=sys.stderr)
        else:
            click.echo(text, err=True)


def output_json(
    result: dict[str, Any] | list[Any] | Callable[[], dict[str, Any]], *, as_json: bool, output: Path | None
) -> bool:
    """Write a result as JSON to the file that `--output` names, and print it if `--json` is given.

    Args:
        result: the result, or a function that returns it, which is called only if the result is written or printed.

    Returns:
        Whether the result was printed; if not, the caller prints it as a table.

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
    """Open a local HTML page in the default browser."""
    import webbrowser

    webbrowser.open(path.resolve().as_uri())


def table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return rows of cells as text with aligned columns; the first `left` columns are left-aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def print_photo_counts(found: PhotoFolder, *, as_json: bool, output: Path | None) -> None:
    """Print the number of photos in each class of a folder, as a table or as JSON."""
    counts = Counter(photo.label for photo in found.photos)
    result = {"folder": str(found.path), "classes": dict(sorted(counts.items()))}
    if not output_json(result, as_json=as_json, output=output):
        click.echo(table([["class", "photos"], *([label, str(counts[label])] for label in found.classes)]))
        click.echo(f"{len(found.photos)} photos in {found.path}")


def accuracy_text(evaluation: Evaluation | CrossValidation) -> str:
    """Return text such as `87.5 % (N = 104, 95 % interval 79.8 to 92.5)` for an accuracy."""
    return wording.accuracy_text(evaluation.accuracy, evaluation.count, evaluation.interval)
