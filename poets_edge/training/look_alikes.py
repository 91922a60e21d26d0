"""Groups of photos that look alike: bursts, frames of a video, photos of one person or object.

Two photos look alike if the principal components of their bottlenecks have a cosine similarity of 0.9 or more (TIGHT),
unless all photos of their class are similar, as pictures of surfaces are. Few independent photos look like another
photo: 2 % of 1,000 photos of flowers and 8 % of 360 pictures of steel surfaces, but 98 % of computer-generated pictures
of the hands of eight people. If at least a quarter of the photos (MIN_DEPENDENT) look like another photo, the photos
are considered dependent, and photos with a similarity of 0.8 or more (LOOSE) are placed in one group, too.

Crops, rotations and mirror images of one photo, as in augmented data sets, are less similar. They are found by
`poets_edge.training.variants` if they are in one class. Otherwise, they are recognized by their most similar photo:
its similarity is 0.8 or more (LOOSE), and exceeds the mean similarity to the class by 0.5 or more (DISTINCT). This
applies to 70 % of 480 variants of 60 flowers, but only to 15 % of 1,000 flowers, and to 13 % of the steel surfaces,
whose classes are uniform. If it applies to at least half of the photos (MIN_DISTINCT), the photos are considered
dependent, too. The measurements are in `benchmarks/results/truth.md`.

Groups too large to hold out are divided with a higher similarity threshold, so that each class has enough groups for
the folds; the accuracy on new people or objects is then unknown, and `train` warns about it.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from poets_edge.photos.folds import DEFAULT_FOLDS, copies
from poets_edge.photos.groups import grouped_rows, name_pairs, stated_groups, successors
from poets_edge.photos.table import HashedPhotos, Rows
from poets_edge.photos.taken import Times, burst_pairs, times_taken
from poets_edge.training.bottleneck_cache import open_cache
from poets_edge.training.fold_heads import MAX_EVALUATED
from poets_edge.training.projection import pca_projection, spans
from poets_edge.training.series import SeriesLoss, find_series
from poets_edge.training.variants import MIN_SIMILARITY, class_similarities, find_variants
from poets_edge.training.vectors import Matrix, Vectors

TIGHT, LOOSE = 0.9, 0.8
_SUCCESSIVE = 0.75
"""Minimum cosine similarity for grouping two photos whose names indicate that one was taken after the other."""
_ABOVE_CLASS, _ONE_SUBJECT = 0.35, 0.8
"""A similarity of TIGHT or more makes a photo a look-alike only if it exceeds the photo's mean similarity to its class
by at least _ABOVE_CLASS, or if that mean is at least _ONE_SUBJECT. Otherwise, all photos of the class are similar, as
pictures of surfaces are."""
MIN_DEPENDENT = 0.25
"""Photos are considered dependent if at least this fraction of them looks like another photo."""
DISTINCT = 0.5
"""A photo may be a variant of its most similar other photo if their similarity exceeds the photo's mean similarity to
its class by at least this much."""
MIN_DISTINCT = 0.5
"""Photos whose most similar photo reaches both thresholds, LOOSE and DISTINCT, are counted as look-alikes only if they
make up at least this fraction of all photos."""
_MOSTLY = 0.9
"""If more than this fraction of the photos are grouped by file name, photos are not grouped by similarity."""
_MAX_NEIGHBORS = 8
_ROWS_AT_ONCE = 512
_LEVELS = (LOOSE, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995)
"""Cosine similarity thresholds that are tried in ascending order to divide groups that are too large."""
_CACHE_FILE, _VARIANT = "groups.sqlite", "look-alikes-7"
_HEADER = 5
"""Number of values before the group numbers in a cache entry; see `_encoded`."""


@dataclass(frozen=True)
class PhotoGroups:
    """Groups of photos that stay together in splits, folds and calibration.

    Attributes:
        numbers: for each photo, the row number of the first photo in its group, int64 [photos].
        alike: fraction of the photos that look like another photo; 0 if the user stated the groups.
        are_divided: whether groups of look-alikes were divided because there would have been too few groups for the
            folds.
        are_repetitive: whether the photos seem to show few people or objects, although groups cannot be found.
        series: evidence that photos with consecutive names or times belong together; None if there is none.
    """

    numbers: Rows
    alike: float = 0.0
    are_divided: bool = False
    are_repetitive: bool = False
    series: SeriesLoss | None = None

    @property
    def count(self) -> int:
        """Number of groups."""
        return len(np.unique(self.numbers))

    @property
    def are_dependent(self) -> bool:
        """Whether photos seem to depend on each other.

        This is the case if a quarter of them look alike (MIN_DEPENDENT), if they are repetitive, or if they form
        series.
        """
        return self.alike >= MIN_DEPENDENT or self.are_repetitive or self.series is not None

    @property
    def are_trivial(self) -> bool:
        """Whether each photo is its own group, and the photos seem to be independent of each other."""
        return self.count == len(self.numbers) and not self.are_dependent

    def take(self, rows: Rows) -> PhotoGroups:
        """Return the groups of the photos in `rows`, each numbered by the position of its first photo in `rows`."""
        return replace(self, numbers=renumbered(self.numbers[rows]))

    def to_json(self) -> dict[str, Any]:
        """Return the number of groups, and the evidence that photos depend on each other, as a JSON-compatible dict."""
        found = {"groups": self.count, "alike": self.alike, "divided": self.are_divided}
        repetitive = {"repetitive": True} if self.are_repetitive else {}
        return {**found, **repetitive, **({"series": asdict(self.series)} if self.series else {})}


def renumbered(numbers: Rows) -> Rows:
    """Replace each group number with the row number of the first photo in the group; return int64 [photos]."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    return np.asarray(first[inverse.reshape(-1)], np.int64)


