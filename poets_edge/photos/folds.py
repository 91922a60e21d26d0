"""Assign photos to folds for cross-validation.

Photos whose names have the same text before `_nohash_`, photos with the same contents, and groups that the caller
specifies stay in one fold, even if they are in different classes. Otherwise, a classifier would be evaluated on photos
like those that it was trained on. Each class is spread over the folds as evenly as this allows. The assignment is
deterministic; unlike the splits from `poets_edge.photos.split`, it changes when photos are added, because an even
spread depends on all photos.
"""

from __future__ import annotations

import hashlib
import itertools
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.errors import DatasetError, UsageError
from poets_edge.photos.split import group_name
from poets_edge.photos.table import HashedPhoto, HashedPhotos, PhotoTable, Rows

DEFAULT_FOLDS = 5
_MIN_FOLDS = 2

NO_FOLD = -1
"""Fold number of a photo that is in no fold: it is used to train the classifier of every fold, and to evaluate none."""

Group = tuple[int, ...]
"""Row numbers of photos that must stay in one fold, ascending."""


@dataclass(frozen=True)
class Folds:
    """Photos assigned to folds.

    Attributes:
        assignment: fold of each photo, 0 to `count - 1`, or NO_FOLD if its class is in `always_trained`, int64
            [photos].
        count: number of folds.
        requested: requested number of folds; larger than `count` if a class has too few groups of photos.
        smallest: class that limits `count`: among the classes with two or more groups, the one with the fewest groups.
        always_trained: classes with a single group of photos. The classifier of every fold is trained on them, and
            they are not evaluated.
    """

    assignment: Rows
    count: int
    requested: int
    smallest: str
    always_trained: tuple[str, ...] = ()

    def warnings(self) -> list[str]:
        """Return warnings about fewer folds than requested and about classes that are not evaluated."""
        found = []
        if self.count < self.requested:
            found.append(
                f"cross-validation uses {self.count} folds instead of {self.requested}: class {self.smallest} has only"
                f" {self.count} photos that are not copies or variants of each other. Add photos."
            )
        if self.always_trained:
            found.append(
                f"class {', '.join(self.always_trained)}: a single photo (or copies and variants of one), which is"
                " needed for training, so cross-validation does not judge it. Add photos."
            )
        return found


def check_folds(requested: int) -> None:
    """Raise UsageError unless `requested` is 2 or more, or 0 for no cross-validation."""
    if requested and requested < _MIN_FOLDS:
        raise UsageError(f"`folds` must be {_MIN_FOLDS} or more, or 0 for no cross-validation, not {requested}.")


def assign_folds(
    photos: Sequence[HashedPhoto], requested: int = DEFAULT_FOLDS, *, repeats: int = 1, groups: Rows | None = None
) -> tuple[Folds, ...]:
    """Assign photos to folds for cross-validation; with `repeats`, several times in different ways.

    Args:
        photos: photos with their digests.
        requested: number of folds, 2 or more (see `check_folds`).
        repeats: number of assignments.
        groups: group number of each photo, int64 [photos]; photos in a group stay in one fold.

    Returns:
        One assignment per repeat. The number of folds is the smaller of `requested` and the smallest number of groups
        of photos in a class, not counting classes with a single group.

    Raises:
        DatasetError: the photos of each class form a single group, so no class can be evaluated.
    """
    hashed = HashedPhotos.of(photos)
    table, (joined, single) = hashed.photos, _groups(hashed, groups)
    labels = [table.labels[number] for number in table.classes.tolist()]
    group_counts = Counter(label for group in joined for label in {labels[row] for row in group})
    group_counts.update(labels[row] for row in single.tolist())
    divisible = {label: number for label, number in group_counts.items() if number >= _MIN_FOLDS}
    if not divisible:
        raise DatasetError(
            "no class has two photos that are not copies or variants of each other, so none can be judged by"
            " cross-validation. Add photos."
        )
    smallest = min(sorted(divisible), key=lambda label: divisible[label])
    count = min(requested, divisible[smallest])
    joined = [group for group in joined if all(labels[row] in divisible for row in group)]
    single = single[np.array([labels[row] in divisible for row in single.tolist()], np.bool_)]
    sizes = Counter(labels[row] for row in itertools.chain(*joined, single.tolist()))
    always_trained = tuple(sorted(label for label in group_counts if label not in divisible))
    return tuple(
        Folds(
            _spread(_in_order(table, joined, single, repeat), labels, sizes, count), count, requested, smallest,
            always_trained,
        )
        for repeat in range(repeats)
    )  # fmt: skip


