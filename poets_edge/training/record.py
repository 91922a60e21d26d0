"""JSON record of a training run, next to the graph: the options that determine the result, and the result.

It contains no dates or durations, so identical runs write identical records.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

import poets_edge
from poets_edge.core.json_checks import json_bytes
from poets_edge.photos.image import PREPROCESSING
from poets_edge.photos.known_photos import KnownPhotos
from poets_edge.photos.split_names import SPLIT_NAMES, SplitName
from poets_edge.photos.table import Digest, HashedPhotos, PhotoTable, Rows, SplitNumbers
from poets_edge.tflite.interpreter import runtime_version

FORMAT = 1


@dataclass(frozen=True)
class Duplicate:
    """Photos with identical bytes that are in different splits or classes.

    Attributes:
        names: names of the photos.
        sets: split of each photo.
        labels: class of each photo.
    """

    names: tuple[str, ...]
    sets: tuple[SplitName, ...]
    labels: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the names, splits and classes as a JSON-compatible dictionary of lists."""
        return {"names": list(self.names), "sets": list(self.sets), "labels": list(self.labels)}


def find_duplicates(photos: HashedPhotos, sets: SplitNumbers) -> list[Duplicate]:
    """Return groups of photos with identical bytes that are in different splits or in different classes.

    Identical photos in different splits inflate the test accuracy.
    """
    groups = [rows for rows in _same(photos.digests) if _differ(sets[rows]) or _differ(photos.photos.classes[rows])]
    found = []
    for rows in groups:
        several = [photos.photos[row] for row in rows.tolist()]
        found.append(
            Duplicate(
                tuple(photo.name for photo in several),
                tuple(SPLIT_NAMES[sets[row]] for row in rows.tolist()),
                tuple(photo.label for photo in several),
            )
        )
    return found


def _same(digests: Digest) -> list[Rows]:
    """Return the row numbers of each digest that occurs more than once, as arrays sorted by their first row number."""
    order = np.lexsort(digests.view(">u8").T) if len(digests) else np.zeros(0, np.int64)  # stable
    ordered = digests[order]
    ends = np.flatnonzero((ordered[1:] != ordered[:-1]).any(axis=1)) + 1
    starts, ends = np.r_[0, ends], np.r_[ends, len(order)]
    several = np.flatnonzero(ends - starts > 1)
    groups = [order[starts[place] : ends[place]] for place in several.tolist()]
    return sorted(groups, key=lambda rows: int(rows[0]))


def _differ(numbers: npt.NDArray[Any]) -> bool:
    return bool((numbers != numbers[0]).any())


def class_table(photos: PhotoTable, sets: SplitNumbers) -> dict[str, dict[SplitName, int]]:
    """Return the number of photos, by class and then by split."""
    wide = photos.classes.astype(np.int64) * len(SPLIT_NAMES) + sets
    counts = np.bincount(wide, minlength=len(photos.labels) * len(SPLIT_NAMES)).reshape(-1, len(SPLIT_NAMES)).tolist()
    of = dict(zip(photos.labels, counts, strict=True))
    return {label: dict(zip(SPLIT_NAMES, of[label], strict=True)) for label in photos.present}


MOST_LISTED = 100_000
"""Maximum number of photos that a training record lists by name. If there are more, programs that read the record
compute the splits again from the recorded options."""


def photo_fields(photos: HashedPhotos, sets: SplitNumbers, groups: Rows | None = None) -> dict[str, Any]:
    """Return the fields of a training record that list photos: `sets` (names by split) and `photos` (digests by name).

    If test photos are in groups, `test_groups` has the group number of each name in `sets["test"]`.

    For more than MOST_LISTED photos, `sets` and `photos` are None; `photos_sha256` is then a checksum of all photos,
    and `photo_sets` contains their digests by split, shortened to seven bytes each.
    """
    if len(photos) > MOST_LISTED:
        known = KnownPhotos.of(photos.digests, sets, groups)
        return {
            "sets": None,
            "photos": None,
            "photos_sha256": checksum(photos, sets),
            "photo_sets": known.to_json(),
        }
    names = list(photos.photos.names)
    hexadecimal = photos.digests.tobytes().hex()
    width = 2 * photos.digests.shape[1]
    rows = {
        name: sorted(np.flatnonzero(sets == number).tolist(), key=names.__getitem__)
        for number, name in enumerate(SPLIT_NAMES)
    }
    tested, numbers = np.unique(groups[rows["test"]] if groups is not None else [], return_inverse=True)
    return {
        "sets": {name: [names[row] for row in of_split] for name, of_split in rows.items()},
        **({"test_groups": numbers.reshape(-1).tolist()} if len(tested) < len(numbers) else {}),
        "photos": dict(sorted((name, hexadecimal[width * row : width * (row + 1)]) for row, name in enumerate(names))),
    }


def checksum(photos: HashedPhotos, sets: SplitNumbers) -> str:
    """Return a single SHA-256 for the names, splits and digests of all photos, hexadecimal."""
    whole = hashlib.sha256()
    for name, number, digest in zip(photos.photos.names, sets.tolist(), photos.digests, strict=True):
        whole.update(f"{name}\0{SPLIT_NAMES[number]}\0".encode("utf-8", "surrogatepass") + digest.tobytes())
    return whole.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of Python, the preprocessing and the packages used in training and exporting, by name."""
    runtime, runtime_number = runtime_version()
    found = {
        "poets_edge": poets_edge.__version__,
        "python": platform.python_version(),
        runtime: runtime_number,
    }
    for package in ("tensorflow", "numpy", "pillow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found | {"preprocessing": PREPROCESSING}


def record_of(graph_sha256: str, fields: Mapping[str, Any]) -> bytes:
    """Return the training record for a graph as JSON, encoded in UTF-8.

    Args:
        graph_sha256: SHA-256 of the graph's file, hexadecimal.
        fields: options and results of the training run.
    """
    record = {"format": FORMAT, "graph_sha256": graph_sha256, "versions": versions(), **fields}
    return json_bytes(record)
