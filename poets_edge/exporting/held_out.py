"""Select the photos that are used to calibrate and evaluate exported models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.core.credentials import without_user_info
from poets_edge.errors import DatasetError
from poets_edge.photos.address import Location, is_address, photo_path
from poets_edge.photos.exclude import Exclusions
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.known_photos import NO_GROUP, KnownPhotos, known_photos
from poets_edge.photos.names import class_name, composed
from poets_edge.photos.sources import is_archive_or_address
from poets_edge.photos.split import SplitConfig, assign_splits
from poets_edge.photos.split_names import SPLIT_NAMES, SplitName
from poets_edge.photos.table import Digest, PhotoTable, Rows
from poets_edge.training.hashed_photos import hash_photos

_TRAINING, _VALIDATION, _TEST = (SPLIT_NAMES.index(name) for name in ("training", "validation", "test"))


@dataclass(frozen=True)
class ExportPhotos:
    """Training photos for calibrating exported models, and test photos for evaluating them.

    Attributes:
        missing: number of photos of the training run that no longer exist.
        are_recognized: False if the digests of the training photos are known, but no photo in the folder has one of
            these digests; a test photo may then be a copy of a training photo that was saved again.
    """

    training: Sequence[Photo]
    test: Sequence[Photo]
    missing: int = 0
    are_recognized: bool = True

    def in_classes(self, names: Mapping[str, str]) -> ExportPhotos:
        """Return a copy in which the classes of the photos are renamed; `names` maps old names to new names."""
        if all(old == new for old, new in names.items()):
            return self
        training, test = (
            tuple(replace(photo, label=names.get(photo.label, photo.label)) for photo in photos)
            for photos in (self.training, self.test)
        )
        return replace(self, training=training, test=test)


def _is_elsewhere(folder: str) -> bool:
    """Return whether a folder is on another machine, that is, a URL or a Windows network share."""
    return is_address(folder) or folder.startswith(("\\\\", "//"))


def photos_of_record(
    record: dict[str, Any], image_dir: Location | None, found: PhotoTable | None = None
) -> ExportPhotos:
    """Return the training and test photos of a training run, as split by that run.

    Args:
        record: record of the training run.
        image_dir: current photo folder, if it differs from the folder in the record.
        found: photos of the training run with their paths; by default, the folder is searched for them.

    Raises:
        DatasetError: none of the training photos exists, or the record names a folder on another machine. A remote
            folder must be given as `image_dir`, because the record may come from an untrusted source.
    """
    if image_dir is None and found is None and _is_elsewhere(record["image_dir"]):
        raise DatasetError(
            f"{without_user_info(record['image_dir'])}: the graph was trained on photos at this address, which is"
            " opened only if you name it yourself: `image_dir`"
        )
    folder = image_dir or photo_path(record["image_dir"])
    if record.get("sets") is None:
        return _split_again(record, _scanned(record, folder) if found is None else found)
    in_source = is_archive_or_address(str(folder))
    if found is not None:
        find: Callable[[str], Photo | None] = {photo.name: photo for photo in found}.get
    else:
        find = _finder_in_source(record, folder) if in_source else _finder_in_folder(record, folder)
    digests = record.get("photos") or {}  # records of version 0.1 have none
    present = {
        name: tuple(
            replace(photo, sha256=digests.get(photo.name, ""))
            for photo in map(find, record["sets"][name])
            if photo is not None
        )
        for name in ("training", "test")
    }
    if not present["training"]:
        reason = "not in it." if in_source else "not there. Say where they are now: `image_dir`."
        raise DatasetError(f"{folder}: the photos the graph was trained on are {reason}")
    missing = sum(len(record["sets"][name]) - len(present[name]) for name in present)
    return ExportPhotos(present["training"], present["test"], missing)


def _finder_in_folder(record: dict[str, Any], folder: Location) -> Callable[[str], Photo | None]:
    """Return a function that maps the name of a photo in the training run to the photo, or to None if it is missing."""
    depth = 1 if record.get("set_folders") else 0  # train/daisy/1.jpg or daisy/1.jpg
    other_class = Exclusions.from_json(record.get("exclude") or {}).belongs_to
    labels = {composed(label): label for label in record["labels"]}
    scanned: dict[str, Photo] = {}

    def find(name: str) -> Photo | None:
        parts = name.split("/")
        usual = len(parts) == depth + 2 or record.get("recursive")
        label = other_class.get(name) or (labels.get(class_name(parts[depth])) if usual else None)
        if label is None:  # flowers/flowers/daisy/1.jpg, or train/Daisy/1.jpg for the class daisy
            scanned.update({} if scanned else _by_name(record, folder))
            return scanned.get(name)
        photo = Photo(folder / name, name, label)
        return photo if photo.file.is_file() else None

    return find


def _finder_in_source(record: dict[str, Any], folder: Location) -> Callable[[str], Photo | None]:
    """Return a function that maps the name of a photo in an archive or at a URL to the photo, or to None if missing."""
    return _by_name(record, folder).get


def _by_name(record: dict[str, Any], folder: Location) -> dict[str, Photo]:
    return {photo.name: photo for photo in _scanned(record, folder)}


def _scanned(record: dict[str, Any], folder: Location) -> PhotoTable:
    """Return the photos in a folder, without those that the record of the training run excludes."""
    exclusions = Exclusions.from_json(record.get("exclude") or {})
    return exclusions.apply(scan(folder, recursive=record.get("recursive", False))).photos


def _split_again(record: dict[str, Any], photos: PhotoTable) -> ExportPhotos:
    """Repeat the split of a training run that had too many photos to list in its record.

    Test photos are recognized by the digests of their contents, if the record has them. Splitting by name alone could
    differ from the training run, in which the user may have specified groups of photos.

    Args:
        photos: photos in the folder of the training run.
    """
    split, known = _split(photos, SplitConfig(**record["percentages"])), known_photos(record)
    trained = sum(sum(sets.values()) for sets in record["classes"].values())
    test = split.test if known is None else _in_split(PhotoTable.of(split.test), known, "test")
    return replace(split, test=test, missing=max(0, trained - len(photos)))


def photos_of_folder(folder: Location, percentages: SplitConfig, known: KnownPhotos | None = None) -> ExportPhotos:
    """Return the photos in a folder, split into training and test photos.

    Args:
        known: photos of the training run, which are recognized by their contents. If it is None, or the folder contains
            none of the training photos, the photos are split by their names, as `train` does. Photos that are known to
            be validation photos of the training run are never used as test photos.

    Raises:
        DatasetError: the folder cannot be used.
    """
    photos = scan(folder).photos
    if known is None:
        return _split(photos, percentages)
    digests = hash_photos(photos).digests
    numbers = known.splits(digests)
    are_recognized = bool((numbers == _TRAINING).any())
    if not are_recognized:
        numbers = np.where(numbers == _VALIDATION, _VALIDATION, assign_splits(photos, percentages))
    training, test = (_with_digests(photos, digests, numbers == number) for number in (_TRAINING, _TEST))
    return ExportPhotos(training, test, are_recognized=are_recognized)


def _in_split(photos: PhotoTable, known: KnownPhotos, split: SplitName) -> tuple[Photo, ...]:
    """Return the photos that were in a split of the training run, recognized by content, with `sha256` set."""
    digests = hash_photos(photos).digests
    return _with_digests(photos, digests, known.splits(digests) == SPLIT_NAMES.index(split))


def _with_digests(photos: PhotoTable, digests: Digest, chosen: npt.NDArray[np.bool_]) -> tuple[Photo, ...]:
    """Return the photos for which the mask `chosen` is True, with their SHA-256 digests as the attribute `sha256`."""
    return tuple(replace(photos[row], sha256=digests[row].tobytes().hex()) for row in np.flatnonzero(chosen).tolist())


def test_groups(photos: Sequence[Photo], known: KnownPhotos | None) -> Rows | None:
    """Return the group number of each test photo, int64 [photos]; None if each photo is a group of its own.

    Args:
        photos: test photos; a photo without a digest in `sha256` gets a group of its own.
        known: photos of the training run, with their groups; None if they were not recorded.
    """
    if known is None or known.test_groups is None:
        return None
    digests = b"".join(bytes.fromhex(photo.sha256) if photo.sha256 else bytes(32) for photo in photos)
    numbers = known.groups(np.frombuffer(digests, np.uint8).reshape(len(photos), -1))
    alone = np.flatnonzero(numbers == NO_GROUP)
    numbers[alone] = numbers.max(initial=0) + 1 + alone
    return numbers


def _split(photos: PhotoTable, percentages: SplitConfig) -> ExportPhotos:
    numbers = assign_splits(photos, percentages)
    training, test = (photos.take(np.flatnonzero(numbers == SPLIT_NAMES.index(name))) for name in ("training", "test"))
    return ExportPhotos(training, test)


def calibration_photos(photos: Sequence[Photo], count: int) -> list[Photo]:
    """Return up to `count` photos, balanced among the classes, chosen by a random generator with a fixed seed."""
    by_class: dict[str, list[Photo]] = defaultdict(list)
    rng = np.random.default_rng(0)
    for index in rng.permutation(len(photos)):
        by_class[photos[index].label].append(photos[index])
    turns = max((len(members) for members in by_class.values()), default=0)
    interleaved = [
        by_class[label][turn] for turn in range(turns) for label in sorted(by_class) if turn < len(by_class[label])
    ]
    return interleaved[:count]
