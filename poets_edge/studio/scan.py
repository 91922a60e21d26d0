"""Scan of a project folder for classes and photos, without opening the photos, which are recognized by their suffix.

For each photo, the scan records a stamp: a hash that changes when the file is modified.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from poets_edge.core.wording import counted
from poets_edge.errors import DatasetError
from poets_edge.photos.formats import PHOTO_SUFFIXES, is_photo_file
from poets_edge.photos.tree import is_skipped
from poets_edge.studio import messages
from poets_edge.studio.places import is_plain


@dataclass(frozen=True)
class Found:
    """Result of a scan of a project folder.

    Attributes:
        classes: names of the class folders, sorted.
        stamps: for each photo, keyed by its name `class/file`, a hash that changes when the file is modified; see
            `stamp_of`.
        notes: messages about skipped files and folders, one line each.
        links: names of the skipped symbolic links. If there are any, training is refused, because it would follow them.
    """

    classes: tuple[str, ...]
    stamps: Mapping[str, str]
    notes: tuple[str, ...]
    links: tuple[str, ...] = ()


def scan_project(root: Path) -> Found:
    """Find the class folders of a project and the photos directly in them.

    Symbolic links are skipped, because the studio does not open files outside the project.

    Raises:
        DatasetError: the project folder cannot be read.
    """
    others = _Others()
    try:
        folders = list(_entries(root, others))
    except OSError as error:
        raise DatasetError(messages.FOLDER_UNREADABLE.format(name=root, reason=error.strerror or error)) from None
    classes = sorted(entry.name for entry in folders if entry.is_dir(follow_symlinks=False))
    others.loose += sum(1 for entry in folders if entry.is_file(follow_symlinks=False) and _is_photo(entry))
    stamps: dict[str, str] = {}
    for label in classes:
        stamps.update(sorted(_photos(root / label, label, others)))
    return Found(tuple(classes), stamps, others.notes(root), tuple(sorted(others.links)))


@dataclass
class _Others:
    """Counts of the files and folders that a scan skips.

    Attributes:
        links: names of the symbolic links.
        names: number of files and folders with names that cannot be sent to a browser.
        loose: number of photos that are not in a class folder.
        deeper: number of folders inside class folders.
    """

    links: list[str] = field(default_factory=list)
    names: int = 0
    loose: int = 0
    deeper: int = 0

    def notes(self, root: Path) -> tuple[str, ...]:
        found = {
            messages.LOOSE_PHOTOS: (self.loose, "photo"),
            messages.UNSUITABLE_NAMES: (self.names, "file"),
            messages.LINKS: (len(self.links), "file"),
            messages.DEEPER_FOLDERS: (self.deeper, "folder"),
        }
        return tuple(
            text.format(**{"folder": root.name, f"{what}s": counted(count, what)})
            for text, (count, what) in found.items()
            if count
        )


def _entries(folder: Path, others: _Others, prefix: str = "") -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder, except hidden ones, symbolic links, and names that cannot be sent to a browser.

    Args:
        folder: the folder.
        others: record of the skipped entries, which is updated.
        prefix: path of the folder in the project, with a final slash; "" for the project folder.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_skipped(entry.name):
                continue
            if entry.is_symlink():
                others.links.append(f"{prefix}{entry.name}")
            elif not is_plain(entry.name):
                others.names += 1
            else:
                yield entry


def _photos(folder: Path, label: str, others: _Others) -> Iterator[tuple[str, str]]:
    """Yield (name, hash from `stamp_of`) for each photo in a class folder; nothing if the folder does not exist."""
    try:
        for entry in _entries(folder, others, f"{label}/"):
            if entry.is_dir(follow_symlinks=False):
                others.deeper += 1
            elif _is_photo(entry):
                try:
                    yield f"{label}/{entry.name}", stamp_of(entry.stat(follow_symlinks=False))
                except FileNotFoundError:
                    continue
    except OSError:
        return


def _is_photo(entry: os.DirEntry[str]) -> bool:
    suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - for each of many files
    return entry.is_file(follow_symlinks=False) and (suffix in PHOTO_SUFFIXES or is_photo_file(entry.path))


def stamp_of(status: os.stat_result) -> str:
    """Return a stamp: 16 hexadecimal digits that change when a file is modified, but not when it is renamed.

    The stamp is a hash of the inode number, the size and the modification time.

    Args:
        status: status of the file, as returned by `os.stat`.
    """
    version = f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"
    return hashlib.blake2b(version.encode(), digest_size=8).hexdigest()
