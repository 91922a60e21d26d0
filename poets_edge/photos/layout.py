"""Interpret folders as classes and splits.

Supported arrangements are class folders, directly or inside another folder (`flowers/flowers/daisy`), and split folders
that contain class folders: `train` and `test`, `training_set` and `test_set`, `seg_train/seg_train`, or `train` alone.
Folders and photos without a class are excluded and reported. If the arrangement is ambiguous, an error message states
how to resolve it.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from poets_edge.core.wording import counted
from poets_edge.errors import DatasetError
from poets_edge.photos.folder_names import folders_for_splits, is_no_class, unusual_classes
from poets_edge.photos.names import class_name, folded
from poets_edge.photos.split_names import FILLERS, SplitName, is_unlabeled, split_of, words
from poets_edge.photos.tree import Folder, other_files_text

_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class ClassFolder:
    """A folder whose photos belong to one class.

    Attributes:
        folder: the class folder.
        folders: the class folder and, if the scan is recursive, the folders below it.
        label: name of the class.
        split: split whose folder contains the class folder; None if there are no split folders.
    """

    folder: Folder
    folders: Sequence[Folder]
    label: str
    split: SplitName | None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Classes and splits in a tree of folders.

    Attributes:
        classes: class folders with photos.
        empty: labels of class folders without photos.
        set_folders: names of the split folders.
        notes: messages about excluded files and folders and about unusual locations, one line each.
    """

    classes: Sequence[ClassFolder]
    empty: tuple[str, ...]
    set_folders: tuple[str, ...]
    notes: tuple[str, ...]


def arrange(tree: Folder, place: str, *, recursive: bool = False, decode: Callable[[str], str] = str) -> Layout:
    """Return the class folders and split folders in a tree of folders.

    Args:
        tree: root of the tree.
        place: path or address of the root, for messages.
        recursive: whether folders inside a class folder belong to the class.
        decode: function that converts a folder name to text, such as `urllib.parse.unquote` for addresses.

    Raises:
        DatasetError: the meaning of the folders is ambiguous, or the names of two class folders differ only in case or
            spaces.
    """
    return _Arrangement(place, recursive, decode).arrange(tree)


