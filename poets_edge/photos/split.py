"""Assign photos to the training, validation and test splits.

The split of a photo is determined by a hash of its path relative to the photo folder, so it does not change when photos
are added or the folder is moved. (The original `retrain.py` hashed the path as typed, so entering `./photos` instead of
`photos` moved a third of the photos to another split.) All photos in a group are in the same split. Photos whose names
have the same text before `_nohash_` form a group; the caller may specify more groups (see `poets_edge.photos.groups`).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from poets_edge.errors import UsageError
from poets_edge.photos.split_names import NO_SPLIT, SPLIT_NAMES, SplitName
from poets_edge.photos.table import Photo, PhotoTable, Rows, SplitNumbers

_TRAINING, _VALIDATION, _TEST = (SPLIT_NAMES.index(name) for name in ("training", "validation", "test"))

_MIN_GROUPS = 3
"""Minimum number of groups of photos in a class for it to be represented in every split."""


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Percentages of the photos for testing and for validation; the other photos are for training."""

    testing: int = 10
    validation: int = 10

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value <= 100:
                raise UsageError(f"`{name}` must lie between 0 and 100, not {value}.")
        if self.testing + self.validation >= 100:
            raise UsageError(
                f"`testing` {self.testing} and `validation` {self.validation} leave nothing to"
                " train on: together they must stay below 100."
            )


def split(photos: Iterable[Photo], percentages: SplitConfig) -> dict[str, SplitName]:
    """Return a mapping from the name of each photo to its split (see `assign_splits`)."""
    table = PhotoTable.of(photos)
    numbers = assign_splits(table, percentages)
    return {name: SPLIT_NAMES[number] for name, number in zip(table.names, numbers, strict=True)}


def assign_splits(photos: PhotoTable, percentages: SplitConfig, groups: Rows | None = None) -> SplitNumbers:
    """Return the split of each photo, int8 [photos]: 0 for training, 1 for validation, 2 for test.

    A class with three or more groups has at least one group in each split whose percentage is not 0; all photos of a
    class with fewer groups are for training. Photos in split folders stay in these splits; if there is no folder for a
    split, it receives its percentage of the photos in the training folder.

    Args:
        groups: group number of each photo, int64 [photos]. All photos in a group are assigned to the split of the first
            one, except those in a validation or test folder. By default, only photos whose names have the same text
            before `_nohash_` form a group.
    """
    numbers: SplitNumbers = photos.given.copy()
    given = {SPLIT_NAMES[number] for number in set(numbers.tolist()) if number != NO_SPLIT}
    if given:
        percentages = SplitConfig(
            testing=0 if "test" in given else percentages.testing,
            validation=0 if "validation" in given else percentages.validation,
        )
    free = np.flatnonzero((numbers == NO_SPLIT) | (numbers == _TRAINING))
    names = [photos.names[row] for row in _first_of_group(free, groups).tolist()]
    positions = np.array([_position(group_name(name)) for name in names], np.float64)
    chosen = np.full(len(free), _TRAINING, np.int8)
    chosen[positions < percentages.validation + percentages.testing] = _TEST
    chosen[positions < percentages.validation] = _VALIDATION
    required = _required(percentages)
    for number in np.flatnonzero(np.bincount(photos.classes[free])):
        own = np.flatnonzero(photos.classes[free] == number)
        present = set(chosen[own].tolist())
        if len(set(positions[own].tolist())) < _MIN_GROUPS or any(one not in present for one, _ in required):
            keys = [group_name(names[place]) for place in own.tolist()]
            before = dict(zip(keys, chosen[own].tolist(), strict=True))
            moved = {key: split for key, split in _fill(dict(before), required).items() if split != before[key]}
            # A group may have photos of other classes, which move with it.
            for place in own.tolist() if groups is None else range(len(names)):
                chosen[place] = moved.get(group_name(names[place]), chosen[place])
    numbers[free] = chosen
    return numbers


def _first_of_group(rows: Rows, groups: Rows | None) -> Rows:
    """Return, for each element of `rows`, the first element of `rows` whose photo is in the same group, int64 [rows].

    Args:
        rows: row numbers of photos.
        groups: group number of each photo; None if each photo forms its own group.
    """
    if groups is None:
        return rows
    _, first, inverse = np.unique(groups[rows], return_index=True, return_inverse=True)
    return np.asarray(rows[first[inverse.reshape(-1)]], np.int64)


def _required(percentages: SplitConfig) -> list[tuple[int, float]]:
    """Return the splits in which every class should have photos, each with a position.

    If a class has no photos in a split, the group whose position (`_position`) is nearest to that of the split is moved
    there.

    Returns:
        Pairs (split, position): the split is 0 (training), 1 (validation) or 2 (test), and the position is a number
        from 0 to 100.
    """
    required = [(_TRAINING, 100.0)]
    if percentages.validation:
        required.append((_VALIDATION, 0.0))
    if percentages.testing:
        required.append((_TEST, float(percentages.validation)))
    return required


def _fill(chosen: dict[str, int], required: Sequence[tuple[int, float]]) -> dict[str, int]:
    """Return the split of each group of photos in one class, changed such that every required split has a group.

    If the class has fewer than three groups, all of them are assigned to training; otherwise, one group is moved to
    each empty split.

    Args:
        chosen: split of each group: 0 training, 1 validation, 2 test; may be modified.
        required: result of `_required`.
    """
    if len(chosen) < _MIN_GROUPS:
        return dict.fromkeys(chosen, _TRAINING)
    positions = {group: _position(group) for group in chosen}
    for number, ideal in required:
        if number not in chosen.values():
            # The group nearest to the split moves there, from a split with two groups or more.
            sizes = Counter(chosen.values())
            donors = [group for group, of in chosen.items() if sizes[of] > 1]
            chosen[min(donors, key=lambda group: (abs(positions[group] - ideal), group))] = number
    return chosen


def group_name(name: str) -> str:
    """Return the part of a photo's name before `_nohash_`, which identifies its group; without `_nohash_`, the name."""
    return re.sub(r"_nohash_.*$", "", name) if "_nohash_" in name else name


def _position(group: str) -> float:
    """Return a number from 0 to 100, computed from a hash of a group's name, that determines the split of the group."""
    # macOS stores é as e + accent; the same photo must not change splits on another machine.
    text = group if group.isascii() else unicodedata.normalize("NFC", group)
    digest = hashlib.sha1(text.encode("utf-8", errors="surrogateescape"), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 * 100
