"""Option names in error messages, and hints for users who type a command or option of another program.

Messages from the library name parameters in backquotes; each is replaced with the corresponding command-line option.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

_PARAMETER = re.compile(r"`(\w+)`(=?)")

_COMMANDS = {
    "bench": "benchmark MODEL",
    "browser": "web MODEL --serve",
    "camera": "watch MODEL",
    "classify": "label MODEL PHOTO",
    "convert": "export",
    "detect": "label MODEL PHOTO",
    "download": "fetch-flowers DIR",
    "fit": "train flower_photos",
    "infer": "label MODEL PHOTO",
    "info": "inspect MODEL",
    "predict": "label MODEL PHOTO",
    "quantize": "export --quantize",
    "retrain": "train flower_photos",
    "serve": "web MODEL --serve",
    "run": "label MODEL PHOTO",
    "show": "inspect MODEL",
    "test": "evaluate MODEL FOLDER",
    "val": "evaluate MODEL FOLDER",
    "validate": "evaluate MODEL FOLDER",
}
"""Command lines of poets-edge, keyed by the corresponding commands of other programs."""

_STEPS = "Training counts batches, not epochs: --steps N"
_MODEL = "The model is named without a flag: poets-edge {command} MODEL"
_PHOTOS = "The folder of photos is named without a flag: poets-edge {command} flower_photos"
_DISTORT = "Use --flip-left-right, --random-crop, --random-scale or --random-brightness."

_OPTIONS = {
    "augment": {"train": _DISTORT},
    "batch": {"train": "Use --train-batch-size."},
    "batch-size": {"train": "Use --train-batch-size."},
    "data": {name: _PHOTOS.format(command=name) for name in ("train", "grid", "audit", "evaluate")},
    "dataset": {name: _PHOTOS.format(command=name) for name in ("train", "grid", "audit", "evaluate")},
    "epochs": {"train": f"{_STEPS} (a batch has --train-batch-size photos).", "grid": f"{_STEPS}."},
    "int8": {"export": "Use --quantize int8."},
    "lr": {"train": "Use --learning-rate.", "grid": "Use --learning-rate."},
    "model": {
        "train": "Use --architecture.",
        "grid": "Use --architecture.",
        "export": "The trained graph is named without a flag: poets-edge export GRAPH",
        **{name: _MODEL.format(command=name) for name in ("evaluate", "inspect", "label", "watch", "benchmark")},
    },
    "size": {"train": "The size is part of --architecture: mobilenet_0.50_224 takes pictures of 224 pixels."},
}
"""Hints for options of other programs, keyed by the name of the option and then by the poets-edge command."""


def with_flags(text: str, command: click.Command) -> str:
    """Replace backquoted parameters in a message with command-line options: `` `threads`=1 `` becomes `--threads 1`.

    If the command has no such option, only the backquotes are removed.
    """
    if "`" not in text:
        return text
    spelled = {parameter.name: _spelling(parameter) for parameter in command.params}

    def spell(match: re.Match[str]) -> str:
        name, equals = match.groups()
        return f"{spelled[name]}{' ' if equals else ''}" if name in spelled else f"{name}{equals}"

    return _PARAMETER.sub(spell, text)


def command_hint(name: str, commands: Iterable[str]) -> str | None:
    """Return a hint for a mistyped or unsupported command, such as "Use: poets-edge train flower_photos" for "fit".

    Args:
        name: the unknown command.
        commands: names of the existing commands, among which a similar name is sought.

    Returns:
        The hint; None if `name` is not a common synonym of a command, and no existing command has a similar name.
    """
    if name in _COMMANDS:
        return f"Use: poets-edge {_COMMANDS[name]}"
    import difflib

    nearest = difflib.get_close_matches(name, commands, n=1)
    return f"Did you mean {nearest[0]!r}?" if nearest else None


def option_hint(command: str, option: str) -> str | None:
    """Return a hint for an unknown option of a command; None if there is no hint for it."""
    return _OPTIONS.get(option.lstrip("-").replace("_", "-"), {}).get(command)


def _spelling(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return parameter.human_readable_name
    return next((name for name in parameter.opts if name.startswith("--")), parameter.opts[0])
