"""Journal of changes to a project, for undo and for recovery after a crash.

Each change is a `Step`: folders to create, renames, folders to remove if they are empty, and changes to the lists of
excluded and kept photos. A step is written to the journal and flushed to disk before it is carried out, and a line that
states its end is added afterwards. A step without such a line was interrupted; it is completed when the journal is
opened, which is safe because each of its parts may be repeated. If the line of a step itself was cut short, the step
was not begun.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from poets_edge.core.files import replacing
from poets_edge.core.json_checks import Check, OneOf, Optional, check, parse_json
from poets_edge.errors import RecordError

Kind = Literal["do", "undo", "redo"]

_LARGEST = 16 << 20
_KEPT = 4 << 20
"""Size, in bytes, to which a journal larger than _LARGEST is shortened. The removed steps can no longer be undone."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A change to a project. Paths are relative to the project folder, with `/` as separator.

    Attributes:
        number: number of the step; later steps have higher numbers.
        text: description of the step, such as "move 3 photos to roses".
        kind: "do" for a new step, "undo" or "redo" for one that undoes or repeats an earlier step.
        create: folders to create.
        renames: pairs (old path, new path).
        remove: folders to remove if they are empty.
        exclude, include: photos to add to the list of excluded photos, and photos to remove from it.
        keep, reopen: photos to add to the list of kept photos, and photos to remove from it; see `Project.kept`.
        batch: name of the group of steps that are undone together with this step; empty if it is undone by itself.
    """

    number: int
    text: str
    kind: Kind = "do"
    create: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    reopen: tuple[str, ...] = ()
    batch: str = ""


def is_inside(path: str) -> bool:
    """Return whether a relative path stays inside the project folder. Symbolic links are not resolved."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\0" not in path and "\\" not in path


_PATH = Check(str, "a path inside the project", is_inside)
_PATH_LISTS = ("create", "remove", "exclude", "include", "keep", "reopen")
_STEP = {
    "number": int,
    "text": str,
    "kind": OneOf(get_args(Kind)),
    "renames": Optional([(_PATH, _PATH)]),
    **{name: Optional([_PATH]) for name in _PATH_LISTS},
    "batch": Optional(str),
}


class Journal:
    """Journal file of a project, with the steps that can be undone and redone.

    Attributes:
        history: steps that can be undone, the oldest first, in groups that are undone together.
        undone: steps that can be redone, the most recently undone last, each in a group of its own.
        next_number: number for the next step.
        interrupted: steps that were begun, but neither ended nor failed, when the journal was read.
    """

    def __init__(self, path: Path) -> None:
        """Read the journal.

        Raises:
            OSError: the file cannot be read.
            OutputError: the file is too large and cannot be shortened.
        """
        self._path = path
        self.history: list[list[Step]] = []
        self.undone: list[list[Step]] = []
        self.next_number = 1
        _shorten(path)
        open_steps: dict[int, Step] = {}
        for entry in _entries(path):
            if isinstance(entry, Step):
                self.next_number = max(self.next_number, entry.number + 1)
                open_steps[entry.number] = entry
            elif (step := open_steps.pop(abs(entry), None)) and entry > 0:
                self._remember(step)
        self.interrupted = tuple(open_steps.values())

    def begin(self, step: Step) -> None:
        """Record a step before it is carried out, and flush it to disk. Raises OSError if it cannot be written."""
        self.next_number = step.number + 1
        fields = {name: value for name, value in asdict(step).items() if value not in ((), "")}
        self._append(fields, flush=True)

    def end(self, step: Step) -> None:
        """Record that a step was carried out. Raises OSError if this cannot be written."""
        self._remember(step)
        self._append({"done": step.number}, flush=False)

    def revert(self, step: Step) -> None:
        """Record that a step failed and its parts were undone. Raises OSError if this cannot be written."""
        self._append({"done": -step.number}, flush=False)

    def _remember(self, step: Step) -> None:
        if step.kind == "undo":
            if self.history:
                self.history.pop()
            self.undone.append([step])
        elif step.kind == "redo":
            if self.undone:
                self.undone.pop()
            self.history.append([step])
        else:
            self.undone.clear()
            if step.batch and self.history and self.history[-1][0].batch == step.batch:
                self.history[-1].append(step)
            else:
                self.history.append([step])

    def _append(self, fields: dict[str, Any], *, flush: bool) -> None:
        line = json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(self._path, flags, 0o666), "r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # the line before was cut short
                    line = b"\n" + line
            try:
                written = file.write(line)
                if written != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
                if flush:
                    os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise


def _entries(path: Path) -> Iterator[Step | int]:
    """Yield the entries of a journal: a `Step` for each step that was begun, and an integer for each step that ended.

    The integer is the number of the step, negated if the step failed. Invalid lines, which were cut short or written by
    another program, are skipped.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                value = parse_json(line.decode("ascii"))
                if isinstance(value, dict) and set(value) == {"done"}:
                    yield int(check(value, {"done": int})["done"])
                else:
                    yield _step(check(value, _STEP))
            except (RecordError, UnicodeError):
                continue


def _step(fields: dict[str, Any]) -> Step:
    paths = {name: tuple(fields.get(name) or ()) for name in _PATH_LISTS}
    return Step(
        number=fields["number"],
        text=fields["text"],
        kind=fields["kind"],
        renames=tuple((old, new) for old, new in fields.get("renames") or ()),
        batch=fields.get("batch") or "",
        **paths,
    )


def _shorten(path: Path) -> None:
    """Remove the oldest lines of a journal larger than 16 MiB, so that at most 4 MiB remain."""
    if not path.exists() or path.stat().st_size <= _LARGEST:
        return
    with path.open("rb") as file:
        file.seek(-_KEPT, os.SEEK_END)
        file.readline()
        rest = file.read()
    with replacing(path) as temporary:
        temporary.write_bytes(rest)
