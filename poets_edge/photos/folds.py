"""Photos -> folds for cross-validation: every photo is judged by a head that has never seen it or its like.

Photos whose names agree up to `_nohash_`, and photos that are the same byte for byte, lie in one fold, also where they
lie in different classes. Each class is spread over the folds as evenly as that allows. The same photos always give the
same folds; unlike the sets of `poets_edge.photos.split`, the folds of a folder change when photos are added to it,
because evenness needs to know them all.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poets_edge.errors import DatasetError, UsageError
from poets_edge.photos.folder import Photo
from poets_edge.photos.split import group_name

DEFAULT_FOLDS = 5
_FEWEST = 2


@dataclass(frozen=True)
class Folds:
    """A division of photos.

    Attributes:
        of: fold of each judged photo by name, 0 to `count - 1`. Photos of `always_trained` classes are missing.
        count: folds made.
        wanted: folds asked for; more than `count` where the smallest class has not so many groups of photos.
        smallest: the class that decided `count`.
        always_trained: classes that are a single group, and so have no photo to spare: they train every head and
            judge none.
    """

    of: dict[str, int]
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


def fold_photos(
    photos: Sequence[Photo], digests: Mapping[str, bytes], wanted: int = DEFAULT_FOLDS, *, repeat: int = 0
) -> Folds:
    """Divide photos into folds.

    Args:
        digests: the hash of each photo's bytes, by the photo's name.
        wanted: folds, 2 or more (see `check_folds`).
        repeat: another number gives another division of the same photos.

    Returns:
        As many folds as asked for, or as many as the smallest class of two groups or more has groups.

    Raises:
        DatasetError: no class has two groups, so nothing can be judged.
    """
    groups = _groups(photos, digests)
    of_class = Counter(label for group in groups for label in {photo.label for photo in group})
    spare = {label: number for label, number in of_class.items() if number >= _FEWEST}
    if not spare:
        raise DatasetError(
            "no class has two photos that are not copies or variants of each other, so none can be judged by"
            " cross-validation. Add photos."
        )
    smallest = min(sorted(spare), key=lambda label: spare[label])
    count = min(wanted, spare[smallest])
    judged = [group for group in groups if all(photo.label in spare for photo in group)]
    return Folds(
        _spread(judged, count, repeat),
        count,
        wanted,
        smallest,
        tuple(sorted(label for label in of_class if label not in spare)),
    )


def _groups(photos: Sequence[Photo], digests: Mapping[str, bytes]) -> list[list[Photo]]:
    """Photos that must stay together: joined by name or by content, and by any chain of both (union-find)."""
    parents = list(range(len(photos)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    first: dict[str | bytes, int] = {}
    for index, photo in enumerate(photos):
        for mark in (group_name(photo.name), digests[photo.name]):
            parents[root(index)] = root(first.setdefault(mark, index))
    members: dict[int, list[Photo]] = defaultdict(list)
    for index, photo in enumerate(photos):
        members[root(index)].append(photo)
    return list(members.values())


def _spread(groups: Sequence[list[Photo]], count: int, repeat: int) -> dict[str, int]:
    """Large groups first, then by a hash of the name; each goes where its classes have the fewest photos so far."""
    of: dict[str, int] = {}
    sizes = Counter(photo.label for group in groups for photo in group)
    counts = [dict.fromkeys(sizes, 0) for _ in range(count)]
    filled = [0] * count
    for group in sorted(groups, key=lambda group: (-len(group), _place(group, repeat))):
        labels = sorted({photo.label for photo in group})
        # In shares of each class, so that a group of two classes is placed by the one that is harder to spread.
        fullness = [
            (sum([of_class[label] / sizes[label] for label in labels]), photos)
            for of_class, photos in zip(counts, filled, strict=True)
        ]
        fold = min(range(count), key=fullness.__getitem__)
        filled[fold] += len(group)
        for photo in group:
            of[photo.name] = fold
            counts[fold][photo.label] += 1
    return of


def _place(group: Sequence[Photo], repeat: int) -> bytes:
    # macOS stores é as e + accent; the same photos must give the same folds on another machine.
    name = unicodedata.normalize("NFC", min(photo.name for photo in group))
    return hashlib.sha1(f"{repeat} {name}".encode(errors="surrogateescape"), usedforsecurity=False).digest()
