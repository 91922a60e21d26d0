"""Find variants of photos, such as the crops, rotations and mirror images that data augmentation writes.

Variants are less similar to each other than the frames of a burst, and independent photos can be as similar as variants
are. A pair of similar photos therefore proves nothing, so the photos of a folder are examined together:

- The nearest neighbor of a photo (the other photo with the most similar bottleneck) is called distinct if its
  similarity stands out from that of all other photos (see `_neighbors`).
- Distinct neighbors that are variants show the same subject as the photo, so they belong to its class. The neighbors
  that follow show other subjects, so they often belong to other classes.
- Distinct neighbors that are independent photos belong to the photo's class hardly more often than these next
  neighbors.

The class of each photo with a distinct neighbor is therefore predicted once by this neighbor and once by a vote of more
distant neighbors. The *advantage* of distinct neighbors is the fraction of all photos for which the first prediction is
correct, minus the fraction for which the second is correct. In random subsets of 1,000 flower photos, it is at most
0.08; in folders with two to 23 variants of each flower, it is at least 0.09 (`benchmarks/results/truth.md`).

In photos of few people or objects against different backgrounds, no neighbor stands out, so groups cannot be found. But
then the nearest neighbors of all photos predict the class much better than more distant neighbors do, and the photos
are called repetitive.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from poets_edge.photos.table import Rows
from poets_edge.training.projection import spans
from poets_edge.training.vectors import Matrix, Vectors

MIN_SIMILARITY = 0.7
"""Minimum cosine similarity of two variants of a photo; less similar photos are not paired."""
_ABOVE_CLASS = 0.5
"""Minimum difference between the similarity of a photo to a distinct nearest neighbor (one that stands out from all
other photos) and its mean similarity to its class."""
_WITHIN = 0.25
"""Maximum difference between a photo's similarity to its nearest neighbor and its similarity to other variants."""
_CROWD = 14
"""Maximum number of variants of a photo, unless an eighth of the median class size is larger."""
_MIN_ADVANTAGE, _MIN_FAR_ADVANTAGE, _MIN_DEVIATIONS = 0.08, 0.25, 2.5
"""Minimum advantage of distinct neighbors over near neighbors and over far neighbors (see `_have_advantage`), and the
minimum ratio of an advantage to its standard error. Even in independent photos, far neighbors predict the class less
well than near ones."""
_MIN_REPETITIVE, _REPETITIVE_DEVIATIONS = 0.27, 6.0
"""Minimum advantage of nearest neighbors over more distant ones at which photos are called repetitive, and the minimum
ratio of this advantage to its standard error. In random parts of 1,000 flowers, the ratio is at most 5.5 if the
advantage is 0.2 or more."""
_RANKS = (1, 3, 8, 12, 16, 24, 32)
"""Numbers of nearest neighbors to skip before the next ones vote on the class of a photo. Each number is tried,
because the number of variants per photo is not known."""
_MIN_VOTES, _MAX_VOTES = 3, 10
_NEAREST = _RANKS[-1] + _MAX_VOTES
_MAX_PAIRS = 8
"""Maximum number of pairs of variants per photo. Variants that are not paired are connected through other variants."""
_SAMPLE = 2048
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Variants:
    """Photos that have variants (such as crops, rotations and mirror images of the same photo) in a folder.

    Attributes:
        rows: row numbers of the photos that have variants, ascending, int64 [variants].
        pairs: row numbers of two photos that are variants of each other, int64 [pairs, 2].
        similarities: cosine similarity of each pair, float32 [pairs].
        are_repetitive: whether the photos seem to show few people or objects, although groups cannot be found.
    """

    rows: Rows
    pairs: Rows
    similarities: Matrix
    are_repetitive: bool = False


