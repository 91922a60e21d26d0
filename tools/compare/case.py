"""A case: command lines that run one after another in a fresh folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Respelled:
    """A command line whose spelling was changed: `old` runs with the base revision, `new` with the other tree."""

    old: str
    new: str


Line = str | Respelled
"""A command line, split as a shell splits it.

It holds the arguments of `poets-edge`. A line that begins with "python" runs the interpreter instead. "!" in front
marks a line that exits with an error, and "< FILE" at its end names its standard input.
"""


@dataclass(frozen=True)
class Case:
    """Command lines, and the folder that they run in.

    Attributes:
        name: unique, in letters, digits, "-" and ".".
        lines: run in order; later lines run even if an earlier one fails.
        inputs: names of the fixtures that are copied into the folder first.
        prepare: function that writes further inputs, called with the case's folder and the shared folder.
        shared: required folders in the shared folder; without them, the case is skipped. "keras" is its KERAS_HOME.
    """

    name: str
    lines: tuple[Line, ...] = ()
    inputs: tuple[str, ...] = ()
    prepare: Callable[[Path, Path], None] | None = None
    shared: tuple[str, ...] = ()
