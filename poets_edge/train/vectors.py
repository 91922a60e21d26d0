"""A float32 table of a vector a photo, in memory or, where it is large, in a file that is read in parts.

Both are indexed alike: `table[rows]` gives an array in memory. The file has no name, lies in the bottleneck folder and
is gone when the table is: what lasts is the cache, whose rows have checksums, and from which it is filled in seconds.
It is read and not mapped, since pages that are mapped count as the program's memory.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from poets_edge.errors import OutputError
from poets_edge.photos.table import Rows

Matrix = npt.NDArray[np.float32]

LARGE = 1 << 24
"""Bytes from which a table lies in a file: some thousand photos, whose head is trained while others judge."""
_ROWS_AT_ONCE = 1 << 14
"""Over which a function of all rows is computed; one part for any small folder."""
_BYTES_AT_ONCE = 1 << 22
"""Of a table in a file, that such a function gets at once."""
_SPARSE = 4
"""Where fewer than one in so many rows are wanted, each is read by itself."""


class _TemporaryFile:
    """A file without a name, closed when nobody has it any more."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        raw: Any = tempfile.TemporaryFile(prefix="vectors-", dir=folder, buffering=0)  # noqa: SIM115
        self._raw, self._lock = raw, threading.Lock()
        weakref.finalize(self, raw.close)

    def write(self, data: memoryview) -> None:
        """Add to it. Raises OSError."""
        while data:
            data = data[self._raw.write(data) :]

    def read(self, into: memoryview, place: int) -> None:
        """Fill `into` with what is at `place`. Raises OutputError: there is less."""
        while into:
            count = self._read(into, place)
            if not count:
                raise OutputError("the temporary file of bottlenecks was cut short. Run again.")
            into, place = into[count:], place + count

    def _read(self, into: memoryview, place: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._raw.fileno(), [into], place)
        with self._lock:  # on Windows threads share the file's place
            self._raw.seek(place)
            return int(self._raw.readinto(into))


class StoredVectors:
    """Vectors in a file, or some of them."""

    def __init__(self, file: _TemporaryFile, width: int, rows: Rows) -> None:
        """Args: rows: the places in the file of this table's vectors, int64 [photos]."""
        self._file, self._rows = file, rows
        self.shape = (len(rows), width)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, chosen: Any) -> Matrix:
        """The vectors of these rows (numbers, a mask or a slice) as an array, float32 [chosen, width]."""
        rows = self._rows[chosen]
        found = np.empty((len(rows), self.shape[1]), np.float32)
        dense = len(rows) > 1 and bool((np.diff(rows) > 0).all()) and rows[-1] - rows[0] < _SPARSE * len(rows)
        if not dense:
            size = self.shape[1] * found.itemsize
            parts = memoryview(cast(Any, found.reshape(-1).view(np.uint8)))
            for start, row in zip(range(0, len(parts), size), rows.tolist(), strict=True):
                self._file.read(parts[start : start + size], row * size)
            return found
        for start in range(int(rows[0]), int(rows[-1]) + 1, _ROWS_AT_ONCE // 8):
            end = min(start + _ROWS_AT_ONCE // 8, int(rows[-1]) + 1)
            first, last = np.searchsorted(rows, (start, end))
            part = found[first:last] if last - first == end - start else np.empty((end - start, found.shape[1]), "f4")
            self._read(start, part)
            if part.base is not found:
                found[first:last] = part[rows[first:last] - start]
        return found

    def take(self, rows: Rows) -> StoredVectors:
        """Some of them, still in the file."""
        return StoredVectors(self._file, self.shape[1], self._rows[rows])

    def _read(self, row: int, into: Matrix) -> None:
        self._file.read(memoryview(cast(Any, into)).cast("B"), row * self.shape[1] * into.itemsize)


Vectors: TypeAlias = "Matrix | StoredVectors"


class VectorTable:
    """A table that is filled from its beginning."""

    def __init__(self, most: int, width: int, folder: Path) -> None:
        """Args: most: rows it may get; folder: where a large one lies. Raises OutputError."""
        self._count, self._width, self._folder = 0, width, folder
        self._array: Matrix | None = None
        if most * width * 4 < LARGE:
            self._array = np.empty((most, width), np.float32)
            return
        try:
            self._file = _TemporaryFile(folder)
        except OSError as error:
            raise self._cannot_write(error) from None

    def append(self, rows: Matrix) -> None:
        """Add rows, float32 [any, width]. Raises OutputError where the disk is full."""
        if self._array is not None:
            self._array[self._count : self._count + len(rows)] = rows
        else:
            try:
                self._file.write(memoryview(cast(Any, np.ascontiguousarray(rows, np.float32))).cast("B"))
            except OSError as error:
                raise self._cannot_write(error) from None
        self._count += len(rows)

    def finish(self) -> Vectors:
        """The table of all that was added."""
        if self._array is not None:
            return self._array[: self._count]
        return StoredVectors(self._file, self._width, np.arange(self._count))

    def _cannot_write(self, error: OSError) -> OutputError:
        return OutputError(
            f"cannot write a temporary file in {self._folder}: {error.strerror or error}. Free some space, or give"
            " another `bottleneck_dir`, and run again; what is computed stays."
        )


def take(vectors: Vectors, rows: Rows) -> Vectors:
    """Some rows; of a large table still in its file."""
    return vectors.take(rows) if isinstance(vectors, StoredVectors) else vectors[rows]


def pick(vectors: Vectors, rows: Rows) -> Matrix:
    """Some rows, in memory: `vectors[rows]`, for which numpy takes half as long again."""
    return vectors[rows] if isinstance(vectors, StoredVectors) else vectors.take(rows, axis=0)


def in_parts(vectors: Vectors) -> Iterator[Matrix]:
    """All rows, some thousands at a time."""
    at_once = _ROWS_AT_ONCE
    if isinstance(vectors, StoredVectors):  # each part is read into memory
        at_once = min(at_once, max(1, _BYTES_AT_ONCE // (vectors.shape[1] * 4)))
    if len(vectors) <= at_once:
        yield vectors[:]
        return
    for start in range(0, len(vectors), at_once):
        yield vectors[start : start + at_once]


def apply(function: Callable[[Matrix], npt.NDArray[Any]], vectors: Vectors) -> npt.NDArray[Any]:
    """A function of rows, over all of them."""
    found = [function(part) for part in in_parts(vectors)]
    return found[0] if len(found) == 1 else np.concatenate(found)