@dataclass(frozen=True)
class _Neighbors:
    """Nearest neighbors (the most similar other photos) of some photos, most similar first.

    Attributes:
        rows: row number of each photo, int64 [photos].
        neighbors: row numbers of its neighbors, int64 [photos, neighbors].
        similarities: cosine similarities to its neighbors, float32 [photos, neighbors].
        is_distinct: whether the similarity of its first neighbor stands out, as defined in `_neighbors`, bool [photos].
    """

    rows: Rows
    neighbors: Rows
    similarities: Matrix
    is_distinct: npt.NDArray[np.bool_]

    def distinct(self) -> _Neighbors:
        """Return only the photos whose first neighbor stands out in similarity (`is_distinct`), and their neighbors."""
        kept = self.is_distinct
        return _Neighbors(self.rows[kept], self.neighbors[kept], self.similarities[kept], kept[kept])


def find_variants(projections: Vectors, classes: Rows) -> Variants:
    """Find photos that are variants of one photo, such as the crops and mirror images that data augmentation writes.

    Independent photos can be as similar as variants, so the folder is examined as a whole: if it contains variants, the
    nearest neighbors that stand out in similarity predict the classes of the photos significantly better than more
    distant neighbors do. If they do not, the result has no rows and no pairs.

    Args:
        projections: unit vectors, float32 [photos, components].
        classes: class number of each photo, int64 [photos].
    """
    vectors, size = np.asarray(projections[:]), class_size(classes)
    sample = np.arange(0, len(vectors), -(-len(vectors) // _SAMPLE) or 1)
    everyone = _neighbors(vectors, classes, sample, size)
    found = everyone.distinct()
    if not _have_advantage(found, classes, len(sample), size):
        nobody = Variants(sample[:0], np.zeros((0, 2), np.int64), np.zeros(0, np.float32))
        return replace(nobody, are_repetitive=_are_repetitive(everyone, classes, size))
    if len(sample) < len(vectors):
        found = _neighbors(vectors, classes, np.arange(len(vectors)), size).distinct()
    best = found.similarities[:, :1]
    is_pair = found.similarities[:, :_MAX_PAIRS] >= np.maximum(best - _WITHIN, MIN_SIMILARITY)
    first, place = np.nonzero(is_pair)
    pairs = np.stack([found.rows[first], found.neighbors[first, place]], axis=1)
    return Variants(found.rows, pairs, found.similarities[first, place])


def class_size(classes: Rows) -> int:
    """Return the median number of photos per class; 0 if there are no photos."""
    counts = np.bincount(classes)
    return int(np.median(counts[counts > 0])) if len(classes) else 0


def class_similarities(vectors: Matrix, classes: Rows) -> Matrix:
    """Return the mean cosine similarity of each photo to the photos of its class, float32 [photos].

    Args:
        vectors: unit vectors, float32 [photos, components].
        classes: class number of each photo, int64 [photos].
    """
    means = np.zeros((int(classes.max(initial=0)) + 1, vectors.shape[1]), np.float32)
    for number in np.unique(classes):
        means[number] = vectors[classes == number].mean(axis=0)
    return np.asarray(np.einsum("ij,ij->i", vectors, means[classes]))


def _neighbors(vectors: Matrix, classes: Rows, rows: Rows, size: int) -> _Neighbors:
    """Return, for each photo in `rows`, its most similar other photos, and whether the first of them is distinct.

    The first neighbor is distinct if its cosine similarity is 0.7 or more (MIN_SIMILARITY), exceeds the mean similarity
    to the photo's class by 0.5 or more (_ABOVE_CLASS), and exceeds that of all other photos except a few by more than
    0.25 (_WITHIN). Here, a few are 13, or about an eighth of the class size if that is more.

    Args:
        vectors: unit vectors of all photos, float32 [photos, components].
        classes: class number of each photo, int64 [photos].
        rows: row numbers of the photos to examine.
        size: median number of photos of a class.
    """
    count, crowd = max(0, min(_NEAREST, len(vectors) - 1)), max(_CROWD, size // 8)
    typical = class_similarities(vectors, classes)
    neighbors, values = np.zeros((len(rows), count), np.int64), np.zeros((len(rows), count), np.float32)
    is_distinct = np.zeros(len(rows), np.bool_)
    for block in spans(0, len(rows) if count else 0, _ROWS_AT_ONCE):
        part = rows[block]
        similarity = vectors[part] @ vectors.T
        similarity[np.arange(len(part)), part] = -1
        nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        nearest_values = np.take_along_axis(similarity, nearest, axis=1)
        order = np.argsort(-nearest_values, axis=1, kind="stable")
        neighbors[block] = np.take_along_axis(nearest, order, axis=1)
        values[block] = np.take_along_axis(nearest_values, order, axis=1)
        best = values[block, 0]
        near = np.count_nonzero(similarity >= best[:, None] - _WITHIN, axis=1)
        is_distinct[block] = (best >= MIN_SIMILARITY) & (best - typical[part] >= _ABOVE_CLASS) & (near <= crowd)
    return _Neighbors(rows, neighbors, values, is_distinct)


def _have_advantage(found: _Neighbors, classes: Rows, count: int, size: int) -> bool:
    """Return whether distinct neighbors predict the class of photos significantly better than later neighbors do.

    A neighbor is distinct if its similarity stands out (see `_neighbors`). The later neighbors predict the class by
    vote. Because the number of variants (augmented copies) per photo is not known, several votes are tried, which skip
    the nearest 1, 3, 8, ... neighbors (_RANKS); one is sufficient. If the voters' ranks are within a fifth of the class
    size (a fourth if only one neighbor is skipped), an advantage of 0.08 is required, otherwise 0.25. Ranks above half
    of the class size do not vote.

    Args:
        found: neighbors of the photos that have a distinct neighbor.
        count: number of all examined photos, including those without a distinct neighbor.
        size: median number of photos of a class.
    """
    votes = _votes(size)
    for rank in _RANKS:
        if rank + votes > size / 2:
            break
        is_near = rank + votes < size / 5 or (rank == 1 and rank + votes <= size / 4)
        needed = _MIN_ADVANTAGE if is_near else _MIN_FAR_ADVANTAGE
        if _is_significant(_advantages(found, classes, rank, votes), needed * count, _MIN_DEVIATIONS):
            return True
    return False


def _are_repetitive(found: _Neighbors, classes: Rows, size: int) -> bool:
    """Return whether photos seem to show few people or objects (are repetitive).

    This is the case if the most similar photo predicts the class of a photo much better than a vote of less similar
    photos does.

    Args:
        found: nearest neighbors of the examined photos.
        size: median number of photos of a class.
    """
    votes = _votes(size)
    return any(
        _is_significant(
            _advantages(found, classes, rank, votes), _MIN_REPETITIVE * len(found.rows), _REPETITIVE_DEVIATIONS
        )
        for rank in _RANKS[2:]
        if rank + votes <= 0.36 * size
    )


def _votes(size: int) -> int:
    """Return the number of neighbors that vote on a photo's class, given the median number of photos per class."""
    return int(np.clip(size // 12, _MIN_VOTES, _MAX_VOTES))


def _advantages(found: _Neighbors, classes: Rows, rank: int, votes: int) -> npt.NDArray[np.float64]:
    """Return, for each photo, 1 if only its nearest neighbor predicts its class, -1 if only a vote does, otherwise 0.

    The nearest `rank` neighbors do not vote, because they may be augmented copies of the photo; the next `votes`
    neighbors vote on its class.
    """
    labels, own = classes[found.neighbors], classes[found.rows]
    voted = _winner(labels[:, rank : rank + votes], int(classes.max(initial=0)) + 1)
    return np.asarray((labels[:, 0] == own).astype(np.float64) - (voted == own))


def _is_significant(advantages: npt.NDArray[np.float64], needed: float, deviations: float) -> bool:
    total = advantages.sum()
    return bool(total >= needed > 0 and total >= deviations * np.sqrt(np.count_nonzero(advantages)))


def _winner(labels: Rows, class_count: int) -> Rows:
    """Return the most frequent class in each row of a table of class numbers, int64 [rows].

    In a tie, the first neighbor's class wins if it is among the tied classes, otherwise the one with the lowest number.

    Args:
        labels: classes of the voting neighbors of each photo, nearest first, int64 [rows, neighbors].
    """
    counts = np.stack([(labels == number).sum(axis=1) for number in range(class_count)], axis=1).astype(np.float64)
    counts[np.arange(len(labels)), labels[:, 0]] += 0.5
    return np.asarray(counts.argmax(axis=1), np.int64)
