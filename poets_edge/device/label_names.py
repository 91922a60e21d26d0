"""Rename the labels that are stored in a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poets_edge.errors import ModelError


def renamed_labels(own: tuple[str, ...], given: tuple[str, ...], *, source: str, model: Path) -> tuple[str, ...]:
    """Return the labels to use for a model, in the order of its outputs, after applying the user's translations.

    If a model contains labels, only these labels and translations of them are accepted, because replacement labels in
    the wrong order would go unnoticed.

    Args:
        own: labels inside the model; () if it has none, in which case any labels are accepted.
        given: labels from the user, or translations, as `old=new`. Labels without a translation keep their names.
        source: where `given` comes from, for messages.
        model: path of the model, for messages.

    Raises:
        ModelError: `given` has labels that the model lacks, renames a label twice, or gives two labels the same name.
    """
    if not own or given in ((), own):
        return given
    olds = [_old_name(line, own) for line in given]
    if not all(olds):
        what = "the labels in another order" if sorted(given) == sorted(own) else "other labels"
        raise ModelError(
            f"{source}: {what} than {model} carries ({_listed(own)}). Leave the file out; to rename labels, give a line"
            " for each: old=new."
        )
    new = {str(old): line[len(str(old)) + 1 :] for old, line in zip(olds, given, strict=True)}
    names = tuple(new.get(label, label) for label in own)
    twice = next((label for label in olds if olds.count(label) > 1), None)
    if twice is not None:
        raise ModelError(f"{source}: two new names for {twice!r}.")
    same = next((name for name in names if names.count(name) > 1), None)
    if same is not None:
        raise ModelError(f"{source}: {same!r} would be the name of two labels of {model}.")
    return names


def renaming(own: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the labels with which `renamed_labels` returns `names`; None if `names` is empty or equal to `own`."""
    if names == own or not names:
        return None
    return tuple(f"{old}={new}" for old, new in zip(own, names, strict=True)) if own else names


def _old_name(line: str, own: Sequence[str]) -> str | None:
    return max((label for label in own if line.startswith(f"{label}=")), key=len, default=None)


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")
