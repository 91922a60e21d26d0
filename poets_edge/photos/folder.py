"""A folder of class folders -> the photos in it, each with its label.

flower_photos/
    daisy/      21652746_cc379e0eea_m.jpg ...     the folder's name, unchanged, is the label
    roses/      2414954629_3708a1a04d.jpg ...
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from poets_edge.errors import DatasetError

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})


@dataclass(frozen=True)
class Photo:
    """One file: where it is, its path relative to the photo folder (with `/`), and its class."""

    path: Path
    name: str
    label: str


@dataclass(frozen=True)
class PhotoFolder:
    """What a scan found: photos sorted by name, classes sorted, and class folders with no photo in them."""

    path: Path
    photos: tuple[Photo, ...]
    empty_classes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({photo.label for photo in self.photos}))


def scan(folder: Path, *, recursive: bool = False) -> PhotoFolder:
    """Find the photos of each class folder.

    Args:
        folder: holds one folder a class; files beside those (a LICENSE.txt) are ignored.
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
    for class_folder in _entries(folder):
        if class_folder.is_dir():
            found = [
                Photo(path, path.relative_to(folder).as_posix(), class_folder.name)
                for path in photo_files(class_folder, recursive=recursive)
            ]
            photos += found
            if not found:
                empty.append(class_folder.name)
    if not photos:
        raise DatasetError(_nothing_found(folder, empty))
    return PhotoFolder(folder, tuple(sorted(photos, key=lambda photo: photo.name)), tuple(empty))


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
