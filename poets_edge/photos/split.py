"""Which photos train the head, which choose it, and which judge it.

A photo's set follows from a hash of its path relative to the photo folder, so it stays where it is when photos
are added or the folder is moved. (The original script hashed the path as typed: `./photos` instead of `photos`
moved a third of the photos to another set.) Photos whose names agree up to `_nohash_` are one group and stay
together: use it for near-duplicates.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from poets_edge.core.arguments import check_fields
from poets_edge.errors import UsageError
from poets_edge.photos.table import NO_SET, Photo, PhotoTable, SetNumbers
from poets_edge.photos.table import SET_NAMES as SET_NAMES
from poets_edge.photos.table import SetName as SetName

_TRAINING, _VALIDATION, _TEST = (SET_NAMES.index(name) for name in ("training", "validation", "test"))

_FEWEST_GROUPS_TO_SHARE = 3


@dataclass(frozen=True, kw_only=True)
class Percentages:
    """Shares of the photos, 0 to 100, that validate and test; the rest trains."""

    testing: int = 10
    validation: int = 10

    def __post_init__(self) -> None:
        check_fields(self)
        for name, value in asdict(self).items():
            if not 0 <= value <= 100:
                raise UsageError(f"`{name}` must lie between 0 and 100, not {value}.")
        if self.testing + self.validation >= 100:
            raise UsageError(
                f"`testing` {self.testing} and `validation` {self.validation} leave nothing to"
                " train on: together they must stay below 100."
            )


def split(photos: Iterable[Photo], percentages: Percentages) -> dict[str, SetName]:
    """The set of each photo, by its name; as `set_numbers` says."""
    table = PhotoTable.of(photos)
    return {name: SET_NAMES[number] for name, number in zip(table.names, set_numbers(table, percentages), strict=True)}


def set_numbers(photos: PhotoTable, percentages: Percentages) -> SetNumbers:
    """The set of each photo, as its place in SET_NAMES, int8 [photos].

    In a class of three groups or more at least one group goes to each set whose share is not 0; with fewer, all of
    them train. Photos that lie in folders of sets stay in these; a set that has no folder gets its share of the
    training photos.
    """
    numbers: SetNumbers = photos.given.copy()
    there = {SET_NAMES[number] for number in set(numbers.tolist()) if number != NO_SET}
    if there:
        percentages = Percentages(
            testing=0 if "test" in there else percentages.testing,
            validation=0 if "validation" in there else percentages.validation,
        )
    free = np.flatnonzero((numbers == NO_SET) | (numbers == _TRAINING))
    places = np.array([_place(group_name(name)) for name in photos.names], np.float64)[free]
    chosen = np.full(len(free), _TRAINING, np.int8)
    chosen[places < percentages.validation + percentages.testing] = _TEST
    chosen[places < percentages.validation] = _VALIDATION
    wanted = _wanted(percentages)
    for number in np.flatnonzero(np.bincount(photos.classes[free])):
        own = np.flatnonzero(photos.classes[free] == number)
        met = set(chosen[own].tolist())
        if len(set(places[own].tolist())) < _FEWEST_GROUPS_TO_SHARE or any(one not in met for one, _ in wanted):
            groups = [group_name(photos.names[row]) for row in free[own].tolist()]
            of = _fill(dict(zip(groups, chosen[own].tolist(), strict=True)), wanted)
            chosen[own] = [of[group] for group in groups]
    numbers[free] = chosen
    return numbers


def _wanted(percentages: Percentages) -> list[tuple[int, float]]:
    """The sets that every class should have, each with the place that is the most its own."""
    wanted = [(_TRAINING, 100.0)]
    if percentages.validation:
        wanted.append((_VALIDATION, 0.0))
    if percentages.testing:
        wanted.append((_TEST, float(percentages.validation)))
    return wanted


def _fill(chosen: dict[str, int], wanted: Sequence[tuple[int, float]]) -> dict[str, int]:
    """The sets of a class's groups, where it has too few to share, or misses a set by chance."""
    if len(chosen) < _FEWEST_GROUPS_TO_SHARE:
        return dict.fromkeys(chosen, _TRAINING)
    places = {group: _place(group) for group in chosen}
    for number, ideal in wanted:
        if number not in chosen.values():
            # The nearest group by hash fills it, from a set that has two.
            sizes = Counter(chosen.values())
            donors = [group for group, of in chosen.items() if sizes[of] > 1]
            chosen[min(donors, key=lambda group: (abs(places[group] - ideal), group))] = number
    return chosen


def group_name(name: str) -> str:
    """The part of a name that photos share which must not be separated: up to `_nohash_`."""
    return re.sub(r"_nohash_.*$", "", name) if "_nohash_" in name else name


def _place(group: str) -> float:
    """Where a group falls between 0 and 100."""
    # macOS stores é as e + accent; the same photo must not change sets on another machine.
    text = group if group.isascii() else unicodedata.normalize("NFC", group)
    digest = hashlib.sha1(text.encode("utf-8", errors="surrogateescape"), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 * 100
