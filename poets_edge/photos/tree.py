"""Trees of folders and their photos, from a folder on this machine or from names in an archive or at an address."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from poets_edge.errors import DatasetError
from poets_edge.photos.formats import PHOTO_SUFFIXES, is_photo_file

DEEPEST = 5
"""Number of levels of subfolders to list unless the user requests all: a split folder, a second one inside it (as in
`seg_train/seg_train`), a class folder, and two levels inside the class folder."""

_SYSTEM_NAMES = frozenset(
    {"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found", "System Volume Information"}
    | {"Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini", "Icon\r"}
)
"""Names of files and folders that operating systems create, which are skipped like hidden files."""


@dataclass(frozen=True, eq=False)
class Folder:
    """A folder with the names of its photos.

    Attributes:
        path: path relative to the root of the tree, with `/` as the separator; "" for the root.
        photos: names of the photos directly in the folder, relative to the folder, archive or address that was scanned.
        others: number of files directly in the folder that are not photos, by suffix, such as ".txt".
        folders: subfolders, sorted.
    """

    path: str
    photos: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    folders: list[Folder] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Last part of the path; "" for the root."""
        return self.path.rpartition("/")[2]

    def below(self) -> Iterator[Folder]:
        """Iterate over the folder and all folders below it."""
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting += folder.folders

    @property
    def total(self) -> int:
        """Number of photos in the folder and all folders below it."""
        return sum(len(folder.photos) for folder in self.below())

    @property
    def with_photos(self) -> list[Folder]:
        """Subfolders that contain photos, directly or in folders below the subfolders."""
        return [folder for folder in self.folders if any(one.photos for one in folder.below())]


def kind_of(name: str) -> str:
    """Return the kind of a file, given its name: the suffix in lower case, or "no suffix"."""
    return os.path.splitext(name)[1].lower() or "no suffix"  # noqa: PTH122 - a million times


def is_skipped(name: str) -> bool:
    """Return whether a file or folder is skipped, because it is hidden or was created by an operating system."""
    return name.startswith(".") or name in _SYSTEM_NAMES


def is_scanned(path: Path, folder: Path) -> bool:
    """Return whether a scan of a folder would include a path.

    The path must be inside the folder, and no part of it below the folder may be hidden or created by an operating
    system (see `is_skipped`).
    """
    place, root = path.resolve(), folder.resolve()
    return place.is_relative_to(root) and not any(map(is_skipped, place.relative_to(root).parts))


def other_files_text(others: Mapping[str, int]) -> str:
    """Format counts, by kind, of files that are not photos: "3 files that are not photos: 2 .txt, 1 .mp4"."""
    count = sum(others.values())
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(others.items(), key=lambda item: (-item[1], item)))
    return f"{'1 file that is not a photo' if count == 1 else f'{count} files that are not photos'}: {kinds}"


def read_tree(root: str | Path, *, deepest: int | None = DEEPEST) -> Folder:
    """List a folder on this machine and its subfolders; a link to a parent folder is not followed.

    A file without the suffix of a photo is recognized by its first bytes.

    Args:
        deepest: number of levels of subfolders to list; None for all.

    Raises:
        DatasetError: a folder cannot be read.
    """
    start = str(root)
    tree = Folder("")
    waiting: list[tuple[str, Folder, frozenset[tuple[int, int]], int]] = [(start, tree, frozenset(), 0)]
    while waiting:
        path, folder, parents, depth = waiting.pop()
        here, files, subfolders = _listed(path)
        if here in parents:
            continue
        prefix = f"{folder.path}/" if folder.path else ""
        for name in files:
            if name[name.rfind(".") :].lower() in PHOTO_SUFFIXES or is_photo_file(os.path.join(path, name)):  # noqa: PTH118
                folder.photos.append(prefix + name)
            else:
                folder.others[kind_of(name)] += 1
        if deepest is None or depth < deepest:
            for name in sorted(subfolders):
                below = Folder(prefix + name)
                folder.folders.append(below)
                waiting.append((os.path.join(path, name), below, parents | {here}, depth + 1))  # noqa: PTH118
    return tree


def folder_tree(names: Iterable[str], others: Mapping[tuple[str, str], int], depth: int = 0) -> Folder:
    """Arrange the names of photos in an archive or at an address as a tree.

    Args:
        names: names of the photos, with `/` as the separator.
        others: number of files that are not photos, for each pair (folder, file suffix).
        depth: number of leading folders in each name that are not part of the tree.
    """
    folders = {"": Folder("")}

    def folder_at(path: str) -> Folder:
        missing = []
        while path not in folders:
            missing.append(path)
            path = path.rpartition("/")[0]
        for below in reversed(missing):
            folder = Folder(below)
            folders[below.rpartition("/")[0]].folders.append(folder)
            folders[below] = folder
            path = below
        return folders[path]

    known: dict[str, Folder] = {}
    for name in names:
        parent = name.rpartition("/")[0]
        if parent not in known:
            known[parent] = folder_at("/".join(parent.split("/")[depth:]))
        known[parent].photos.append(name)
    for (parent, kind), count in others.items():
        folder_at(parent).others[kind] += count
    for folder in folders.values():
        folder.folders.sort(key=lambda below: below.path)
    return folders[""]


def _listed(path: str) -> tuple[tuple[int, int], list[str], list[str]]:
    """Return the (device, inode) of a folder, the names of its files, and the names of its subfolders.

    Files and folders for which `is_skipped` returns True are left out.

    Raises:
        DatasetError: the folder cannot be read.
    """
    files: list[str] = []
    subfolders: list[str] = []
    try:
        status = os.stat(path)  # noqa: PTH116 - paths as text: there may be a million
        with os.scandir(path) as entries:
            for entry in entries:
                if not is_skipped(entry.name):
                    (subfolders if _is_folder(entry) else files).append(entry.name)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error}).") from None
    return (status.st_dev, status.st_ino), files, subfolders


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere
        return False