def find_groups(photos: HashedPhotos, vectors: Vectors, folder: Path, group_by: str = "") -> PhotoGroups:
    """Return the groups of photos: those that the user specified, or those found by names, contents and similarity.

    If there are more than MAX_EVALUATED photos and the user specified no groups, each photo is a group.

    Args:
        vectors: bottlenecks of the photos, float32 [photos, bottleneck_size].
        folder: bottleneck folder, in which the groups are cached.
        group_by: which photos form a group (see `poets_edge.photos.groups.stated_groups`); empty to find groups.

    Raises:
        UsageError: `group_by` is invalid, or assigns no photo to a group.
        DatasetError: the CSV file that `group_by` names cannot be used.
        OutputError: the folder cannot be written.
    """
    if group_by:
        return PhotoGroups(stated_groups(photos.photos, group_by))
    if len(photos) > MAX_EVALUATED:
        return PhotoGroups(np.arange(len(photos)))
    key = hashlib.sha256(f"{_VARIANT} {vectors.shape}".encode())
    key.update("\n".join(photos.photos.names).encode("utf-8", "surrogatepass"))
    key.update(photos.digests.tobytes() + photos.photos.classes.tobytes())
    key.update(np.ascontiguousarray(vectors[:1]).tobytes())  # distinguishes backbones
    with open_cache(folder / _CACHE_FILE) as (cache, _):
        stored = cache.get(key.digest())
        if stored is not None and len(stored) == len(photos) + _HEADER:
            return _decoded(stored.tolist())
        found = _find(photos, vectors, folder)
        cache.put(key.digest(), np.array(_encoded(found), np.float32))
    return found


def _encoded(groups: PhotoGroups) -> list[float]:
    """Return groups as numbers for the cache: five numbers (_HEADER) about all photos, and each photo's group."""
    series = astuple(groups.series) if groups.series else (-1.0, -1.0)
    return [groups.alike, groups.are_divided, groups.are_repetitive, *series, *groups.numbers.tolist()]


def _decoded(values: list[float]) -> PhotoGroups:
    """Restore the groups from the numbers that `_encoded` returned."""
    alike, divided, repetitive, accuracy, held_out = values[:_HEADER]
    series = SeriesLoss(accuracy, held_out) if accuracy >= 0 else None
    return PhotoGroups(np.array(values[_HEADER:], np.int64), alike, bool(divided), bool(repetitive), series)


def _find(photos: HashedPhotos, vectors: Vectors, folder: Path) -> PhotoGroups:
    projections = pca_projection(vectors, folder)
    pairs, similarities, best = similar_pairs(projections, LOOSE)
    variants = find_variants(projections, photos.photos.classes.astype(np.int64))
    alike = _fraction_alike(photos, projections, best, variants.rows)
    named = name_pairs(photos.photos)
    times = times_taken(photos.photos)
    certain = [*copies(photos.byte_digests), *named, *burst_pairs(photos.photos, times)]
    if len(photos) and len(set(np.array(named).reshape(-1).tolist())) > _MOSTLY * len(photos):
        # The names identify the subjects, so subjects that look alike are not joined.
        return PhotoGroups(grouped_rows(len(photos), certain), alike)
    certain += _alike_successors(photos, projections)
    limits = _groups_per_class(photos, grouped_rows(len(photos), certain))
    start = LOOSE if alike >= MIN_DEPENDENT else TIGHT
    if len(variants.rows):
        start = MIN_SIMILARITY
        pairs = np.concatenate([pairs, variants.pairs])
        similarities = np.concatenate([similarities, variants.similarities])
    for level in (start, *(one for one in _LEVELS if one > start), np.inf):
        joined = [(int(a), int(b)) for a, b in pairs[similarities >= level]]
        numbers = grouped_rows(len(photos), [*certain, *joined])
        if (_groups_per_class(photos, numbers) >= np.minimum(limits, DEFAULT_FOLDS)).all():
            break
    groups = PhotoGroups(numbers, alike, bool(level > start), variants.are_repetitive)
    # Photos in one group are held out together, so only one of them is tested.
    return replace(groups, series=_find_series(photos, projections, times, np.unique(numbers)))


