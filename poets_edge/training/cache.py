"""Bottlenecks on disk: one file a backbone, one row a photo, kept as `poets_edge.training.rows` says."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poets_edge.training.rows import Rows, open_rows

Vector = npt.NDArray[np.float32]


def cache_key(photo_digest: bytes, variant: str = "") -> bytes:
    """Key of a vector within one backbone's file.

    Args:
        photo_digest: SHA-256 of the photo's bytes.
        variant: the distortion, "" for none.
    """
    return hashlib.sha256(photo_digest + variant.encode()).digest()


class BottleneckCache:
    """Reads and writes one file; made by `open_cache`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def get(self, key: bytes) -> Vector | None:
        """The vector (float32 [bottleneck_size]), or None where it is absent or its checksum is wrong."""
        data = self._rows.read(key)
        return None if data is None else np.frombuffer(data, np.float32)

    def get_many(self, keys: Sequence[bytes]) -> list[Vector | None]:
        """The same of several vectors, in order."""
        return [None if data is None else np.frombuffer(data, np.float32) for data in self._rows.read_many(keys)]

    def count(self, keys: Sequence[bytes]) -> int:
        """How many of these there are; whether they are intact shows when they are read."""
        return len(keys) - len(self._rows.missing(keys))

    def put(self, key: bytes, vector: Vector) -> None:
        """Store a vector, soon. Raises OutputError where the disk is full or damaged."""
        self._rows.write(key, np.ascontiguousarray(vector, np.float32).tobytes())

    def take_damage(self) -> list[str]:
        """Sentences about the damage that was found since this was last asked."""
        found = [
            f"the bottleneck cache was damaged; it was moved to {moved} and is computed anew."
            for moved in self._rows.set_aside
        ]
        if self._rows.damaged:
            found.append(f"{self._rows.damaged} results in the bottleneck cache were damaged; they are computed anew.")
        self._rows.set_aside.clear()
        self._rows.damaged = 0
        return found

    def commit(self) -> None:
        """Store at once what was put. Raises OutputError like `put`."""
        self._rows.commit()


@contextlib.contextmanager
def open_cache(path: Path) -> Iterator[tuple[BottleneckCache, Path | None]]:
    """Open, or begin, a cache file.

    Yields:
        The cache, and the place where a damaged file was moved aside to, if there was one.

    Raises:
        OutputError: the folder cannot be written.
    """
    with open_rows(path, "bottlenecks") as (rows, damaged):
        yield BottleneckCache(rows), damaged
