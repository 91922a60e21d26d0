"""Construction of a `Step` that reverses earlier changes to a project, for undo and redo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poets_edge.studio import messages
from poets_edge.studio.journal import Kind, Step
from poets_edge.studio.places import OWN
from poets_edge.studio.renames import free_name


def inverse(group: Sequence[Step], root: Path, *, kind: Kind, number: int, bin_folder: str) -> Step:
    """Return a `Step` that undoes a group of changes to a project. Files that no longer exist are skipped.

    If another file has the old name of a photo, a number is added to the name.

    Args:
        group: changes that are undone together, the oldest first.
        root: the project folder.
        kind: kind of the returned `Step`, "undo" or "redo".
        number: number of the returned `Step`.
        bin_folder: path, relative to the project folder, of the folder to which photos are moved if `group` uploaded
            them.
    """
    create: list[Path] = []
    renames: list[tuple[str, str]] = []
    taken: set[Path] = set()
    for step in reversed(group):
        for old, new in reversed(step.renames):
            if not (root / new).exists():
                continue  # moved or deleted by hand
            target = f"{bin_folder}/{new}" if old.startswith(f"{OWN}/incoming/") else old
            free = free_name(root / target, taken)
            taken.add(free)
            renames.append((new, free.relative_to(root).as_posix()))
            create.append(free.parent)
        create += [root / path for path in step.remove]
    missing = [folder.relative_to(root).as_posix() for folder in dict.fromkeys(create) if not folder.exists()]
    return Step(
        number=number,
        text=text_of(group),
        kind=kind,
        create=tuple(missing),
        renames=tuple(renames),
        remove=tuple(path for step in reversed(group) for path in step.create if not path.startswith(OWN)),
        exclude=tuple(name for step in group for name in step.include),
        include=tuple(name for step in group for name in step.exclude),
        keep=tuple(name for step in group for name in step.reopen),
        reopen=tuple(name for step in group for name in step.keep),
    )


def text_of(group: Sequence[Step]) -> str:
    """Return the description of a group of changes that are undone together, such as "add 3 photos".

    If there are several changes, they must be uploads; their numbers of photos are added.
    """
    if len(group) == 1:
        return group[0].text
    return messages.ADD.format(photos=messages.photos(sum(len(step.renames) for step in group)))


def text_of_last(steps: Sequence[Sequence[Step]]) -> str | None:
    """Return the description of the last of several groups of changes; None if there are no groups."""
    return text_of(steps[-1]) if steps else None
