"""PCA projection of bottlenecks, and iteration over all pairs of photos in blocks.

Memory use does not grow with the square of the number of photos; large tables are stored in files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from poets_edge.photos.table import Rows
from poets_edge.training.vectors import Matrix, Vectors, VectorTableBuilder

_MAX_COMPONENTS = 64
_SAMPLE = 4096
"""Approximate number of photos from which the principal components are computed."""
_ROWS_AT_ONCE = 8192
_BLOCK, _TILE = 2048, 512
"""Numbers of rows and columns of the part of the similarity matrix that is computed at once (4 MB in float32)."""


def pca_projection(vectors: Vectors, folder: Path) -> Vectors:
    """Return the projections of bottlenecks onto up to 64 principal components, float32 [photos, components].

    Each projection is scaled to unit length.

    Args:
        vectors: bottlenecks, float32 [photos, bottleneck_size].
        folder: folder for the temporary file of a large table.

    Raises:
        OutputError: the disk is full.
    """
    sample = vectors[np.arange(0, len(vectors), max(1, len(vectors) // _SAMPLE))].astype(np.float64)
    mean = sample.mean(axis=0)
    _, axes = np.linalg.eigh((sample - mean).T @ (sample - mean))
    components = axes[:, -_MAX_COMPONENTS:].astype(np.float32)
    center = (mean @ components).astype(np.float32)
    return table_of(
        lambda rows: unit(vectors[rows] @ components - center), np.arange(len(vectors)), components.shape[1], folder
    )


def table_of(function: Callable[[Rows], Matrix], rows: Rows, width: int, folder: Path) -> Vectors:
    """Call a function for successive parts of the row numbers, and return the results as one table.

    Args:
        function: function that returns the values, float32 [rows, width], for at most 8192 row numbers.
        rows: row numbers.
        width: number of values per row.
        folder: folder for the temporary file of a large table.

    Raises:
        OutputError: the disk is full.
    """
    table = VectorTableBuilder(len(rows), width, folder)
    for part in spans(0, len(rows), _ROWS_AT_ONCE):
        table.append(function(rows[part]))
    return table.finish()


def unit(rows: Matrix) -> Matrix:
    """Return the rows of a matrix scaled to unit length; rows of zeros remain zero."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6), np.float32)


def blocks(count: int) -> Iterator[slice]:
    """Yield slices that divide the rows of the similarity matrix of `count` photos into blocks that fit into memory."""
    return spans(0, count, _BLOCK)


def tiles(start: int, count: int) -> Iterator[slice]:
    """Yield slices that divide the columns of the similarity matrix of `count` photos, from column `start` on."""
    return spans(start, count, _TILE)


def spans(start: int, stop: int, step: int) -> Iterator[slice]:
    """Yield consecutive slices of at most `step` elements from `start` to `stop`."""
    return (slice(first, min(first + step, stop)) for first in range(start, stop, step))
