"""Recognising a folder of photos again from a few hundred bytes: is it the one that a model was trained on?

A model that meets its training folder may only be judged on the part that it has not learned from; in any other folder
every photo counts. The model may be far from that folder, on a Raspberry Pi, so it carries a sketch of it: the smallest
hashes of its photos' names and sizes (MinHash: Broder, "On the resemblance and containment of documents", 1997). Two
folders that share photos share some of them; two that do not, share none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable

from poets_edge.photos import elsewhere
from poets_edge.photos.table import UNKNOWN_SIZE, Photo, PhotoTable

_LENGTH = 128
"""Hashes kept. A folder that holds one in 25 of the training photos shares five of them on average."""
_AT_ONCE = 1 << 14


def sketch(photos: Iterable[tuple[str, int]]) -> list[int]:
    """The sketch of a folder: at most 128 numbers of 48 bits, ascending.

    Args:
        photos: path and bytes of each; one whose bytes are UNKNOWN_SIZE is left out.
    """
    least: set[int] = set()
    for path, size in photos:
        if size == UNKNOWN_SIZE:
            continue
        # The name without the folders above: photos stay the same when classes are renamed or divided into sets.
        text = f"{size} {os.path.basename(path)}".encode(errors="surrogateescape")  # noqa: PTH119
        least.add(int.from_bytes(hashlib.sha256(text).digest()[:6], "big"))
        if len(least) == _AT_ONCE:
            least = set(sorted(least)[:_LENGTH])
    return sorted(least)[:_LENGTH]


def sketch_now(photos: Iterable[Photo]) -> list[int]:
    """The sketch of photos as they lie there now; those that are gone are left out."""
    paths = photos.paths() if isinstance(photos, PhotoTable) else (str(photo.path) for photo in photos)
    return sketch((path, _size_now(path)) for path in paths)


def overlap(one: Collection[int], other: Collection[int]) -> bool:
    """Whether the folders of two sketches share photos, as far as the sketches show."""
    return not set(one).isdisjoint(other)


def _size_now(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - paths as text: there may be a million
    except OSError:  # gone, or no file by itself
        return elsewhere.size(path)
