"""Photos -> folds for cross-validation: every photo is judged by a head that has never seen it or its like.

Photos whose names agree up to `_nohash_`, and photos that are the same byte for byte, lie in one fold, also where they
lie in different classes. Each class is spread over the folds as evenly as that allows. The same photos always give the
same folds; unlike the sets of `poets_edge.photos.split`, the folds of a folder change when photos are added to it,
because evenness needs to know them all.
"""

from __future__ import annotations

import hashlib
import itertools
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.errors import DatasetError, UsageError
from poets_edge.photos.split import group_name
from poets_edge.photos.table import HashedPhoto, HashedPhotos, PhotoTable, Rows

DEFAULT_FOLDS = 5
_FEWEST = 2

NOT_JUDGED = -1
"""In place of a fold: the photo trains every head."""

Group = tuple[int, ...]
"""Row numbers of photos, ascending."""


@dataclass(frozen=True)
class Folds:
    """A division of photos.

    Attributes:
        of: fold of each photo, 0 to `count - 1`, or NOT_JUDGED where its class is always trained, int64 [photos].
        count: folds made.
        wanted: folds asked for; more than `count` where the smallest class has not so many groups of photos.
        smallest: the class that decided `count`.
        always_trained: classes that are a single group, and so have no photo to spare: they train every head and
            judge none.
    """

    of: Rows
    count: int
    wanted: int
    smallest: str
    always_trained: tuple[str, ...] = ()

    def remarks(self) -> list[str]:
        """Where the folds differ from what was asked for, one sentence each."""
        found = []
        if self.count < self.wanted:
            found.append(
                f"cross-validation uses {self.count} folds instead of {self.wanted}: class {self.smallest} has only"
                f" {self.count} photos that are not copies or variants of each other. Add photos."
            )
        if self.always_trained:
            found.append(
                f"class {', '.join(self.always_trained)}: a single photo (or copies and variants of one), which is"
                " needed for training, so cross-validation does not judge it. Add photos."
            )
        return found


def check_folds(wanted: int) -> None:
    """Refuse numbers of folds that cannot be; 0 stands for no cross-validation. Raises UsageError."""
    if wanted and wanted < _FEWEST:
        raise UsageError(f"`folds` must be {_FEWEST} or more, or 0 for no cross-validation, not {wanted}.")


def fold_photos(photos: Sequence[HashedPhoto], wanted: int = DEFAULT_FOLDS, *, repeats: int = 1) -> tuple[Folds, ...]:
    """Divide photos into folds, once or, differently each time, several times.

    Args:
        wanted: folds, 2 or more (see `check_folds`).

    Returns:
        As many folds as asked for, or as many as the smallest class of two groups or more has groups.

    Raises:
        DatasetError: no class has two groups, so nothing can be judged.
    """
    hashed = HashedPhotos.of(photos)
    table, (joined, single) = hashed.photos, _groups(hashed)
    labels = [table.labels[number] for number in table.classes.tolist()]
    of_class = Counter(label for group in joined for label in {labels[row] for row in group})
    of_class.update(labels[row] for row in single.tolist())
    spare = {label: number for label, number in of_class.items() if number >= _FEWEST}
    if not spare:
        raise DatasetError(
            "no class has two photos that are not copies or variants of each other, so none can be judged by"
            " cross-validation. Add photos."
        )
    smallest = min(sorted(spare), key=lambda label: spare[label])
    count = min(wanted, spare[smallest])
    joined = [group for group in joined if all(labels[row] in spare for row in group)]
    single = single[np.array([labels[row] in spare for row in single.tolist()], np.bool_)]
    sizes = Counter(labels[row] for row in itertools.chain(*joined, single.tolist()))
    always_trained = tuple(sorted(label for label in of_class if label not in spare))
    return tuple(
        Folds(
            _spread(_in_order(table, joined, single, repeat), labels, sizes, count), count, wanted, smallest,
            always_trained,
        )
        for repeat in range(repeats)
    )  # fmt: skip


def join(pairs: Iterable[tuple[int, int]]) -> list[Group]:
    """Groups of two and more that chains of pairs connect (union-find), by their first."""
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


def copies(marks: npt.NDArray[np.bytes_]) -> list[tuple[int, int]]:
    """The rows that have the mark of an earlier one, each after the first that has it."""
    _, first, which = np.unique(marks, return_index=True, return_inverse=True)
    first_of = first[which.reshape(-1)]
    again = np.flatnonzero(first_of != np.arange(len(marks)))
    return list(zip(first_of[again].tolist(), again.tolist(), strict=True))


def _groups(photos: HashedPhotos) -> tuple[list[Group], Rows]:
    """Photos that must stay together, joined by name or by content and by any chain of both; and all others."""
    names = (group_name(name).encode("utf-8", "surrogatepass") for name in photos.photos.names)
    checksums = np.array([hashlib.blake2b(name, digest_size=16).digest() for name in names], "S16")
    joined = join([*copies(checksums), *copies(photos.marks)])
    alone = np.ones(len(photos), np.bool_)
    alone[list(itertools.chain(*joined))] = False
    return joined, np.flatnonzero(alone)


def _in_order(table: PhotoTable, joined: Sequence[Group], single: Rows, repeat: int) -> Iterator[Group]:
    """Large groups first, then by a hash of the name."""
    yield from sorted(joined, key=lambda group: (-len(group), _place(table, group, repeat)))
    places = np.fromiter((_place(table, (row,), repeat) for row in single.tolist()), "S20", len(single))
    yield from ((row,) for row in single[np.argsort(places)].tolist())


def _spread(groups: Iterable[Group], labels: Sequence[str], sizes: Mapping[str, int], count: int) -> Rows:
    """One after the other, each goes where its classes have the fewest photos so far.

    Args:
        labels: of all photos.
        sizes: photos of each class in all the groups.
    """
    of = np.full(len(labels), NOT_JUDGED, np.int64)
    counts = [dict.fromkeys(sizes, 0) for _ in range(count)]
    filled = [0] * count
    for group in groups:
        own = sorted({labels[row] for row in group})
        # In shares of each class, so that a group of two classes is placed by the one that is harder to spread.
        fullness = [
            (sum([of_class[label] / sizes[label] for label in own]), photos)
            for of_class, photos in zip(counts, filled, strict=True)
        ]
        fold = min(range(count), key=fullness.__getitem__)
        filled[fold] += len(group)
        for row in group:
            of[row] = fold
            counts[fold][labels[row]] += 1
    return of


def _place(table: PhotoTable, group: Group, repeat: int) -> bytes:
    # macOS stores é as e + accent; the same photos must give the same folds on another machine.
    name = unicodedata.normalize("NFC", min(table.names[row] for row in group))
    return hashlib.sha1(f"{repeat} {name}".encode(errors="surrogateescape"), usedforsecurity=False).digest()