def _find_series(photos: HashedPhotos, projections: Vectors, times: Times, rows: Rows) -> SeriesLoss | None:
    table = photos.photos.take(rows)
    return find_series(projections[rows], table.classes.astype(np.int64), table.names, times[rows])


def _fraction_alike(photos: HashedPhotos, projections: Vectors, best: Matrix, variants: Rows) -> float:
    """Return the fraction of photos that look like another photo, 0 to 1.

    A photo is counted if it has variants (copies that were cropped, rotated or mirrored), or if its similarity to
    another photo is at least 0.9 (TIGHT) and either exceeds its mean similarity to its class by 0.35 or more
    (_ABOVE_CLASS), or that mean is 0.8 or more (_ONE_SUBJECT). Photos with a similarity of at least 0.8 (LOOSE) that
    exceeds this mean by 0.5 or more (DISTINCT) are also counted if they make up at least half of all photos
    (MIN_DISTINCT).

    Args:
        projections: unit vectors, float32 [photos, components].
        best: similarity of each photo to its most similar other photo, float32 [photos], from `similar_pairs`.
        variants: row numbers of the photos that have variants, int64 [variants].
    """
    if not len(photos):
        return 0.0
    typical = class_similarities(projections[:], photos.photos.classes.astype(np.int64))
    alike = (best >= TIGHT) & ((best - typical >= _ABOVE_CLASS) | (typical >= _ONE_SUBJECT))
    distinct = (best >= LOOSE) & (best - typical >= DISTINCT)
    alike[variants] = True
    return float(np.float32((alike | distinct if distinct.mean() >= MIN_DISTINCT else alike).mean()))


def similar_pairs(projections: Vectors, limit: float) -> tuple[Rows, Matrix, Matrix]:
    """Return the pairs of similar photos, up to _MAX_NEIGHBORS per photo.

    Args:
        projections: unit vectors, float32 [photos, components].
        limit: minimum cosine similarity of a pair.

    Returns:
        The pairs, int64 [pairs, 2]; their similarities, float32 [pairs]; and, for each photo, the similarity to
        its most similar other photo, float32 [photos], or -1 if it is below the limit.
    """
    best = np.full(len(projections), -1, np.float32)
    found, values = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.float32)]
    everything = projections[:]
    for block in spans(0, len(projections), _ROWS_AT_ONCE):
        similarity = everything[block] @ everything.T
        rows = np.arange(block.start, block.stop)
        similarity[rows - block.start, rows] = -1
        first, second = np.nonzero(similarity >= limit)
        value = similarity[first, second]
        np.maximum.at(best, first + block.start, value)
        order = np.lexsort((-value, first))
        ranks = np.arange(len(first)) - np.searchsorted(first, first)
        kept = order[ranks < _MAX_NEIGHBORS]
        found.append(np.stack([first[kept] + block.start, second[kept]], axis=1))
        values.append(value[kept])
    return np.concatenate(found), np.concatenate(values), best


def _alike_successors(photos: HashedPhotos, projections: Vectors) -> list[tuple[int, int]]:
    """Return pairs of row numbers of similar photos whose names indicate that one was taken after the other."""
    pairs = np.array(successors(photos.photos), np.int64).reshape(-1, 2)
    similarity = np.einsum("ij,ij->i", projections[pairs[:, 0]], projections[pairs[:, 1]])
    return [(int(a), int(b)) for a, b in pairs[similarity >= _SUCCESSIVE]]


def _groups_per_class(photos: HashedPhotos, numbers: Rows) -> Rows:
    """Return, for each class, the number of groups that have a photo in it, int64 [classes]."""
    classes = photos.photos.classes.astype(np.int64)
    both = np.unique(classes * len(photos) + numbers)
    return np.bincount(both // max(1, len(photos)), minlength=len(photos.photos.labels))
