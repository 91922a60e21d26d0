"""MinHash signatures, by which models from poets_edge 0.2 recognize their training folder.

These models contain a signature of the training folder, a few hundred bytes long: the smallest hashes of the names and
sizes of its photos (Broder, "On the resemblance and containment of documents", 1997). The signatures of two folders
that have many photos in common share hashes, unlike those of two folders that have none in common. A model from
poets_edge 0.2 is evaluated on the test split of its training folder, but on all photos of any other folder. Later
models contain digests of their photos instead (`poets_edge.photos.known_photos`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable

from poets_edge.photos import sources
from poets_edge.photos.table import UNKNOWN_SIZE, Photo, PhotoTable

_LENGTH = 128
"""Maximum number of hashes per signature. A folder that contains 1 in 25 of the training photos has five hashes
in common with the training folder, on average."""
_AT_ONCE = 1 << 14


def minhash_signature(photos: Iterable[tuple[str, int]]) -> list[int]:
    """Return the MinHash signature of a folder: up to 128 integers of 48 bits, in ascending order.

    Args:
        photos: (path, size in bytes) of each photo; photos of unknown size (-1) are skipped.
    """
    least: set[int] = set()
    for path, size in photos:
        if size == UNKNOWN_SIZE:
            continue
        # The name without its folders: renaming a class or splitting the folder does not change the signature.
        text = f"{size} {os.path.basename(path)}".encode(errors="surrogateescape")  # noqa: PTH119
        least.add(int.from_bytes(hashlib.sha256(text).digest()[:6], "big"))
        if len(least) == _AT_ONCE:
            least = set(sorted(least)[:_LENGTH])
    return sorted(least)[:_LENGTH]


def current_signature(photos: Iterable[Photo]) -> list[int]:
    """Return the MinHash signature of the given photos, based on their current sizes; missing photos are skipped."""
    paths = photos.paths() if isinstance(photos, PhotoTable) else (str(photo.path) for photo in photos)
    return minhash_signature((path, _size_now(path)) for path in paths)


def overlap(one: Collection[int], other: Collection[int]) -> bool:
    """Return whether two signatures share a hash, which means that their folders have photos in common."""
    return not set(one).isdisjoint(other)


def _size_now(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - paths as text: there may be a million
    except OSError:  # missing, or in an archive or at an address
        return sources.size(path)
