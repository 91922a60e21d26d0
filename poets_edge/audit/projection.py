"""Bottlenecks -> the directions by which photos are compared with each other, some of all pairs at a time.

What is held in memory does not grow with the square of the number of photos, nor, where the tables are large and lie in
files, with the number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from poets_edge.photos.table import Rows
from poets_edge.train.vectors import Matrix, Vectors, VectorTable

_MAIN = 64
"""Directions kept, at most."""
_SAMPLE = 4096
_ROWS_AT_ONCE = 8192
_BLOCK, _TILE = 2048, 512
"""Photos that are compared with each other at once: 4 MB an array."""


def main_directions(vectors: Vectors, folder: Path) -> Vectors:
    """Unit vectors along the photos' main directions of difference, float32 [photos, up to 64].

    Args:
        vectors: bottlenecks, float32 [photos, bottleneck_size].
        folder: where a large table lies.

    Raises:
        OutputError: the disk is full.
    """
    sample = vectors[np.arange(0, len(vectors), max(1, len(vectors) // _SAMPLE))].astype(np.float64)
    mean = sample.mean(axis=0)
    _, axes = np.linalg.eigh((sample - mean).T @ (sample - mean))
    main = axes[:, -_MAIN:].astype(np.float32)
    centre = (mean @ main).astype(np.float32)
    return table_of(lambda rows: unit(vectors[rows] @ main - centre), np.arange(len(vectors)), main.shape[1], folder)


def table_of(function: Callable[[Rows], Matrix], rows: Rows, width: int, folder: Path) -> Vectors:
    """A function of rows, over many of them, as a table float32 [rows, width]. Raises OutputError."""
    table = VectorTable(len(rows), width, folder)
    for part in spans(0, len(rows), _ROWS_AT_ONCE):
        table.append(function(rows[part]))
    return table.finish()


def unit(rows: Matrix) -> Matrix:
    """Rows of length 1, or of 0 where nothing is in them."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6), np.float32)


def blocks(count: int) -> Iterator[slice]:
    """Photos whose pairs are looked at together: the rows of the matrix of all pairs, in parts."""
    return spans(0, count, _BLOCK)


def tiles(start: int, count: int) -> Iterator[slice]:
    """Its columns from `start` on, in parts that a block is compared with at once."""
    return spans(start, count, _TILE)


def spans(start: int, stop: int, step: int) -> Iterator[slice]:
    """From `start` to `stop`, `step` at a time."""
    return (slice(place, min(place + step, stop)) for place in range(start, stop, step))
