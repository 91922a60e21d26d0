"""Collection of the files that the commands of a test case have written.

Parts of file names and of contents that differ in every run, such as times and temporary paths, are replaced.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

_NAMES = (
    # events.out.tfevents.<nanoseconds>.<host>.poets_edge
    (re.compile(r"(events\.out\.tfevents)\.\d+\..*\.(poets_edge)$"), r"\1.TIME.HOST.\2"),
    # runs/<date>-<time>-<microseconds>-<architecture>
    (re.compile(r"(?<=runs/)\d{8}-\d{6}-\d{6}-"), "TIME-"),
    # collected-<date>-<time>-<number>.jpg
    (re.compile(r"(?<=/collected-)\d{8}-\d{6}-"), "TIME-"),
)
"""Patterns of the parts of file names that differ in every run, with the replacements for those parts."""


def take_outputs(folder: Path, before: Mapping[Path, bytes], outputs: Path, names: Mapping[str, str]) -> None:
    """Copy the files that were created or changed in a folder to `outputs/files`.

    The names of removed files are written to `outputs/removed.txt`.

    Args:
        folder: the folder in which the commands ran.
        before: contents of the files before the commands ran, by path.
        outputs: folder for the copies; it may contain further outputs, such as standard output.
        names: placeholders for the absolute paths that occur in texts in `outputs`, by path.
    """
    found = {path for path in folder.rglob("*") if path.is_file()}
    for path in sorted(found):
        content = path.read_bytes()
        if content == before.get(path):
            continue
        target = _unused(outputs / "files" / _stable(path.relative_to(folder).as_posix()))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    gone = sorted(path.relative_to(folder).as_posix() for path in before.keys() - found)
    if gone:
        (outputs / "removed.txt").write_text("".join(f"{name}\n" for name in gone))
    for path in outputs.rglob("*"):
        if path.is_file():
            _replace_paths(path, names)


def _stable(name: str) -> str:
    for pattern, shown in _NAMES:
        name = pattern.sub(shown, name)
    return name


def _unused(path: Path) -> Path:
    """Return the given path or, if a file exists there, a new path with a number appended to the name."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_stem(f"{path.stem}~{number}")
    return found


def _replace_paths(path: Path, names: Mapping[str, str]) -> None:
    content = path.read_bytes()
    if b"\0" in content:
        return
    replaced = content
    for name, shown in names.items():
        replaced = replaced.replace(name.encode(), shown.encode())
    if replaced != content:
        path.write_bytes(replaced)


def publish(made: Path, target: Path) -> None:
    """Rename a finished folder to its destination; delete it instead if another process has created the destination."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        made.rename(target)
    except OSError:
        if not target.exists():
            raise
        shutil.rmtree(made)
