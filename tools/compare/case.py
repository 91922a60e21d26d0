"""Test case for the comparison of two revisions: command lines that run one after another in a fresh folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Respelled:
    """Command line that differs between revisions: the base revision runs `old`, the other revision `new`."""

    old: str
    new: str


Line = str | Respelled
"""A command line, which is split into words as in a shell.

The words are arguments of `poets-edge`; if the first word is "python", Python runs instead. A leading "!" marks a
line that must exit with an error. A trailing "< FILE" names the file for its standard input.
"""


@dataclass(frozen=True)
class Case:
    """Test case: command lines that run in a fresh folder, and the input files in that folder.

    Attributes:
        name: unique name of letters, digits, "-" and ".".
        lines: command lines in order; each runs even if an earlier one has failed.
        inputs: names of the fixtures (folders that other cases have produced) that are copied into the folder first.
        prepare: function that writes further input files, called with the case's folder and the folder of shared data.
        shared: names of folders of photos and weights, inside the folder of shared data, that the case requires; if any
            is missing, the case is skipped. If "keras" is among them, the commands use it as KERAS_HOME.
    """

    name: str
    lines: tuple[Line, ...] = ()
    inputs: tuple[str, ...] = ()
    prepare: Callable[[Path, Path], None] | None = None
    shared: tuple[str, ...] = ()
