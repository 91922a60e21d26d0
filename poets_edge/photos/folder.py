"""Scan of a folder, archive or address with one folder of photos per class.

flower_photos/
    daisy/      21652746_cc379e0eea_m.jpg ...     the folder's name, unchanged, is the label
    roses/      2414954629_3708a1a04d.jpg ...

If the photos are split into `train/`, `val/` and `test/` with class folders inside, each photo has its split.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from poets_edge.core.files import read_bytes
from poets_edge.core.wording import counted
from poets_edge.errors import DatasetError, PhotoError
from poets_edge.photos.address import Address, Location
from poets_edge.photos.names import PHOTO_SUFFIXES, check_distinct, class_name
from poets_edge.photos.table import NO_SPLIT, SPLIT_NAMES, PhotoTable
from poets_edge.photos.table import Photo as Photo
from poets_edge.photos.table import SplitName as SplitName

_SET_FOLDERS: dict[str, SplitName] = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""Usual names of split folders, in lower case."""


LARGEST_PHOTO = 256 << 20
"""Largest photo file in bytes. A JPEG of 200 megapixels has a third of that."""


@dataclass(frozen=True)
class PhotoFolder:
    """The result of a scan: photos sorted by name.

    Attributes:
        empty_classes: class folders without photos.
        set_folders: names of the split folders, such as `train` and `val`; empty if there are none.
        ignored: number of photos in an archive or at an address that are not directly in a class folder.
    """

    path: Location
    photos: PhotoTable
    empty_classes: tuple[str, ...] = ()
    set_folders: tuple[str, ...] = ()
    ignored: int = 0

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that have a photo, sorted."""
        return self.photos.present

    def warnings(self) -> list[str]:
        """Return warnings about empty classes and ignored photos, one line each."""
        lines = [f"class {label}: no photos in its folder; left out." for label in self.empty_classes]
        if self.ignored:
            lines.append(f"{self.path}: {counted(self.ignored, 'photo')} left out, not directly in a class folder.")
        return lines


def scan(folder: Location, *, recursive: bool = False) -> PhotoFolder:
    """Find the photos of each class folder.

    Args:
        folder: contains one folder per class, or split folders (`train`, `val`, `test` and similar names) with one
            folder per class; other files (a LICENSE.txt) are ignored. It may be an archive or an address; see
            `poets_edge.photos.sources`.
        recursive: include folders inside class folders; link loops are followed once.

    Raises:
        DatasetError: the folder is missing, is a file, cannot be read, or has no class with a photo; or the name of a
            class is not a line of text, or differs from another one only in case or Unicode normalization.
        RemoteError, RuntimeMissingError: it is an address that cannot be reached, or fsspec is not installed.
    """
    from poets_edge.photos.sources import is_archive_or_address

    if isinstance(folder, Address) or is_archive_or_address(str(folder)):
        found = _scan_source(folder, recursive=recursive)
    else:
        found = _scan_folder(folder, recursive=recursive)
    check_distinct((*found.classes, *found.empty_classes), folder)
    return found


def _scan_folder(folder: Path, *, recursive: bool) -> PhotoFolder:
    if not folder.exists():
        raise DatasetError(f"{folder}: no such folder. Give the one that holds a folder of photos for each class.")
    if not folder.is_dir():
        raise DatasetError(
            f"{folder}: a file, not a folder. Give the one that holds a folder of photos for each class."
        )
    labels: dict[str, int] = {}
    found: list[tuple[str, list[str], int, int]] = []
    empty: list[str] = []
    set_folders = _set_folders(folder)
    above = len(os.path.join(folder, ""))  # noqa: PTH118
    for class_folder in _subfolders(folder, *set_folders):
        label = class_name(class_folder.name)
        of_set = SPLIT_NAMES.index(_SET_FOLDERS[class_folder.parent.name.lower()]) if set_folders else NO_SPLIT
        paths = _photo_paths(class_folder, recursive=recursive)
        names = sorted(path[above:].replace(os.sep, "/") for path in paths)
        number = labels.setdefault(label, len(labels))
        if names:
            found.append((os.path.join(class_folder, "")[above:].replace(os.sep, "/"), names, number, of_set))  # noqa: PTH118
        else:
            empty.append(label)
    if not found:
        raise DatasetError(_nothing_found(folder, empty))
    found.sort(key=itemgetter(0))  # names begin with their folder, so all names are sorted
    counts = [len(names) for _, names, _, _ in found]
    photos = PhotoTable(
        folder=str(folder),
        names=[name for _, names, _, _ in found for name in names],
        labels=tuple(labels),
        classes=np.repeat(np.array([number for _, _, number, _ in found], np.int32), counts),
        given=np.repeat(np.array([of_set for _, _, _, of_set in found], np.int8), counts),
    )
    return PhotoFolder(folder, photos, tuple(empty), set_folders)


def _scan_source(folder: Location, *, recursive: bool) -> PhotoFolder:
    from poets_edge.photos.sources import find_photos

    found = find_photos(str(folder))
    rows = sorted(range(len(found.names)), key=found.names.__getitem__)
    parts = [found.names[row].split("/")[found.depth :] for row in rows]
    set_folders = () if found.labels else _set_folders_of(parts)
    above = 1 if set_folders else 0
    names: list[str] = []
    labels: dict[str, int] = {}
    classes: list[int] = []
    given: list[int] = []
    for row, folders in zip(rows, parts, strict=True):
        if found.labels:
            label = found.labels[row]
        elif len(folders) == above + 2 or (recursive and len(folders) > above + 2):
            label = class_name(unquote(folders[above]) if isinstance(folder, Address) else folders[above])
        else:
            continue
        names.append(found.names[row])
        classes.append(labels.setdefault(label, len(labels)))
        given.append(SPLIT_NAMES.index(_SET_FOLDERS[folders[0].lower()]) if set_folders else NO_SPLIT)
    if not names:
        raise DatasetError(
            f"{folder}: no class folders with photos in it. Wanted: one folder of {' '.join(sorted(PHOTO_SUFFIXES))}"
            " files for each class."
        )
    photos = PhotoTable(
        folder=found.root,
        names=names,
        labels=tuple(labels),
        classes=np.array(classes, np.int32),
        given=np.array(given, np.int8),
    )
    return PhotoFolder(folder, photos, (), set_folders, ignored=len(rows) - len(names))


def _set_folders_of(names: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the names of split folders, like `_set_folders`, from the names of photos in their parts."""
    tops = sorted({folders[0] for folders in names})
    sets = [_SET_FOLDERS.get(name.lower()) for name in tops]
    if len(tops) < 2 or None in sets or "training" not in sets or len(set(sets)) < len(sets):
        return ()
    return tuple(tops) if all(len(folders) > 2 for folders in names) else ()


