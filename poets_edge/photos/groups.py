"""Groups of photos that belong together, such as frames of a video or photos of one person.

All photos in a group are assigned to the same split and the same fold: if a model is trained on some of them and
evaluated on the others, its accuracy is overestimated. Groups are inferred from file names (`name_pairs`) or specified
by the user (`stated_groups`); photos that look alike are grouped in `poets_edge.training.look_alikes`.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from poets_edge.core.files import read_bytes
from poets_edge.errors import DatasetError, UsageError
from poets_edge.photos.folds import connected
from poets_edge.photos.split import group_name
from poets_edge.photos.table import PhotoTable, Rows

PARENT = "parent"
"""Value of `group_by` that requests one group per folder inside the class folders."""

_LARGEST_CSV = 1 << 28
_COUNTER = re.compile(r"^(.*?)(\d+)$", re.DOTALL)
_SEQUENCE_WORD = re.compile(r"frame|video|burst|clip", re.IGNORECASE)
_AUGMENTED = re.compile(r"^(.+)\.rf\.[0-9A-Za-z]{16,}$")
"""Pattern for the names of augmented photos that Roboflow writes, such as `rose1_jpg.rf.0123456789abcdef`."""
_SUBJECT = re.compile(r"\d[^0-9]+$|\d{1,4}$")
"""Pattern for the number of a person or object in a file name. It is applied to the part before the final counter: in
`rock01-042`, 01 is the number of the person and 042 that of the frame."""


def check_group_by(group_by: str) -> None:
    """Raise UsageError unless `group_by` is empty, "parent", the name of a CSV file, or a valid regular expression."""
    if group_by in ("", PARENT) or group_by.lower().endswith(".csv"):
        return
    try:
        re.compile(group_by)
    except re.error as error:
        raise UsageError(
            f"`group_by` {group_by}: not a regular expression ({error}). Give a pattern such as 'person(\\d+)', the"
            f" word {PARENT}, or a .csv file with the columns photo and group."
        ) from None


def stated_groups(photos: PhotoTable, group_by: str) -> Rows:
    """Return the groups that the user specified: for each photo, the first row number in its group, int64 [photos].

    Args:
        group_by: "parent", the path of a CSV file, or a regular expression. With "parent", each folder inside the
            class folders is a group; folders with the same name in several classes form one group. A CSV file has the
            columns photo (path relative to the photo folder) and group. A regular expression is searched for in the
            path of each photo; its first capturing group, or the whole match if it has none, is the name of the photo's
            group. A photo that is assigned to no group forms its own group.

    Raises:
        UsageError: `group_by` assigns no photo to a group, or the regular expression is invalid.
        DatasetError: the CSV file cannot be read.
    """
    check_group_by(group_by)
    keys: list[str | None]
    if group_by == PARENT:
        keys = [_parent(photos, row) for row in range(len(photos))]
    elif group_by.lower().endswith(".csv"):
        table = _read_csv(Path(group_by))
        keys = [table.get(name) for name in photos.names]
    else:
        pattern = re.compile(group_by)
        keys = [_matched(pattern, name) for name in photos.names]
    if all(key is None for key in keys):
        raise UsageError(f"`group_by` {group_by}: it gives none of the {len(photos)} photos a group.")
    return grouped_rows(len(photos), _pairs_of_keys(keys))


def name_pairs(photos: PhotoTable) -> list[tuple[int, int]]:
    """Return pairs of row numbers of photos whose names show that they belong together.

    There are four kinds of such photos:

    - photos whose names have the same text before `_nohash_`;
    - augmented variants of one photo, as named by Roboflow;
    - frames of a video in one folder, such as `frame_000123`;
    - photos of one person or object, whose number precedes a counter, as 01 does in `rock01-042`.

    The last two kinds are ignored in a class if all of them would form a single group.
    """
    keys = [_variant_of(name) for name in photos.names]
    pairs = _pairs_of_keys(keys)
    sequences = [_sequence(photos, row) for row in range(len(photos))]
    of_class: dict[int, set[str]] = defaultdict(set)
    for key, number in zip(sequences, photos.classes.tolist(), strict=True):
        if key is not None:
            of_class[number].add(key)
    told_apart = [
        key if key is not None and len(of_class[number]) > 1 else None
        for key, number in zip(sequences, photos.classes.tolist(), strict=True)
    ]
    return pairs + _pairs_of_keys(told_apart)


def successors(photos: PhotoTable, most: int = 3) -> list[tuple[int, int]]:
    """Return the row numbers of each pair of successive photos in a folder whose counters differ by at most `most`.

    The counter of a photo is the number at the end of its name, as in `IMG_0001`; row numbers refer to `photos`.
    """
    runs: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row, name in enumerate(photos.names):
        path = PurePosixPath(name)
        if match := _COUNTER.match(path.stem):
            runs[f"{path.parent}/{match[1]}"].append((int(match[2]), row))
    pairs = []
    for run in runs.values():
        run.sort()
        pairs += [(a, b) for (low, a), (high, b) in itertools.pairwise(run) if high - low <= most]
    return pairs


def grouped_rows(count: int, pairs: Iterable[tuple[int, int]]) -> Rows:
    """Return, for each photo, the row number of the first photo in its group, int64 [count].

    Args:
        count: number of photos.
        pairs: pairs of row numbers of photos in one group; a photo in no pair forms its own group.
    """
    first = np.arange(count)
    for group in connected(pairs):
        first[list(group)] = group[0]
    return first


def _pairs_of_keys(keys: Sequence[str | None]) -> list[tuple[int, int]]:
    """Return a pair of row numbers (first, row) for each row whose key also occurs in an earlier row.

    `first` is the first row with that key. Rows whose key is None are ignored.
    """
    first: dict[str, int] = {}
    pairs = []
    for row, key in enumerate(keys):
        if key is not None and first.setdefault(key, row) != row:
            pairs.append((first[key], row))
    return pairs


def _variant_of(name: str) -> str | None:
    """Return the part of a file name that all augmented copies of one photo share; None if it is not such a copy."""
    if "_nohash_" in name:
        return group_name(name)
    path = PurePosixPath(name)
    match = _AUGMENTED.match(path.stem)
    return f"{path.parent}/{match[1]}" if match else None


def _sequence(photos: PhotoTable, row: int) -> str | None:
    """Return the part of a photo's name that identifies a video, person or object; None if there is no such part."""
    path = PurePosixPath(photos.names[row])
    match = _COUNTER.match(path.stem)
    if match is None or not match[1]:
        return None
    label = photos.labels[photos.classes[row]]
    if _SEQUENCE_WORD.search(match[1]):
        return f"{path.parent}/{match[1]}"
    rest = re.sub(rf"(?<![^\W\d_]){re.escape(label)}(?![^\W\d_])", "", match[1], flags=re.IGNORECASE)
    return rest if _SUBJECT.search(rest) else None


def _parent(photos: PhotoTable, row: int) -> str | None:
    """Return the name of the folder that contains a photo; None if the photo is directly in its class folder."""
    depth = 1 if photos.given[row] < 0 else 2
    folders = photos.names[row].split("/")[:-1]
    return folders[-1] if len(folders) > depth else None


def _matched(pattern: re.Pattern[str], name: str) -> str | None:
    match = pattern.search(name)
    if match is None:
        return None
    return match[1] if pattern.groups else match[0]


def _read_csv(path: Path) -> dict[str, str]:
    try:
        text = read_bytes(path, _LARGEST_CSV).decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from None
    if any(len(row) < 2 for row in rows):
        raise DatasetError(f"{path}: two columns are needed, photo and group, separated by a comma.")
    return {row[0].strip(): row[1].strip() for row in rows}