def connected(pairs: Iterable[tuple[int, int]]) -> list[Group]:
    """Return the connected components of a graph whose nodes are row numbers (union-find).

    Args:
        pairs: edges of the graph. A row in no pair is not part of the result.

    Returns:
        One tuple of ascending row numbers per component, sorted by the first row number.
    """
    parents: dict[int, int] = {}

    def root(row: int) -> int:
        parents.setdefault(row, row)
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parents[high] = low
    groups: dict[int, list[int]] = defaultdict(list)
    for row in sorted(parents):
        groups[root(row)].append(row)
    return [tuple(group) for _, group in sorted(groups.items())]


def copies(values: npt.NDArray[Any]) -> list[tuple[int, int]]:
    """Return a pair (first, row) for each row of an array whose value also occurs in an earlier row.

    `first` is the first row with that value.
    """
    _, first, which = np.unique(values, return_index=True, return_inverse=True)
    first_of = first[which.reshape(-1)]
    again = np.flatnonzero(first_of != np.arange(len(values)))
    return list(zip(first_of[again].tolist(), again.tolist(), strict=True))


def _groups(photos: HashedPhotos, groups: Rows | None) -> tuple[list[Group], Rows]:
    """Return the groups of two or more photos that must stay in one fold, and the row numbers of all other photos.

    Two photos belong to one group if they have the same text before `_nohash_` in their names, the same contents or the
    same group number, or if both belong to one group with a third photo.

    Args:
        photos: photos with their digests.
        groups: group number of each photo, int64 [photos]; None for no further groups.
    """
    names = (group_name(name).encode("utf-8", "surrogatepass") for name in photos.photos.names)
    checksums = np.array([hashlib.blake2b(name, digest_size=16).digest() for name in names], "S16")
    joined = connected(
        [*copies(checksums), *copies(photos.byte_digests), *(copies(groups) if groups is not None else [])]
    )
    alone = np.ones(len(photos), np.bool_)
    alone[list(itertools.chain(*joined))] = False
    return joined, np.flatnonzero(alone)


def _in_order(table: PhotoTable, joined: Sequence[Group], single: Rows, repeat: int) -> Iterator[Group]:
    """Yield all groups of photos, largest first.

    Groups of equal size are in a pseudorandom order, which the number `repeat` determines.

    Args:
        table: all photos.
        joined: row numbers of the photos in each group of two or more photos.
        single: row numbers of the other photos, each of which forms its own group.
        repeat: number of the assignment to folds, from 0.
    """
    yield from sorted(joined, key=lambda group: (-len(group), _order_key(table, group, repeat)))
    keys = np.fromiter((_order_key(table, (row,), repeat) for row in single.tolist()), "S20", len(single))
    yield from ((row,) for row in single[np.argsort(keys)].tolist())


def _spread(groups: Iterable[Group], labels: Sequence[str], sizes: Mapping[str, int], count: int) -> Rows:
    """Assign each group of photos in turn to the emptiest fold, and return the fold of each photo.

    The emptiest fold is the one that contains the smallest part of the photos of the group's class; for a group with
    photos of several classes, these parts are added. If several folds are equally empty, the one with the fewest photos
    is chosen.

    Args:
        groups: row numbers of the photos in each group, in the order of assignment.
        labels: class of each photo.
        sizes: total number of photos of each class in the groups.
        count: number of folds.

    Returns:
        Fold of each photo, int64 [photos]; NO_FOLD for a photo in no group.
    """
    assignment = np.full(len(labels), NO_FOLD, np.int64)
    counts = [dict.fromkeys(sizes, 0) for _ in range(count)]
    filled = [0] * count
    for group in groups:
        own = sorted({labels[row] for row in group})
        # Relative to the class, so that a group of two classes is placed by the one that is harder to spread.
        fullness = [
            (sum([of_class[label] / sizes[label] for label in own]), photos)
            for of_class, photos in zip(counts, filled, strict=True)
        ]
        fold = min(range(count), key=fullness.__getitem__)
        filled[fold] += len(group)
        for row in group:
            assignment[row] = fold
            counts[fold][labels[row]] += 1
    return assignment


def _order_key(table: PhotoTable, group: Group, repeat: int) -> bytes:
    # macOS stores é as e + accent; the same photos must give the same folds on another machine.
    name = unicodedata.normalize("NFC", min(table.names[row] for row in group))
    return hashlib.sha1(f"{repeat} {name}".encode(errors="surrogateescape"), usedforsecurity=False).digest()
