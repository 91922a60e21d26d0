"""PCA projection of bottlenecks, and iteration over all pairs of photos in blocks.

Memory does not grow with the square of the number of photos, nor with their number once tables are large enough to be
stored in files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from poets_edge.photos.table import Rows
from poets_edge.training.vectors import Matrix, Vectors, VectorTable

_MAX_COMPONENTS = 64
_SAMPLE = 4096
"""Approximate number of photos that the principal components are computed from."""
_ROWS_AT_ONCE = 8192
_BLOCK, _TILE = 2048, 512
"""Numbers of photos that are compared with each other at once: 4 MB an array."""


def pca_projection(vectors: Vectors, folder: Path) -> Vectors:
    """Return unit vectors along the principal components of bottlenecks, float32 [photos, up to 64].

    Args:
        vectors: bottlenecks, float32 [photos, bottleneck_size].
        folder: where a large table is stored.

    Raises:
        OutputError: the disk is full.
    """
    sample = vectors[np.arange(0, len(vectors), max(1, len(vectors) // _SAMPLE))].astype(np.float64)
    mean = sample.mean(axis=0)
    _, axes = np.linalg.eigh((sample - mean).T @ (sample - mean))
    components = axes[:, -_MAX_COMPONENTS:].astype(np.float32)
    centre = (mean @ components).astype(np.float32)
    return table_of(
        lambda rows: unit(vectors[rows] @ components - centre), np.arange(len(vectors)), components.shape[1], folder
    )


def table_of(function: Callable[[Rows], Matrix], rows: Rows, width: int, folder: Path) -> Vectors:
    """Return the values of a function of row numbers as a table, float32 [rows, width].

    Args:
        function: called with some thousand row numbers at a time.
        folder: where a large table is stored.

    Raises:
        OutputError: the disk is full.
    """
    table = VectorTable(len(rows), width, folder)
    for part in spans(0, len(rows), _ROWS_AT_ONCE):
        table.append(function(rows[part]))
    return table.finish()


def unit(rows: Matrix) -> Matrix:
    """Return rows scaled to length 1; rows of zeros stay zero."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6), np.float32)


def blocks(count: int) -> Iterator[slice]:
    """Yield ranges of rows of the matrix of all pairs of photos."""
    return spans(0, count, _BLOCK)


def tiles(start: int, count: int) -> Iterator[slice]:
    """Yield ranges of columns of the matrix of all pairs, from `start` on; each is compared with a block at once."""
    return spans(start, count, _TILE)


def spans(start: int, stop: int, step: int) -> Iterator[slice]:
    """Yield consecutive slices of at most `step` elements from `start` to `stop`."""
    return (slice(first, min(first + step, stop)) for first in range(start, stop, step))
