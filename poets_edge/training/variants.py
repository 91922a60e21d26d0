"""Find variants of photos, such as the crops, rotations and mirror images that data augmentation writes.

Variants are less similar to each other than the frames of a burst, and independent photos can be as similar. Therefore,
single pairs prove nothing. But if a folder has variants, the nearest neighbor of a photo predicts its class, whereas
the neighbors that follow do not, because they are other photos. The nearest neighbor of a photo is called distinct if
its similarity stands out from that of all other photos (see `_distinct`). The advantage of distinct neighbors is the
fraction of photos whose class they predict, less the fraction whose class a vote of later neighbors predicts. In random
parts of 1,000 flowers, it is at most 0.08; in folders with two to 23 variants of each flower, it is at least 0.09
(`benchmarks/results/truth.md`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poets_edge.photos.table import Rows
from poets_edge.training.projection import spans
from poets_edge.training.vectors import Matrix, Vectors

MIN_SIMILARITY = 0.7
"""Minimum cosine similarity of variants."""
_ABOVE_CLASS = 0.5
"""Minimum difference between the similarity of a distinct neighbor and the mean similarity to the photo's class."""
_WITHIN = 0.25
"""Variants of a photo have at most this much less similarity than its nearest neighbor."""
_CROWD = 14
"""Maximum number of variants of a photo, or an eighth of the median class size, if that is more."""
_MIN_ADVANTAGE, _MIN_FAR_ADVANTAGE, _MIN_DEVIATIONS = 0.08, 0.25, 2.5
"""Minimum advantage of distinct neighbors over near and over far neighbors, and by how many standard errors it must
differ from 0. Of independent photos, far neighbors predict the class less well than near ones."""
_RANKS = (1, 3, 8, 12, 16, 24, 32)
"""Numbers of nearest neighbors to skip before the vote; all are tried, because the number of variants is not known."""
_MIN_VOTES, _MAX_VOTES = 3, 10
_NEAREST = _RANKS[-1] + _MAX_VOTES
_MAX_PAIRS = 8
"""Maximum number of pairs per photo. Variants that are not paired are connected by other variants."""
_SAMPLE = 4096
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Variants:
    """Photos that have variants.

    Attributes:
        rows: row numbers of the photos, ascending, int64 [variants].
        pairs: pairs of row numbers of photos that are variants of each other, int64 [pairs, 2].
        similarities: cosine similarity of each pair, float32 [pairs].
    """

    rows: Rows
    pairs: Rows
    similarities: Matrix


@dataclass(frozen=True)
class _Neighbors:
    """Nearest neighbors of photos: their row numbers and similarities, most similar first, [photos, neighbors]."""

    rows: Rows
    neighbors: Rows
    similarities: Matrix


def find_variants(projections: Vectors, classes: Rows) -> Variants:
    """Return the photos that have variants, and the pairs of variants. There are none if the advantage is too small.

    Args:
        projections: unit vectors, float32 [photos, components].
        classes: class number of each photo, int64 [photos].
    """
    vectors, size = np.asarray(projections[:]), class_size(classes)
    sample = np.arange(0, len(vectors), -(-len(vectors) // _SAMPLE) or 1)
    found = _distinct(vectors, classes, sample, size)
    if not _have_advantage(found, classes, len(sample), size):
        found = _distinct(vectors, classes, sample[:0], size)
    elif len(sample) < len(vectors):
        found = _distinct(vectors, classes, np.arange(len(vectors)), size)
    best = found.similarities[:, :1]
    is_pair = found.similarities[:, :_MAX_PAIRS] >= np.maximum(best - _WITHIN, MIN_SIMILARITY)
    first, place = np.nonzero(is_pair)
    pairs = np.stack([found.rows[first], found.neighbors[first, place]], axis=1)
    return Variants(found.rows, pairs, found.similarities[first, place])


def class_size(classes: Rows) -> int:
    """Return the median number of photos of a class; 0 without photos."""
    counts = np.bincount(classes)
    return int(np.median(counts[counts > 0])) if len(classes) else 0


def _distinct(vectors: Matrix, classes: Rows, rows: Rows, size: int) -> _Neighbors:
    """Return the nearest neighbors of each photo in `rows` whose nearest neighbor is distinct.

    The nearest neighbor is distinct if its similarity is MIN_SIMILARITY or more, exceeds the mean similarity to the
    photo's class by _ABOVE_CLASS or more, and exceeds that of all but a few other photos by more than _WITHIN.
    """
    count, crowd = max(0, min(_NEAREST, len(vectors) - 1)), max(_CROWD, size // 8)
    means = np.zeros((int(classes.max(initial=0)) + 1, vectors.shape[1]), np.float32)
    for number in np.unique(classes):
        means[number] = vectors[classes == number].mean(axis=0)
    parts = [_Neighbors(rows[:0], np.zeros((0, count), np.int64), np.zeros((0, count), np.float32))]
    for block in spans(0, len(rows), _ROWS_AT_ONCE):
        part = rows[block]
        similarity = vectors[part] @ vectors.T
        similarity[np.arange(len(part)), part] = -1
        best, typical = similarity.max(axis=1), np.einsum("ij,ij->i", vectors[part], means[classes[part]])
        stands_out = np.flatnonzero((best >= MIN_SIMILARITY) & (best - typical >= _ABOVE_CLASS))
        near = np.count_nonzero(similarity[stands_out] >= best[stands_out, None] - _WITHIN, axis=1)
        kept = stands_out[near <= crowd]
        nearest = np.argpartition(-similarity[kept], count - 1, axis=1)[:, :count]
        values = np.take_along_axis(similarity[kept], nearest, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        parts.append(
            _Neighbors(
                part[kept], np.take_along_axis(nearest, order, axis=1), np.take_along_axis(values, order, axis=1)
            )
        )
    return _Neighbors(
        np.concatenate([one.rows for one in parts]),
        np.concatenate([one.neighbors for one in parts]),
        np.concatenate([one.similarities for one in parts]),
    )


def _have_advantage(found: _Neighbors, classes: Rows, count: int, size: int) -> bool:
    """Return whether distinct neighbors predict the class significantly better than later neighbors.

    Neighbors are near if the vote stays within a fifth of the class (a fourth, for the vote that begins at the second
    neighbor), and far within half of it. In smaller classes, there is no vote.

    Args:
        count: number of photos among which `found` are those with a distinct neighbor.
        size: median number of photos of a class.
    """
    votes = int(np.clip(size // 12, _MIN_VOTES, _MAX_VOTES))
    labels, own = classes[found.neighbors], classes[found.rows]
    for rank in _RANKS:
        if rank + votes > size / 2:
            break
        is_near = rank + votes < size / 5 or (rank == 1 and rank + votes <= size / 4)
        voted = _winner(labels[:, rank : rank + votes], int(classes.max(initial=0)) + 1)
        advantages = (labels[:, 0] == own).astype(np.float64) - (voted == own)
        needed = max(
            (_MIN_ADVANTAGE if is_near else _MIN_FAR_ADVANTAGE) * count,
            _MIN_DEVIATIONS * np.sqrt(np.count_nonzero(advantages)),
        )
        if advantages.sum() >= needed > 0:
            return True
    return False


def _winner(labels: Rows, class_count: int) -> Rows:
    """Return the most frequent class in each row; of equally frequent ones, that of the first neighbor if possible."""
    counts = np.stack([(labels == number).sum(axis=1) for number in range(class_count)], axis=1).astype(np.float64)
    counts[np.arange(len(labels)), labels[:, 0]] += 0.5
    return np.asarray(counts.argmax(axis=1), np.int64)
