"""Files that list photos of a project: those excluded from training, and those to keep despite an audit finding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poets_edge.photos.exclude import read_exclusions
from poets_edge.studio.journal import Step
from poets_edge.studio.places import OWN


def names_in(path: Path) -> frozenset[str]:
    """Return the photo names in a list file; an empty set if the file does not exist.

    Raises:
        DatasetError: the file is invalid.
    """
    return read_exclusions(path).leave_out if path.exists() else frozenset()


def names_after(names: frozenset[str], step: Step, *, add: Sequence[str], drop: Sequence[str]) -> set[str]:
    """Return the photo names that a list must contain after a change to the project.

    Photos that the change moves to the bin folder are removed from the list; renamed photos are listed under their new
    names.

    Args:
        names: names in the list before the change.
        step: the change.
        add, drop: names that the change adds to the list and removes from it.
    """
    renamed = dict(step.renames)

    def name_after(name: str) -> str:
        for old in (name, name.partition("/")[0]):
            if old in renamed:
                return renamed[old] + name[len(old) :]
        return name

    remaining = (name_after(name) for name in names.difference(drop))
    return {name for name in remaining if not name.startswith(OWN)}.union(add)
