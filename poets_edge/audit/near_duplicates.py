"""Photos that show the same: the same shot resized, compressed again, cropped a little, brightened or mirrored.

Two photos are compared only if both their bottlenecks and their thumbnails are alike, which a blocked matrix product
finds without ever holding all pairs. Each such pair is then laid over the other, shifted and scaled by up to a tenth
and mirrored, and counts as near-duplicates if the pixels agree.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poets_edge.audit.image_stats import SIDE, Pictures
from poets_edge.audit.projection import blocks, table_of, tiles, unit
from poets_edge.photos.folds import copies, join
from poets_edge.photos.table import Rows
from poets_edge.train.vectors import Matrix, Vectors, take

Pair = tuple[int, int]
_Window = tuple[Matrix, Matrix]

_SAME = 0.72
"""Correlation of the thumbnails' detail. On flowers, copies that were resized, compressed, cropped by 5 % on each side
and brightened all at once reach 0.82 in 49 of 50 cases; of 1,500 pairs of photos that are alike but no copies none
reaches 0.67."""
_ALIKE = 1.15
"""Sum of two cosines, of bottlenecks and of thumbnails, from which on a pair is compared."""
_ALIKE_MIRRORED = 0.75
"""Cosine of the bottlenecks alone, from which on a pair is compared mirrored too."""
_NEAR = 0.7
"""Correlation of the thumbnails at 8 x 8 pixels, from which on they are laid over each other."""
_PROMISING = 0.15
"""Correlation of the detail in the first two ways to do so, from which on all ways are tried."""
_MOST_NEIGHBOURS = 6
"""Pairs a photo is compared in; in a film thousands of frames are alike, and any chain joins them."""
_COARSE = 8
_PAIRS_AT_ONCE = 512
_LARGE_GROUP = 8


@dataclass(frozen=True)
class NearDuplicates:
    """Groups of photos that show the same.

    Attributes:
        groups: row numbers, ascending; each photo is in one group at most.
    """

    groups: tuple[tuple[int, ...], ...]

    def pairs(self) -> Iterator[Pair]:
        """Every pair of a group; of a group of more than eight, each photo with the first."""
        for group in self.groups:
            if len(group) > _LARGE_GROUP:
                yield from ((group[0], other) for other in group[1:])
            else:
                yield from itertools.combinations(group, 2)


def find_near_duplicates(
    directions: Vectors, thumbnails: Pictures, marks: npt.NDArray[np.bytes_], folder: Path
) -> NearDuplicates:
    """Find them.

    Args:
        directions: those of the bottlenecks, float32 [photos, up to 64].
        thumbnails: gray, uint8 [photos, 32, 32].
        marks: of each photo's bytes: those that are the same need no comparison.
        folder: where a large table lies.

    Raises:
        OutputError: the disk is full.
    """
    found: list[Pair] = copies(marks)
    distinct = np.setdiff1d(np.arange(len(marks)), [row for _, row in found])
    if len(distinct) > 1:
        coarse = table_of(lambda rows: _coarse(thumbnails[rows]), distinct, _COARSE**2, folder)
        for places, cosines in _alike(take(directions, distinct), coarse):
            pairs = distinct[places]
            for start in range(0, len(pairs), _PAIRS_AT_ONCE):
                chosen = slice(start, start + _PAIRS_AT_ONCE)
                first_of, second_of = thumbnails[pairs[chosen, 0]], thumbnails[pairs[chosen, 1]]
                same = _same(first_of, second_of, cosines[chosen])
                found += [(int(a), int(b)) for a, b in pairs[chosen][same]]
    return NearDuplicates(tuple(join(found)))


def _alike(deep: Vectors, coarse: Vectors) -> Iterator[tuple[Rows, Matrix]]:
    """Pairs worth comparing, int64 [pairs, 2], with the cosines of their bottlenecks, those of a block at a time.

    Args:
        deep: directions of the bottlenecks, float32 [photos, up to 64].
        coarse: those of the thumbnails, float32 [photos, 64].
    """
    for block in blocks(len(deep)):
        of_deep, of_coarse = deep[block], coarse[block]
        a, b, cosines, likeness = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, "f4"), np.zeros(0, "f4")
        for tile in tiles(block.start, len(deep)):
            bottlenecks = of_deep @ deep[tile].T
            both = bottlenecks + of_coarse @ coarse[tile].T
            row, column = np.nonzero((both >= _ALIKE) | (bottlenecks >= _ALIKE_MIRRORED))
            once = row + block.start < column + tile.start  # each pair
            row, column = row[once], column[once]
            if not len(row):
                continue
            near = bottlenecks[row, column]
            a, b = np.concatenate([a, row + block.start]), np.concatenate([b, column + tile.start])
            cosines = np.concatenate([cosines, near])
            likeness = np.concatenate(
                [likeness, np.maximum(both[row, column], near + np.float32(_ALIKE - _ALIKE_MIRRORED))]
            )
            kept = _nearest(a, likeness)
            a, b, cosines, likeness = a[kept], b[kept], cosines[kept], likeness[kept]
        yield np.stack([a, b], axis=1), cosines


def _nearest(a: Rows, likeness: Matrix) -> Rows:
    """Places of the few most alike pairs of each photo, by photo; `a` is the photo of each pair."""
    order = np.lexsort((-likeness, a))
    photos = a[order]
    return order[np.arange(len(a)) - np.searchsorted(photos, photos) < _MOST_NEIGHBOURS]


def _coarse(thumbnails: npt.NDArray[np.uint8]) -> Matrix:
    """Thumbnails of 8 x 8 pixels as unit vectors without their mean, float32 [photos, 64]: a perceptual hash."""
    step = SIDE // _COARSE
    cells = thumbnails.reshape(len(thumbnails), _COARSE, step, _COARSE, step)
    flat = cells.mean(axis=(2, 4), dtype=np.float32).reshape(len(thumbnails), -1)
    return unit(flat - flat.mean(axis=1, keepdims=True))


def _same(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], cosines: Matrix) -> npt.NDArray[np.bool_]:
    """Whether the pixels of each pair agree when one is laid over the other, bool [pairs].

    Args:
        a, b: uint8 [pairs, 32, 32].
        cosines: of the bottlenecks.
    """
    same = np.zeros(len(a), np.bool_)
    mirrored = b[:, :, ::-1]
    for other, worth in ((b, _near(a, b)), (mirrored, _near(a, mirrored) & (cosines >= _ALIKE_MIRRORED))):
        rows = np.flatnonzero(worth & ~same)
        for windows, enough in ((_FIRST_WINDOWS, _PROMISING), (_WINDOWS, _SAME)):
            agree = np.maximum(_laid_over(a[rows], other[rows], windows), _laid_over(other[rows], a[rows], windows))
            rows = rows[agree >= enough]
        same[rows] = True
    return same


def _near(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return np.asarray((_coarse(a) * _coarse(b)).sum(axis=1) >= _NEAR)


def _laid_over(inner: npt.NDArray[np.uint8], outer: npt.NDArray[np.uint8], windows: Sequence[_Window]) -> Matrix:
    """The largest correlation of `inner` with any of the windows of `outer`, float32 [pairs]."""
    pixels, target = outer.astype(np.float32), _detail(inner.astype(np.float32))
    best = np.full(len(inner), -1, np.float32)
    for down, across in windows:
        np.maximum(best, _correlation(_detail(down @ pixels @ across.T), target), out=best)
    return best


def _detail(pixels: Matrix) -> Matrix:
    """Local contrast: a bright sky over a dark meadow alone does not make two photos the same."""
    return np.asarray(pixels - _MEAN_OF_FIVE @ pixels @ _MEAN_OF_FIVE.T, np.float32)


def _correlation(x: Matrix, y: Matrix) -> Matrix:
    """Of each pair's pixels, float32 [pairs]."""
    # One gray step of noise a pixel: two nearly blank photos do not agree by their noise.
    power = (np.einsum("nij,nij->n", x, x) + SIDE**2) * (np.einsum("nij,nij->n", y, y) + SIDE**2)
    return np.asarray(np.einsum("nij,nij->n", x, y) / np.sqrt(power), np.float32)


