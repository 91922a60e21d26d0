"""Float32 tables with one vector per photo: in memory if small, in a memory-mapped file if large.

Both kinds have the same interface: `table[rows]` returns an array in memory. The file is an unnamed temporary file in
the bottleneck folder and is deleted with the table; a new table is filled from the bottleneck cache in seconds. Pages
of the file are released after each read, since they count towards the memory use of the program.
"""

from __future__ import annotations

import mmap
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from poets_edge.errors import OutputError
from poets_edge.photos.table import Rows

Matrix = npt.NDArray[np.float32]

LARGE = 1 << 24
"""Minimum size in bytes of tables that are stored in a file. A table for a few thousand photos reaches this size."""
_ROWS_PER_PART = 1 << 14
"""Number of rows per part of a table in memory; a small data set is one part."""
_BYTES_PER_PART = 1 << 22
"""Maximum size in bytes of a part of a table that is stored in a file."""
_ROWS_PER_READ = 512
"""Number of rows to read before releasing their memory pages. On Linux, reading one random row can map 64 kB, so memory
use would otherwise far exceed the size of the rows."""


class StoredVectors:
    """A table of vectors in a memory-mapped file, or a selection of its rows.

    Attributes:
        shape: (number of vectors, width).
    """

    def __init__(self, mapping: mmap.mmap, width: int, rows: Rows) -> None:
        """Create a table whose vectors are rows of an existing file.

        Args:
            mapping: the memory-mapped file, which contains float32 values.
            width: number of values per vector.
            rows: for each vector of the table, its row number in the file, int64 [vectors].
        """
        self._mapping, self._rows = mapping, rows
        self.shape = (len(rows), width)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, chosen: Any) -> Matrix:
        """Read the vectors in the chosen rows (row numbers, a mask or a slice), float32 [chosen, width]."""
        rows, width = self._rows[chosen], self.shape[1]
        table = np.frombuffer(self._mapping, np.float32).reshape(-1, width)
        found = np.empty((len(rows), width), np.float32)
        for start in range(0, len(rows), _ROWS_PER_READ):
            part = slice(start, start + _ROWS_PER_READ)
            table.take(rows[part], axis=0, out=found[part], mode="clip")  # other modes copy twice
            if hasattr(mmap, "MADV_DONTNEED"):
                self._mapping.madvise(mmap.MADV_DONTNEED)
        return found

    def take(self, rows: Rows) -> StoredVectors:
        """Return a table with only the given rows of this one. This call does not load their vectors."""
        return StoredVectors(self._mapping, self.shape[1], self._rows[rows])


Vectors: TypeAlias = "Matrix | StoredVectors"


class VectorTableBuilder:
    """Builds a table of vectors row by row, in memory or, if it is large, in a temporary file."""

    def __init__(self, capacity: int, width: int, folder: Path) -> None:
        """Create an empty table.

        Args:
            capacity: maximum number of rows.
            width: number of values per row.
            folder: folder for the temporary file of a large table.

        Raises:
            OutputError: the file cannot be created.
        """
        self._count, self._width, self._folder = 0, width, folder
        self._array: Matrix | None = None
        if capacity * width * 4 < LARGE:
            self._array = np.empty((capacity, width), np.float32)
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(prefix="vectors-", dir=folder)  # noqa: SIM115 - closed below
            weakref.finalize(self, self._file.close)
        except OSError as error:
            raise self._cannot_write(error) from None

    def append(self, rows: Matrix) -> None:
        """Append rows, float32 [rows, width]. Raises OutputError if the disk is full."""
        if self._array is not None:
            self._array[self._count : self._count + len(rows)] = rows
        else:
            try:
                self._file.write(np.ascontiguousarray(rows, np.float32).data)
            except OSError as error:
                raise self._cannot_write(error) from None
        self._count += len(rows)

    def finish(self) -> Vectors:
        """Return a table of all rows that were appended. Raises OutputError if the disk is full."""
        if self._array is not None:
            return self._array[: self._count]
        if not self._count:
            return np.empty((0, self._width), np.float32)
        try:
            self._file.flush()
            mapping = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise self._cannot_write(error) from None
        self._file.close()  # the mapping keeps its contents
        return StoredVectors(mapping, self._width, np.arange(self._count))

    def _cannot_write(self, error: OSError) -> OutputError:
        return OutputError(
            f"cannot write a temporary file in {self._folder}: {error.strerror or error}. Free some space, or give"
            " another `bottleneck_dir`, and run again; the computed results are kept."
        )


def take(vectors: Vectors, rows: Rows) -> Vectors:
    """Return a table with only the given rows. If the original is stored in a file, this call does not load vectors."""
    return vectors.take(rows) if isinstance(vectors, StoredVectors) else vectors[rows]


def pick(vectors: Vectors, rows: Rows) -> Matrix:
    """Return the given rows of a table as an array.

    For a table in memory, `ndarray.take` is used, which takes two thirds of the time of `vectors[rows]`.
    """
    return vectors[rows] if isinstance(vectors, StoredVectors) else vectors.take(rows, axis=0)


def in_parts(vectors: Vectors) -> Iterator[Matrix]:
    """Yield all rows of a table as arrays in memory, in parts of at most 16,384 rows."""
    at_once = _ROWS_PER_PART
    if isinstance(vectors, StoredVectors):
        at_once = min(at_once, max(1, _BYTES_PER_PART // (vectors.shape[1] * 4)))
    if len(vectors) <= at_once:
        yield vectors[:]
        return
    for start in range(0, len(vectors), at_once):
        yield vectors[start : start + at_once]


def apply(function: Callable[[Matrix], npt.NDArray[Any]], vectors: Vectors) -> npt.NDArray[Any]:
    """Apply a function to all rows of a table, one part of at most 16,384 rows at a time; return the joined results."""
    found = [function(part) for part in in_parts(vectors)]
    return found[0] if len(found) == 1 else np.concatenate(found)
