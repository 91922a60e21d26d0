"""Bottlenecks on disk: one file a backbone, one row a photo, kept as `poets_edge.train.row_store` says.

What several machines have computed lies beside it, as `poets_edge.train.shards` says; on a network file system,
where SQLite cannot be shared, everything does.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poets_edge.core.mounts import network_type
from poets_edge.train.row_store import Rows, open_rows
from poets_edge.train.shards import FOLDER_SUFFIX, Shards

Vector = npt.NDArray[np.float32]


def cache_key(photo_digest: bytes, variant: str = "") -> bytes:
    """Key of a vector within one backbone's file.

    Args:
        photo_digest: SHA-256 of the photo's bytes.
        variant: the distortion, "" for none.
    """
    return hashlib.sha256(photo_digest + variant.encode()).digest()


class BottleneckCache:
    """Reads and writes the vectors of one backbone; made by `open_cache`."""

    def __init__(self, rows: Rows | None, shards: Shards) -> None:
        """Args: rows: None on a network file system, where shards are all there is."""
        self._rows = rows
        self.shards = shards

    def get(self, key: bytes) -> Vector | None:
        """The vector (float32 [bottleneck_size]), or None where it is absent or its checksum is wrong."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[bytes]) -> list[Vector | None]:
        """The same of several vectors, in order."""
        rows = self._rows.read_many(keys) if self._rows else [None] * len(keys)
        found = [None if data is None else np.frombuffer(data, np.float32) for data in rows]
        if not self.shards:
            return found
        absent = [place for place, vector in enumerate(found) if vector is None]
        for place, vector in zip(absent, self.shards.read_many([keys[place] for place in absent]), strict=True):
            found[place] = vector
        return found

    def missing(self, keys: Sequence[bytes]) -> list[bytes]:
        """Which of these are absent, in order; whether the others are intact shows when they are read."""
        absent = self._rows.missing(keys) if self._rows else keys
        return self.shards.missing(absent)

    def put(self, key: bytes, vector: Vector) -> None:
        """Store a vector, soon. Raises OutputError where the disk is full or damaged."""
        if self._rows is None:
            self.shards.add(key, vector)
        else:
            self._rows.write(key, np.ascontiguousarray(vector, np.float32).tobytes())

    def take_damage(self) -> list[str]:
        """Sentences about the damage that was found since this was last asked."""
        moved = [*(self._rows.set_aside if self._rows else ()), *self.shards.set_aside]
        found = [f"the bottleneck cache was damaged; it was moved to {path} and is computed anew." for path in moved]
        self.shards.set_aside.clear()
        if self._rows is None:
            return found
        if self._rows.damaged:
            found.append(f"{self._rows.damaged} results in the bottleneck cache were damaged; they are computed anew.")
        self._rows.set_aside.clear()
        self._rows.damaged = 0
        return found

    def commit(self) -> None:
        """Store at once what was put. Raises OutputError like `put`."""
        if self._rows is not None:
            self._rows.commit()
        self.shards.commit()


@contextlib.contextmanager
def open_cache(path: Path) -> Iterator[tuple[BottleneckCache, Path | None]]:
    """Open, or begin, a cache: its file, and the shards beside it that several machines have written.

    Yields:
        The cache, and the place where a damaged file was moved aside to, if there was one.

    Raises:
        OutputError: the folder cannot be written.
    """
    shards = Shards(path.with_suffix(FOLDER_SUFFIX))
    if network_type(path.parent):
        cache = BottleneckCache(None, shards)
        try:
            yield cache, None
        finally:
            cache.commit()
        return
    with open_rows(path, "bottlenecks") as (rows, damaged):
        yield BottleneckCache(rows, shards), damaged
