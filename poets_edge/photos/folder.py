"""A folder of class folders -> the photos in it, each with its label.

flower_photos/
    daisy/      21652746_cc379e0eea_m.jpg ...     the folder's name, unchanged, is the label
    roses/      2414954629_3708a1a04d.jpg ...

Where somebody has divided the photos already, into `train/`, `val/` and `test/` with class folders inside, each photo
says which set it was put into.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from poets_edge.errors import DatasetError, PhotoError
from poets_edge.files import read_bytes

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif"})

SetName = Literal["training", "validation", "test"]

_SET_FOLDERS: dict[str, SetName] = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""Usual names of the folders of sets, in lower case."""


LARGEST_PHOTO = 256 << 20
"""Bytes of a picture's file. A JPEG of 200 megapixels has a third of that."""


@dataclass(frozen=True)
class Photo:
    """One file.

    Attributes:
        name: its path relative to the photo folder, with `/`.
        label: its class.
        given_set: the set whose folder it lies in; None where the photos are not divided into folders of sets.
        sha256: checksum that its bytes must have, hexadecimal; empty where any will do.
    """

    path: Path
    name: str
    label: str
    given_set: SetName | None = None
    sha256: str = ""


@dataclass(frozen=True)
class PhotoFolder:
    """The result of a scan: photos sorted by name, classes sorted, and class folders without photos.

    Attributes:
        set_folders: names of the folders of sets, such as `train` and `val`; empty where class folders come first.
    """

    path: Path
    photos: tuple[Photo, ...]
    empty_classes: tuple[str, ...] = ()
    set_folders: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({photo.label for photo in self.photos}))


def scan(folder: Path, *, recursive: bool = False) -> PhotoFolder:
    """Find the photos of each class folder.

    Args:
        folder: holds one folder a class; files beside those (a LICENSE.txt) are ignored. Or it holds folders of sets
            (`train`, `val`, `test`, by these and similar names), each with one folder a class.
        recursive: look in folders inside a class folder too; link loops are followed once.

    Raises:
        DatasetError: the folder is missing, is a file, cannot be read, or holds no class with a photo.
    """
    if not folder.exists():
        raise DatasetError(f"{folder}: no such folder. Give the one that holds a folder of photos for each class.")
    if not folder.is_dir():
        raise DatasetError(
            f"{folder}: a file, not a folder. Give the one that holds a folder of photos for each class."
        )
    photos: list[Photo] = []
    empty: list[str] = []
    set_folders = _set_folders(folder)
    for class_folder in _subfolders(folder, *set_folders):
        given = _SET_FOLDERS[class_folder.parent.name.lower()] if set_folders else None
        found = [
            Photo(path, path.relative_to(folder).as_posix(), class_folder.name, given)
            for path in photo_files(class_folder, recursive=recursive)
        ]
        photos += found
        if not found:
            empty.append(class_folder.name)
    if not photos:
        raise DatasetError(_nothing_found(folder, empty))
    return PhotoFolder(folder, tuple(sorted(photos, key=lambda photo: photo.name)), tuple(empty), set_folders)


def _subfolders(folder: Path, *names: str) -> list[Path]:
    """The folders in a folder, or in those of its folders that are named."""
    above = [folder / name for name in names] or [folder]
    return [entry for parent in above for entry in _entries(parent) if entry.is_dir()]


def _set_folders(folder: Path) -> tuple[str, ...]:
    """The names of a folder's folders, if these are sets: one trains, and each holds class folders and no photos."""
    names = [entry.name for entry in _subfolders(folder)]
    sets = [_SET_FOLDERS.get(name.lower()) for name in names]
    if len(names) < 2 or None in sets or "training" not in sets or len(set(sets)) < len(sets):
        return ()
    if any(photo_files(folder / name) or not _subfolders(folder / name) for name in names):
        return ()
    return tuple(names)


def read_contents(photo: Photo) -> bytes:
    """A photo's bytes, as they are now.

    Raises:
        PhotoError: it cannot be read, is no regular file, is larger than LARGEST_PHOTO, or has not the bytes it must.
    """
    try:
        contents = read_bytes(photo.path, LARGEST_PHOTO)
    except OSError as error:
        raise PhotoError(f"{photo.path}: {error.strerror or error}.") from None
    if photo.sha256 and hashlib.sha256(contents).hexdigest() != photo.sha256:
        raise PhotoError(f"{photo.path}: another picture than the model was trained on.")
    return contents


def photo_files(folder: Path, *, recursive: bool = False) -> list[Path]:
    """The picture files of one folder by their suffix, sorted; hidden files are left out.

    Raises:
        DatasetError: the folder cannot be read.
    """
    return sorted(_walk(folder, recursive, frozenset()))


def _walk(folder: Path, recursive: bool, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:  # a link that leads back up
        return
    for entry in _entries(folder):
        if entry.suffix.lower() in PHOTO_SUFFIXES and not entry.is_dir():
            yield entry
        elif recursive and entry.is_dir():
            yield from _walk(entry, recursive, above | {here})


def _entries(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read ({error.strerror or error}).") from None


def _nothing_found(folder: Path, empty: list[str]) -> str:
    if any(entry.suffix.lower() in PHOTO_SUFFIXES for entry in _entries(folder)):
        return f"{folder}: photos lie in it directly. Put them into one folder a class: {folder}/daisy, {folder}/roses."
    if empty:
        return f"{folder}: no photos in {', '.join(empty[:5])}. Wanted: {' '.join(sorted(PHOTO_SUFFIXES))} files."
    return f"{folder}: no class folders in it. Put the photos of each class into a folder of its own."