def _subfolders(folder: Path, *names: str) -> list[Path]:
    """Return the folders in a folder, or in the named folders of it."""
    above = [folder / name for name in names] or [folder]
    return [found for parent in above for found in _folders(parent)]


def _set_folders(folder: Path) -> tuple[str, ...]:
    """Return the names of the folders in a folder if they are splits: one is for training, and none has photos."""
    names = [entry.name for entry in _subfolders(folder)]
    sets = [_SET_FOLDERS.get(name.lower()) for name in names]
    if len(names) < 2 or None in sets or "training" not in sets or len(set(sets)) < len(sets):
        return ()
    if any(photo_files(folder / name) or not _subfolders(folder / name) for name in names):
        return ()
    return tuple(names)


def read_contents(photo: Photo) -> bytes:
    """Return the bytes of a photo.

    Raises:
        PhotoError: it cannot be read, is not a regular file, is larger than LARGEST_PHOTO, or has another checksum than
            required.
    """
    contents = contents_at(photo.path)
    if photo.sha256 and hashlib.sha256(contents).hexdigest() != photo.sha256:
        raise PhotoError(f"{photo.path}: another picture than the model was trained on.")
    return contents


def contents_at(path: Location) -> bytes:
    """Return the bytes of a photo, given by its path, also in an archive (`photos.zip/daisy/1.jpg`), or by its address.

    Raises:
        PhotoError: it cannot be read, is not a regular file, or is larger than LARGEST_PHOTO.
    """
    try:
        return _read(path)
    except OSError as error:
        raise PhotoError(f"{path}: {error.strerror or error}.") from None


def _read(path: Location) -> bytes:
    if isinstance(path, Path):
        try:
            return read_bytes(path, LARGEST_PHOTO)
        except NotADirectoryError:  # it may lead through an archive
            pass
        except FileNotFoundError:  # error of Windows for a directory
            if os.name != "nt":
                raise
    from poets_edge.photos.sources import read

    return read(str(path), LARGEST_PHOTO)


def photo_files(folder: Path, *, recursive: bool = False) -> list[Path]:
    """Return the photo files of a folder by suffix, sorted; hidden files are skipped. Raises DatasetError."""
    return sorted(map(Path, _photo_paths(folder, recursive=recursive)))


def _photo_paths(folder: Path, *, recursive: bool) -> Iterator[str]:
    return _walk(str(folder), recursive, frozenset())


def _walk(folder: str, recursive: bool, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    try:
        status = os.stat(folder)  # noqa: PTH116 - paths as text: there may be a million
        here = (status.st_dev, status.st_ino)
        if here in above:  # a link that leads back up
            return
        with os.scandir(folder) as entries:
            listed = [(entry.path, _is_folder(entry)) for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read ({error.strerror or error}).") from None
    for path, is_folder in listed:
        if not is_folder and path[path.rfind(".") :].lower() in PHOTO_SUFFIXES:
            yield path
        elif is_folder and recursive:
            yield from _walk(path, recursive, above | {here})


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere
        return False


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if not entry.name.startswith(".") and _is_folder(entry))
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read ({error.strerror or error}).") from None


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
