"""Detect near-duplicates: copies that were resized, recompressed, slightly cropped, brightened or mirrored.

Candidate pairs have similar bottlenecks and similar thumbnails. They are found by a blocked matrix product, without
storing the similarities of all pairs. The thumbnails of each candidate pair are then aligned by shifting and scaling
them by up to 10 % and by mirroring, and the photos are near-duplicates if their pixels correlate.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poets_edge.auditing.image_stats import SIDE, Thumbnails
from poets_edge.photos.folds import connected, copies
from poets_edge.photos.table import Rows
from poets_edge.training.projection import blocks, table_of, tiles, unit
from poets_edge.training.vectors import Matrix, Vectors, take

Pair = tuple[int, int]
_Window = tuple[Matrix, Matrix]

_MIN_CORRELATION = 0.72
"""Minimum correlation between the local contrasts of two thumbnails that match. For flower photos, 49 of 50 copies that
were resized, compressed, cropped by 5 % on each side and brightened reach 0.82, and none of 1,500 pairs of similar
photos that are not copies reaches 0.67."""
_MIN_SIMILARITY = 1.15
"""Minimum sum of the cosine similarity of the bottlenecks and that of the thumbnails of a candidate pair."""
_MIN_MIRRORED_SIMILARITY = 0.75
"""Minimum cosine similarity between bottlenecks at which a pair with dissimilar thumbnails is a candidate, because one
photo may be a mirrored copy."""
_MIN_COARSE_CORRELATION = 0.7
"""Minimum correlation between thumbnails reduced to 8 x 8 pixels at which an alignment is attempted."""
_MIN_FIRST_CORRELATION = 0.15
"""Minimum correlation that one of the first alignments must reach before the remaining alignments are attempted."""
_MAX_NEIGHBORS = 6
"""Maximum number of candidate pairs per photo, enough to connect thousands of similar film frames in one group."""
_COARSE_SIDE = 8
_PAIRS_AT_ONCE = 512
_LARGE_GROUP = 8


@dataclass(frozen=True)
class NearDuplicates:
    """Groups of near-duplicates.

    Attributes:
        groups: ascending row numbers of the photos in each group; a photo is in at most one group.
    """

    groups: tuple[tuple[int, ...], ...]

    def pairs(self) -> Iterator[Pair]:
        """Yield the pairs of photos in each group; for groups of more than eight, only pairs with the first photo."""
        for group in self.groups:
            if len(group) > _LARGE_GROUP:
                yield from ((group[0], other) for other in group[1:])
            else:
                yield from itertools.combinations(group, 2)


def find_near_duplicates(
    projections: Vectors, thumbnails: Thumbnails, digests: npt.NDArray[np.bytes_], folder: Path
) -> NearDuplicates:
    """Find the near-duplicates among photos, and return them in groups.

    Args:
        projections: PCA projections of the bottlenecks, float32 [photos, up to 64].
        thumbnails: gray thumbnails, uint8 [photos, 32, 32].
        digests: digest of each photo's contents; photos with equal digests are duplicates and are not compared.
        folder: folder for temporary files with large tables.

    Raises:
        OutputError: the disk is full.
    """
    found: list[Pair] = copies(digests)
    distinct = np.setdiff1d(np.arange(len(digests)), [row for _, row in found])
    if len(distinct) > 1:
        coarse = table_of(lambda rows: _coarse(thumbnails[rows]), distinct, _COARSE_SIDE**2, folder)
        for indices, similarities in _candidate_pairs(take(projections, distinct), coarse):
            pairs = distinct[indices]
            for start in range(0, len(pairs), _PAIRS_AT_ONCE):
                chosen = slice(start, start + _PAIRS_AT_ONCE)
                first, second = thumbnails[pairs[chosen, 0]], thumbnails[pairs[chosen, 1]]
                matches = _match(first, second, similarities[chosen])
                found += [(int(a), int(b)) for a, b in pairs[chosen][matches]]
    return NearDuplicates(tuple(connected(found)))


def _candidate_pairs(projections: Vectors, coarse: Vectors) -> Iterator[tuple[Rows, Matrix]]:
    """Yield row numbers of candidate pairs, int64 [pairs, 2], and the similarities of their bottlenecks, [pairs].

    To limit memory, photos are processed in blocks; each yielded array has the pairs whose first photo is in one block.

    Args:
        projections: PCA projections of the bottlenecks, float32 [photos, up to 64].
        coarse: thumbnails as unit vectors, float32 [photos, 64].
    """
    for block in blocks(len(projections)):
        block_projections, block_coarse = projections[block], coarse[block]
        a, b = np.zeros(0, np.int64), np.zeros(0, np.int64)
        deep, ranking = np.zeros(0, "f4"), np.zeros(0, "f4")
        for tile in tiles(block.start, len(projections)):
            similarity = block_projections @ projections[tile].T
            total = similarity + block_coarse @ coarse[tile].T
            row, column = np.nonzero((total >= _MIN_SIMILARITY) | (similarity >= _MIN_MIRRORED_SIMILARITY))
            above_diagonal = row + block.start < column + tile.start
            row, column = row[above_diagonal], column[above_diagonal]
            if not len(row):
                continue
            near = similarity[row, column]
            mirrored = near + np.float32(_MIN_SIMILARITY - _MIN_MIRRORED_SIMILARITY)
            a, b = np.concatenate([a, row + block.start]), np.concatenate([b, column + tile.start])
            deep = np.concatenate([deep, near])
            ranking = np.concatenate([ranking, np.maximum(total[row, column], mirrored)])
            kept = _most_similar(a, ranking)
            a, b, deep, ranking = a[kept], b[kept], deep[kept], ranking[kept]
        yield np.stack([a, b], axis=1), deep


def _most_similar(first: Rows, similarity: Matrix) -> Rows:
    """Return the indices of the pairs to keep: for each first photo, the _MAX_NEIGHBORS most similar pairs.

    The indices are sorted by first photo, then by descending similarity.

    Args:
        first: row number of the first photo of each pair, [pairs].
        similarity: how similar the two photos of each pair are, [pairs].
    """
    order = np.lexsort((-similarity, first))
    photos = first[order]
    return order[np.arange(len(first)) - np.searchsorted(photos, photos) < _MAX_NEIGHBORS]


def _coarse(thumbnails: npt.NDArray[np.uint8]) -> Matrix:
    """Reduce thumbnails to 8 x 8 pixels, subtract the mean and normalize to unit length, float32 [photos, 64]."""
    step = SIDE // _COARSE_SIDE
    cells = thumbnails.reshape(len(thumbnails), _COARSE_SIDE, step, _COARSE_SIDE, step)
    flat = cells.mean(axis=(2, 4), dtype=np.float32).reshape(len(thumbnails), -1)
    return unit(flat - flat.mean(axis=1, keepdims=True))


def _match(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], similarities: Matrix) -> npt.NDArray[np.bool_]:
    """Return whether the two thumbnails of each pair correlate in some alignment, bool [pairs].

    Args:
        a, b: thumbnails, uint8 [pairs, 32, 32].
        similarities: cosine similarities of the bottlenecks, [pairs]; mirroring is tried only if the similarity is at
            least _MIN_MIRRORED_SIMILARITY.
    """
    matches = np.zeros(len(a), np.bool_)
    mirrored = b[:, :, ::-1]
    plausibly_mirrored = _correlate_coarsely(a, mirrored) & (similarities >= _MIN_MIRRORED_SIMILARITY)
    for other, plausible in ((b, _correlate_coarsely(a, b)), (mirrored, plausibly_mirrored)):
        rows = np.flatnonzero(plausible & ~matches)
        for windows, limit in ((_FIRST_WINDOWS, _MIN_FIRST_CORRELATION), (_WINDOWS, _MIN_CORRELATION)):
            forward = _best_correlation(a[rows], other[rows], windows)
            backward = _best_correlation(other[rows], a[rows], windows)
            rows = rows[np.maximum(forward, backward) >= limit]
        matches[rows] = True
    return matches


def _correlate_coarsely(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return np.asarray((_coarse(a) * _coarse(b)).sum(axis=1) >= _MIN_COARSE_CORRELATION)


def _best_correlation(inner: npt.NDArray[np.uint8], outer: npt.NDArray[np.uint8], windows: Sequence[_Window]) -> Matrix:
    """Return the largest correlation between `inner` and any crop of `outer` defined by `windows`, float32 [pairs]."""
    pixels, target = outer.astype(np.float32), _local_contrast(inner.astype(np.float32))
    best = np.full(len(inner), -1, np.float32)
    for down, across in windows:
        np.maximum(best, _correlation(_local_contrast(down @ pixels @ across.T), target), out=best)
    return best


def _local_contrast(pixels: Matrix) -> Matrix:
    """Subtract the local mean from pixels, so that large areas of sky and ground do not dominate the correlation."""
    return np.asarray(pixels - _MEAN_OF_FIVE @ pixels @ _MEAN_OF_FIVE.T, np.float32)


def _correlation(x: Matrix, y: Matrix) -> Matrix:
    """Return the correlation between the pixels of the two images in each pair, float32 [pairs]."""
    # Adding the power of one gray level per pixel prevents nearly blank photos from correlating by their noise.
    power = (np.einsum("nij,nij->n", x, x) + SIDE**2) * (np.einsum("nij,nij->n", y, y) + SIDE**2)
    return np.asarray(np.einsum("nij,nij->n", x, y) / np.sqrt(power), np.float32)


def _windows() -> list[_Window]:
    """Return the crops that are tried to align two images.

    Each crop is a pair of float32 [32, 32] matrices: the first resamples the rows of an image, the second its columns.
    """
    sizes = [(1.0, 0.0)], [(fraction, place) for fraction in (0.95, 0.9) for place in (0.0, 0.5, 1.0)]
    pairs = [(down, across) for some in sizes for down in some for across in some if down[0] == across[0]]
    # Crops of the height or the width only.
    pairs += [((0.95, place), (1.0, 0.0)) for place in (0.0, 0.5, 1.0)]
    pairs += [((1.0, 0.0), (0.95, place)) for place in (0.0, 0.5, 1.0)]
    return [(_sampler(*down), _sampler(*across)) for down, across in pairs]


def _sampler(fraction: float, place: float) -> Matrix:
    """Return a matrix that crops a line of 32 pixels and linearly resamples the crop to 32 pixels, float32 [32, 32].

    Args:
        fraction: length of the crop as a fraction of the line.
        place: position of the crop: 0 for the start of the line, 0.5 for the middle, 1 for the end.
    """
    centers = (np.arange(SIDE) + 0.5) * fraction + place * SIDE * (1 - fraction) - 0.5
    left = np.clip(np.floor(centers).astype(int), 0, SIDE - 2)
    right_weight = np.clip(centers - left, 0, 1)
    sampler = np.zeros((SIDE, SIDE), np.float32)
    sampler[np.arange(SIDE), left] += 1 - right_weight
    sampler[np.arange(SIDE), left + 1] += right_weight
    return sampler


def _mean_of_five() -> Matrix:
    """Return the matrix, float32 [32, 32], that averages each pixel of a row with the two pixels on either side."""
    distance = np.abs(np.arange(SIDE)[:, None] - np.arange(SIDE)[None, :])
    near = (distance <= 2).astype(np.float32)
    return np.asarray(near / near.sum(axis=1, keepdims=True), np.float32)


_WINDOWS = _windows()
_FIRST_WINDOWS = [_WINDOWS[0], _WINDOWS[5]]  # the whole image, and its central 90 %
_MEAN_OF_FIVE = _mean_of_five()
