"""Scan a folder, archive or address that contains one folder of photos per class.

flower_photos/
    daisy/      21652746_cc379e0eea_m.jpg ...     the folder's name, unchanged, is the label
    roses/      2414954629_3708a1a04d.jpg ...

If the class folders are inside split folders (`train/`, `val/`, `test/`), each photo is assigned to the split of its
folder.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from poets_edge.errors import DatasetError
from poets_edge.photos.address import Address, Location
from poets_edge.photos.layout import Layout, arrange
from poets_edge.photos.names import check_distinct
from poets_edge.photos.sources import find_photos, is_archive_or_address
from poets_edge.photos.split_names import NO_SPLIT, SPLIT_NAMES
from poets_edge.photos.table import Photo as Photo
from poets_edge.photos.table import PhotoTable
from poets_edge.photos.tree import DEEPEST, Folder, folder_tree, other_files_text, read_tree

_MOST_CLASSES = 4096
"""Maximum number of class folders; a class that occurs in two splits counts twice. A limit is needed because the size
of a confusion matrix is the square of the number of classes.
"""


@dataclass(frozen=True)
class PhotoFolder:
    """The photos that a scan of a folder, archive or address found.

    Attributes:
        path: folder, archive or address that was scanned.
        photos: table of the photos, sorted by name.
        empty_classes: names of class folders without photos.
        set_folders: names of the split folders, such as `train` and `val`; empty if there are none.
        notes: messages, one line each, about excluded files and folders, and about photos in unusual places.
    """

    path: Location
    photos: PhotoTable
    empty_classes: tuple[str, ...] = ()
    set_folders: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that have at least one photo, sorted."""
        return self.photos.present

    def warnings(self) -> list[str]:
        """Return one-line warnings about empty classes and excluded files."""
        return [*(f"class {label}: no photos in its folder; left out." for label in self.empty_classes), *self.notes]


def scan(folder: Location, *, recursive: bool = False) -> PhotoFolder:
    """Find the photos of each class folder.

    Args:
        folder: folder with one subfolder per class, or with split folders (`train`, `val`, `test` and similar names)
            that have one subfolder per class; `poets_edge.photos.layout` describes the rules. Files that are not photos
            are counted by kind. An archive or an address is also accepted; see `poets_edge.photos.sources`.
        recursive: whether to include folders inside class folders; links to a parent folder are not followed.

    Raises:
        DatasetError: the folder is missing, is a file, cannot be read, or contains no photo in a class folder; the
            arrangement of its subfolders is ambiguous; or a class name is not a single line of text, or two class names
            differ only in case.
        RemoteError: an address cannot be reached.
        RuntimeMissingError: fsspec, which the address requires, is not installed.
    """
    if isinstance(folder, Address) or is_archive_or_address(str(folder)):
        return _scan_source(folder, recursive=recursive)
    if not folder.exists():
        raise DatasetError(f"{folder}: no such folder. Give the one that holds a folder of photos for each class.")
    if not folder.is_dir():
        raise DatasetError(
            f"{folder}: a file, not a folder. Give the one that holds a folder of photos for each class."
        )
    tree = read_tree(folder, deepest=None if recursive else DEEPEST)
    if not tree.total and not recursive:  # perhaps the photos are inside many folders of one folder
        tree = read_tree(folder, deepest=None)
    return _arranged(folder, str(folder), tree, recursive=recursive)


def _scan_source(folder: Location, *, recursive: bool) -> PhotoFolder:
    found = find_photos(str(folder))
    if found.labels is None:
        tree = folder_tree(sorted(found.names), found.others, found.depth)
        arranged = _arranged(folder, found.root, tree, recursive=recursive)
        return replace(arranged, notes=(*found.notes, *arranged.notes))
    rows = sorted(range(len(found.names)), key=found.names.__getitem__)
    labels: dict[str, int] = {}
    photos = PhotoTable(
        folder=found.root,
        names=[found.names[row] for row in rows],
        labels=tuple(dict.fromkeys(found.labels[row] for row in rows)),
        classes=np.array([labels.setdefault(found.labels[row], len(labels)) for row in rows], np.int32),
        given=np.full(len(rows), NO_SPLIT, np.int8),
    )
    _check_count(len(labels), folder)
    check_distinct(labels, folder)
    others: Counter[str] = Counter()
    for (_, kind), count in found.others.items():
        others[kind] += count
    return PhotoFolder(folder, photos, notes=(f"{folder}: left out {other_files_text(others)}.",) if others else ())


def _arranged(folder: Location, root: str, tree: Folder, *, recursive: bool) -> PhotoFolder:
    """Find the class folders and split folders in a tree of folders, and return the photos in the class folders.

    Args:
        folder: path or address that was scanned.
        root: folder, archive or address that the names in the tree are relative to.
        tree: folders with the names of their photos.
        recursive: whether to include folders inside class folders.

    Raises:
        DatasetError: the tree has no class with a photo, or the meaning of its folders is ambiguous.
    """
    layout = arrange(tree, str(folder), recursive=recursive, decode=unquote if isinstance(folder, Address) else str)
    if not layout.classes:
        raise DatasetError(_nothing_found(folder, tree, layout))
    _check_count(len(layout.classes), folder)
    labels: dict[str, int] = {}
    names: list[str] = []
    classes, given, counts = [], [], []
    for one in sorted(layout.classes, key=lambda one: f"{one.folder.path}/"):
        own = sorted(name for part in one.folders for name in part.photos)
        names += own
        counts.append(len(own))
        classes.append(labels.setdefault(one.label, len(labels)))
        given.append(NO_SPLIT if one.split is None else SPLIT_NAMES.index(one.split))
    photos = PhotoTable(
        folder=root,
        names=names,
        labels=tuple(labels),
        classes=np.repeat(np.array(classes, np.int32), counts),
        given=np.repeat(np.array(given, np.int8), counts),
    )
    if any(one > other for one, other in itertools.pairwise(names)):  # several archives, each with all classes
        photos = photos.take(np.array(sorted(range(len(names)), key=names.__getitem__), np.int64))
    return PhotoFolder(folder, photos, layout.empty, layout.set_folders, layout.notes)


def _check_count(classes: int, folder: Location) -> None:
    if classes > _MOST_CLASSES:
        raise DatasetError(
            f"{folder}: {classes:,} class folders, and at most {_MOST_CLASSES:,} classes can be told apart. Perhaps"
            " each photo has a folder of its own? Name the folder whose folders are the classes."
        )


def _nothing_found(folder: Location, tree: Folder, layout: Layout) -> str:
    if tree.photos:
        return f"{folder}: photos lie in it directly. Put them into one folder a class: {folder}/daisy, {folder}/roses."
    others: Counter[str] = Counter()
    for below in tree.below():
        others += below.others
    found = f", but {other_files_text(others)}" if others else ""
    if layout.empty:
        return f"{folder}: no photos in {', '.join(layout.empty[:5])}{found}."
    return (
        f"{folder}: no class folders with photos in it{found}. Put the photos of each class into a folder of its own."
    )


def photo_files(folder: Path, *, recursive: bool = False) -> tuple[list[Path], Counter[str]]:
    """Return the photo files in a folder, sorted, and the number of files that are not photos, by suffix.

    Photos are recognized by suffix or content; hidden files are skipped.

    Raises:
        DatasetError: the folder cannot be read.
    """
    others: Counter[str] = Counter()
    names: list[str] = []
    for part in read_tree(folder, deepest=None if recursive else 0).below():
        names += part.photos
        others += part.others
    return sorted(folder / name for name in names), others