def _windows() -> list[_Window]:
    """For each part of a picture to look at, what samples its rows and its columns, float32 [32, 32] each."""
    places = [(1.0, 0.0)], [(share, place) for share in (0.95, 0.9) for place in (0.0, 0.5, 1.0)]
    pairs = [(down, across) for some in places for down in some for across in some if down[0] == across[0]]
    # One side cut alone.
    pairs += [((0.95, place), (1.0, 0.0)) for place in (0.0, 0.5, 1.0)]
    pairs += [((1.0, 0.0), (0.95, place)) for place in (0.0, 0.5, 1.0)]
    return [(_sampler(*down), _sampler(*across)) for down, across in pairs]


def _sampler(share: float, place: float) -> Matrix:
    """Linear interpolation of `share` of a line, from its beginning (place 0), middle or end (1)."""
    centres = (np.arange(SIDE) + 0.5) * share + place * SIDE * (1 - share) - 0.5
    left = np.clip(np.floor(centres).astype(int), 0, SIDE - 2)
    right_share = np.clip(centres - left, 0, 1)
    sampler = np.zeros((SIDE, SIDE), np.float32)
    sampler[np.arange(SIDE), left] += 1 - right_share
    sampler[np.arange(SIDE), left + 1] += right_share
    return sampler


def _mean_of_five() -> Matrix:
    distance = np.abs(np.arange(SIDE)[:, None] - np.arange(SIDE)[None, :])
    near = (distance <= 2).astype(np.float32)
    return np.asarray(near / near.sum(axis=1, keepdims=True), np.float32)


_WINDOWS = _windows()
_FIRST_WINDOWS = [_WINDOWS[0], _WINDOWS[5]]  # the whole, and its middle
_MEAN_OF_FIVE = _mean_of_five()
