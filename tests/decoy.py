"""Decoy files in and next to the folders that are passed to the program, which must not change or remove them."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

_LONG_AGO = 86_400.0
"""Modification time of decoy files: the second day of 1970, as on a machine whose clock has no battery."""
_FILES = (
    "notes.txt",
    ".hidden",
    ".incoming-mine/half.bin",
    "program/script.py",
    "program/0123456789abcdef/script.py",
    "packages/parcel.txt",
    "packages/0123456789abcdef/parcel.txt",
    "models/own.tflite",
    "model/own.tflite",
    "photos/holiday/beach.jpg",
    "labels/labels.txt",
    "incoming/letter.txt",
    "service/own.service",
    "deployed.json.bak",
)


@dataclass
class Decoy:
    """Decoy files and folders, which the program must not change, with fingerprints of their original state."""

    _before: dict[Path, str] = field(default_factory=dict)

    def plant(self, folder: Path) -> None:
        """Create decoys in a folder: files with names that the program also uses, an empty folder and a link.

        All have an old modification time.
        """
        # Only Linux has names that are not UTF-8.
        for name in (*_FILES, *([os.fsdecode(b"caf\xe9.txt")] if sys.platform == "linux" else [])):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_text(f"{name!r} is mine\n")
                self._before[path] = ""
        (folder / "empty").mkdir(exist_ok=True)
        link = folder / "link to notes"
        if not link.is_symlink():
            link.symlink_to("notes.txt")
        self._before |= dict.fromkeys((folder / "empty", link), "")
        folders = {parent for path in self._before for parent in path.parents if parent.is_relative_to(folder)}
        for path in (*self._before, *(folders - {folder})):
            os.utime(path, (_LONG_AGO, _LONG_AGO), follow_symlinks=False)
        self._before = {path: _fingerprint(path) for path in self._before}

    def plant_everywhere(self, folder: Path) -> None:
        """Create a decoy file and an empty decoy folder in a folder and in every folder under it."""
        for place in [folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())]:
            if not place.name.startswith("empty"):
                (place / "decoy.py").write_text("mine = True\n")
                (place / "empty decoy").mkdir(exist_ok=True)
                self._before |= {path: _fingerprint(path) for path in (place / "decoy.py", place / "empty decoy")}

    def watch(self, folder: Path) -> None:
        """Treat the existing contents of a folder, such as photos and models, as decoys."""
        self._before |= {path: _fingerprint(path) for path in folder.rglob("*")}

    def moved(self, old: Path, new: Path) -> Decoy:
        """Return the decoys in the folder `old` as a new `Decoy`, with their paths in `new`, a copy of the folder."""
        inside = {path: before for path, before in self._before.items() if path.is_relative_to(old)}
        return Decoy({new / path.relative_to(old): before for path, before in inside.items()})

    def changed(self) -> list[str]:
        """Return the paths of decoy files and folders that were changed or removed."""
        return [str(path) for path, before in self._before.items() if _fingerprint(path) != before]


def _fingerprint(path: Path) -> str:
    """Return the time and hash of a file, the target of a link, or the type of other files; "" if it is missing.

    The times of folders are ignored, since they change with every added file.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return ""
    if stat.S_ISLNK(status.st_mode):
        return f"link to {path.readlink()}"
    if stat.S_ISDIR(status.st_mode):
        return "folder"
    if not stat.S_ISREG(status.st_mode):
        return f"special, {status.st_mode:o}"
    return f"{status.st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
