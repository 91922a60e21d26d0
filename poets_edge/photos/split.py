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
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import get_args

from poets_edge.errors import UsageError
from poets_edge.photos.folder import Photo
from poets_edge.photos.folder import SetName as SetName

SET_NAMES: tuple[SetName, ...] = get_args(SetName)

_FEWEST_GROUPS_TO_SHARE = 3


@dataclass(frozen=True, kw_only=True)
class Percentages:
    """Shares of the photos, 0 to 100, that validate and test; the rest trains."""

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


def split(photos: Iterable[Photo], percentages: Percentages) -> dict[str, SetName]:
    """The set of each photo, by its name.

    In a class of three groups or more at least one group goes to each set whose share is not 0; with fewer, all of
    them train. Photos that lie in folders of sets stay in these; a set that has no folder gets its share of the
    training photos.
    """
    photos = list(photos)
    given = {photo.name: photo.given_set for photo in photos if photo.given_set is not None}
    if given:
        there = set(given.values())
        divided = _split(
            [photo for photo in photos if photo.given_set in (None, "training")],
            Percentages(
                testing=0 if "test" in there else percentages.testing,
                validation=0 if "validation" in there else percentages.validation,
            ),
        )
        return {**given, **divided}
    return _split(photos, percentages)


def _split(photos: Iterable[Photo], percentages: Percentages) -> dict[str, SetName]:
    groups: dict[str, dict[str, list[Photo]]] = defaultdict(lambda: defaultdict(list))
    for photo in photos:
        groups[photo.label][group_name(photo.name)].append(photo)
    return {
        photo.name: chosen
        for members in groups.values()
        for group, chosen in _split_class(list(members), percentages).items()
        for photo in members[group]
    }


def _split_class(groups: list[str], percentages: Percentages) -> dict[str, SetName]:
    if len(groups) < _FEWEST_GROUPS_TO_SHARE:
        return dict.fromkeys(groups, "training")
    places = {group: _place(group) for group in groups}
    chosen: dict[str, SetName] = {}
    for group, place in places.items():
        if place < percentages.validation:
            chosen[group] = "validation"
        elif place < percentages.validation + percentages.testing:
            chosen[group] = "test"
        else:
            chosen[group] = "training"
    # Small classes can miss a set by chance. Then the nearest group by hash fills it, from a set that has two.
    wanted: list[tuple[SetName, float]] = [("training", 100.0)]
    if percentages.validation:
        wanted.append(("validation", 0.0))
    if percentages.testing:
        wanted.append(("test", float(percentages.validation)))
    for name, ideal in wanted:
        if name not in chosen.values():
            sizes = {other: list(chosen.values()).count(other) for other in SET_NAMES}
            donors = [group for group in groups if sizes[chosen[group]] > 1]
            chosen[min(donors, key=lambda group: (abs(places[group] - ideal), group))] = name
    return chosen


def group_name(name: str) -> str:
    """The part of a name that photos share which must not be separated: up to `_nohash_`."""
    return re.sub(r"_nohash_.*$", "", name)


def _place(group: str) -> float:
    """Where a group falls between 0 and 100."""
    # macOS stores é as e + accent; the same photo must not change sets on another machine.
    text = unicodedata.normalize("NFC", group)
    digest = hashlib.sha1(text.encode("utf-8", errors="surrogateescape"), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 * 100
