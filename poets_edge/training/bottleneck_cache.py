"""Cache of bottlenecks (output vectors of a backbone): one `RowStore` file per backbone, with one row for each image.

An image is a photo, or a randomly distorted copy of it (data augmentation).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poets_edge.training.row_store import RowStore, open_row_store

Vector = npt.NDArray[np.float32]


def cache_key(photo_digest: bytes, variant: str = "") -> bytes:
    """Return the 32-byte key under which the cache for a backbone stores the vector of a photo.

    Args:
        photo_digest: SHA-256 of the photo's bytes.
        variant: text that identifies how the photo is preprocessed and distorted; empty for the plain photo.
    """
    return hashlib.sha256(photo_digest + variant.encode()).digest()


class BottleneckCache:
    """Cache of the vectors that one backbone computes, in an SQLite file; opened by `open_cache`."""

    def __init__(self, rows: RowStore) -> None:
        self._rows = rows

    def get(self, key: bytes) -> Vector | None:
        """Return the vector for a key, float32 [bottleneck_size]; None if it is absent or its checksum is wrong."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[bytes]) -> list[Vector | None]:
        """Return the vectors for several keys, in the order of the keys, with None for absent or damaged vectors."""
        return [None if data is None else np.frombuffer(data, np.float32) for data in self._rows.read_many(keys)]

    def missing(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return the given keys that have no cached vector, in the given order.

        Damage to a cached vector is detected only when it is read.
        """
        return self._rows.missing(keys)

    def put(self, key: bytes, vector: Vector) -> None:
        """Add a vector to the cache; `commit` writes it to disk. Raises OutputError if the disk is full or damaged."""
        self._rows.write(key, np.ascontiguousarray(vector, np.float32).tobytes())

    def take_damage(self) -> list[str]:
        """Return messages for users about damage to the cache that was detected since the last call."""
        found = [
            f"the bottleneck cache was damaged; it was moved to {path} and is computed again."
            for path in self._rows.set_aside
        ]
        if self._rows.damaged:
            found.append(f"{self._rows.damaged} results in the bottleneck cache were damaged; they are computed again.")
        self._rows.set_aside.clear()
        self._rows.damaged = 0
        return found

    def commit(self) -> None:
        """Write all uncommitted vectors to disk. Raises OutputError if the disk is full or damaged."""
        self._rows.commit()


@contextlib.contextmanager
def open_cache(path: Path) -> Iterator[tuple[BottleneckCache, Path | None]]:
    """Context manager that opens a cache file, or creates it.

    Yields:
        The cache, and the path to which a damaged file was moved, or None if the file was intact.

    Raises:
        OutputError: the file cannot be opened, created or written.
    """
    with open_row_store(path, "bottlenecks") as (rows, damaged):
        yield BottleneckCache(rows), damaged