class _Arrangement:
    def __init__(self, place: str, recursive: bool, decode: Callable[[str], str]) -> None:
        self._place, self._recursive, self._decode = place, recursive, decode
        self._notes: list[str] = []

    def arrange(self, tree: Folder) -> Layout:
        root = self._inner(tree)
        splits = self._splits(root)
        if splits:
            self._note_photos_outside(root)
        parents: list[tuple[Folder, SplitName | None]] = [(_inside_copies(folder), split) for folder, split in splits]
        parents = parents or [(root, None)]
        classes: list[ClassFolder] = []
        empty: list[str] = []
        others: Counter[str] = Counter()
        for parent, split in parents:
            self._note_photos_outside(parent)
            if split is not None:
                others += parent.others
            for folder in parent.folders:
                found = self._class(folder, parent, split)
                if found is not None:
                    classes.append(found)
                elif not folder.total:
                    empty.append(class_name(self._decode(folder.name)))
                for one in folder.below():
                    others += one.others
        if others:
            self._notes.append(f"{self._place}: left out {other_files_text(others)}.")
        if len({folded(one.label) for one in classes}) > 1:
            self._check_class_names(classes)
        present = {folded(one.label) for one in classes}
        return Layout(
            classes=self._one_spelling(classes),
            empty=tuple(dict.fromkeys(label for label in empty if folded(label) not in present)),
            set_folders=tuple(folder.name for folder, _ in splits),
            notes=tuple(self._notes),
        )

    def _check_class_names(self, classes: Sequence[ClassFolder]) -> None:
        """Add notes about unlikely class names. Raises DatasetError if none of the folder names can be a class name."""
        if all(is_no_class(one.label) for one in classes):
            folders = [one.folder for one in classes]
            raise DatasetError(
                f"{self._place}: {_names(folders)} hold photos, and no class folders. {self._how_to_sort(folders[0])}"
            )
        unusual = unusual_classes([one.label for one in classes])
        self._notes += [
            f"class {one.label} {unusual[one.label]}. If it is not a class, move {self._at(one.folder)} out of the"
            " folder."
            for one in classes
            if one.label in unusual
        ]

    def _at(self, folder: Folder) -> str:
        return f"{self._place}/{folder.path}" if folder.path else self._place

    def _inner(self, root: Folder) -> Folder:
        """Return the folder that contains the class folders or split folders; a message says so if it is not `root`.

        Starting from `root`, folders that contain nothing but one subfolder are skipped.
        """
        outer = root
        while len(inside := root.with_photos) == 1 and not root.photos:
            [only] = inside
            if not _holds_classes(only) or split_of(only.name):
                break
            root = only
        if root is not outer:
            self._notes.append(f"the photos are taken from {self._at(root)}.")
        return root

    def _splits(self, root: Folder) -> list[tuple[Folder, SplitName]]:
        """Return the split folders directly inside a folder, with their splits.

        Words that occur in the names of all folders are ignored: `flowers_train` and `flowers_test` are splits. If
        there are split folders, the photos in other folders that contain no class folders are excluded, and a message
        is added to the notes.

        Raises:
            DatasetError: the meaning of the folders is ambiguous.
        """
        inside = root.with_photos
        shared = frozenset.intersection(*(frozenset(words(folder.name)) for folder in inside)) if inside[1:] else ()
        meant = {folder: split for folder in inside if (split := split_of(folder.name, shared))}
        splits = [folder for folder in meant if _holds_classes(_inside_copies(folder))]
        flat = [folder for folder in inside if folder not in splits]
        if not splits:
            if targets := folders_for_splits([folder.name for folder in flat]):
                raise DatasetError(
                    f"{self._place}: {_names(flat)} are named after a split and a class. Put the folder of each class"
                    f" into the folder of its split: {self._place}/{targets[flat[0].name]} instead of {flat[0].name}."
                )
            trained = "training" in meant.values()
            if len(flat) > 1 and all(
                split_of(folder.name) or is_unlabeled(folder.name) or (trained and folder in meant) for folder in flat
            ):
                raise DatasetError(
                    f"{self._place}: {_names(flat)} hold photos, and no class folders. {self._how_to_sort(flat[0])}"
                )
            return []
        named = Counter(meant[folder] for folder in splits)
        if twice := [folder for folder in splits if named[meant[folder]] > 1]:
            raise DatasetError(
                f"{self._place}: {_names(twice)} are one split by their names. Move one out of the folder, or name one:"
                f" {shlex.quote(self._at(twice[0]))}"
            )
        unlabeled = [
            folder
            for folder in flat
            if is_unlabeled(folder.name) or (folder in meant and not _inside_copies(folder).with_photos)
        ]
        unclear = [folder for folder in flat if folder not in unlabeled]
        if unclear:
            training = next((folder for folder in splits if meant[folder] == "training"), None)
            remedy = (
                f"To train on the classes in {training.name}, name it: {shlex.quote(self._at(training))}"
                if training
                else f"Put the others into a folder named train, next to {splits[0].name}."
            )
            raise DatasetError(
                f"{self._place}: split folders ({_names(splits)}) and other folders ({_names(unclear)}) are mixed."
                f" {remedy}"
            )
        for folder in unlabeled:
            self._notes.append(f"{self._at(folder)}: left out {counted(folder.total, 'photo')} without class folders.")
        return [(folder, meant[folder]) for folder in splits]

    def _note_photos_outside(self, parent: Folder) -> None:
        if parent.photos and parent.with_photos:
            count = len(parent.photos)
            self._notes.append(
                f"{self._at(parent)}: left out {counted(count, 'photo')} that"
                f" {'is' if count == 1 else 'are'} not in a class folder."
            )

    def _class(self, folder: Folder, parent: Folder, split: SplitName | None) -> ClassFolder | None:
        label = class_name(self._decode(folder.name))
        if self._recursive:
            every = tuple(folder.below())
            return ClassFolder(folder=folder, folders=every, label=label, split=split) if folder.total else None
        inside = folder.with_photos
        if folder.photos:
            if inside:
                left_out = f"left out {counted(sum(one.total for one in inside), 'photo')} in {_names(inside)}"
                self._notes.append(f"{self._at(folder)}: {left_out}; `recursive` takes them.")
            return ClassFolder(folder=folder, folders=(folder,), label=label, split=split)
        if inside:
            self._exclude_nested(folder, inside, parent)
        return None

    def _exclude_nested(self, folder: Folder, inside: Sequence[Folder], parent: Folder) -> None:
        """Exclude the subfolders of a class folder if all of them have the names of other class folders.

        This happens if a data set was copied into one of its own folders: `roses/daisy` next to `daisy`.

        Args:
            folder: class folder without photos directly in it.
            inside: subfolders that contain photos.
            parent: folder that contains the class folder.

        Raises:
            DatasetError: a subfolder has a different name.
        """
        others = {folded(one.name) for one in parent.folders if one.photos}
        if {folded(one.name) for one in inside} <= others:
            self._notes.append(
                f"{self._at(folder)}: left out {counted(folder.total, 'photo')} in {_names(inside)}, which are next"
                " to it as well."
            )
            return
        if all(split_of(one.name) for one in inside):
            if any(one.with_photos for one in inside):
                raise DatasetError(
                    f"{self._place}: class folders are expected, but {_names(inside)} are in {folder.name}. Name that"
                    f" folder: {shlex.quote(self._at(folder))}"
                )
            if is_no_class(folder.name):
                raise DatasetError(
                    f"{self._at(inside[0])}: holds photos, and no class folders. {self._how_to_sort(inside[0])}"
                )
            raise DatasetError(
                f"{self._at(folder)}: holds {_names(inside)}. Put the splits above the classes, as in"
                f" {self._at(parent)}/{inside[0].name}/{folder.name}; or take all photos of a class as one: `recursive`"
            )
        names = {folded(one.name) for one in inside}
        alike = [one for one in parent.with_photos if names & {folded(below.name) for below in one.with_photos}]
        splits = f" If {_names(alike)} are splits, name them train, val and test." if len(alike) > 1 else ""
        raise DatasetError(
            f"{self._at(folder)}: holds photos only in its folders {_names(inside)}.{splits} To take them as one class,"
            f" add `recursive`; to take each as a class, name {shlex.quote(self._at(folder))}"
        )

    def _how_to_sort(self, folder: Folder) -> str:
        """Return the part of an error message that tells the user how to sort the photos in a folder into classes."""
        return f"Put the photos of each class into a folder: {self._at(folder)}/daisy, {self._at(folder)}/roses."

    def _how_to_move(self, source: Folder, target: Folder) -> str:
        """Return the part of an error message that tells the user how to move the photos in `source` to `target`."""
        if not Path(self._place).is_dir():
            return f"create the archive again, with their photos in {target.name}."
        here, there = (shlex.quote(self._at(folder)) for folder in (source, target))
        return f"move the photos: mv {here}/* {there}/ && rmdir {here}"

    def _one_spelling(self, classes: Sequence[ClassFolder]) -> list[ClassFolder]:
        """Return the class folders with the same spelling of each class name in all splits.

        If the spellings in two splits differ in case or spaces, the one in the training folder is used.

        Raises:
            DatasetError: the names of two folders in one split differ only in case or spaces.
        """
        spellings: dict[str, str] = {}
        for one in sorted(classes, key=lambda one: one.split != "training"):
            first = spellings.setdefault(folded(one.label), one.label)
            if first == one.label:
                continue
            beside = [other for other in classes if other.label == first and other.split == one.split]
            if beside:
                raise DatasetError(
                    f"{self._place}: the classes {first!r} and {one.label!r} differ only in case or spaces. If"
                    f" they are one, {self._how_to_move(one.folder, beside[0].folder)}"
                )
            self._notes.append(f"{self._at(one.folder)}: taken as the class {first}.")
        return [
            ClassFolder(folder=one.folder, folders=one.folders, label=spellings[folded(one.label)], split=one.split)
            for one in classes
        ]


def _inside_copies(folder: Folder) -> Folder:
    """Return the folder that contains the classes of a split: `folder`, or a folder inside it such as `train/images`.

    A folder is skipped if all its photos are in one subfolder whose name is generic or denotes the same split.
    """
    while len(inside := folder.with_photos) == 1 and not folder.photos:
        [only] = inside
        generic = FILLERS.issuperset(words(only.name))
        if not generic and split_of(only.name) != split_of(folder.name):
            break
        folder = only
    return folder


def _holds_classes(folder: Folder) -> bool:
    """Return whether a folder has more photos in its subfolders than directly in it, like one with class folders."""
    return folder.total > 2 * len(folder.photos)


def _names(folders: Sequence[Folder]) -> str:
    """Format the names of folders for a message: up to five names, and the number of the remaining folders."""
    names = list(dict.fromkeys(folder.name for folder in folders))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
