"""Detect outliers: photos that are unreadable, black, white, blank, blurred, tiny, gray, truncated or isolated.

The bottleneck of an isolated photo is unlike those of all other photos. Photos that an unknown-photo detector rejects
are outliers, too. `_RULES` lists the rules for the readable photos. Some limits depend on the folder because, for
example, all X-rays are gray and all microscope images are soft.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.auditing.options import AuditOptions
from poets_edge.auditing.photos import AuditPhotos
from poets_edge.errors import DatasetError
from poets_edge.photos.table import Rows, take_names
from poets_edge.tflite.distance import LIMIT
from poets_edge.training.data import TrainingData
from poets_edge.training.projection import blocks, tiles
from poets_edge.training.unknown import detect_unknown
from poets_edge.training.vectors import Vectors

_BLACK, _WHITE = 12.0, 243.0
"""Maximum brightness of a black photo, and minimum brightness of a white photo, 0 to 255."""
_BLANK, _LOW_CONTRAST = 4.0, 10.0
"""Maximum contrast of a blank photo, and maximum contrast of a black or white photo, in gray levels."""
_BLURRED, _BLURRED_FRACTION = 0.06, 0.25
"""Upper limits for the sharpness of a blurred photo: an absolute limit, and a fraction of the median sharpness in the
folder. Of the flower photos, 1 % are below both limits; after a blur over 1 % of their width, half of them are."""
_GRAY, _COLORED, _MAX_GRAY_FRACTION = 6.0, 20.0, 0.1
"""Maximum colorfulness of a gray photo; minimum median colorfulness of the photos in a colored folder; and maximum
fraction of gray photos in a colored folder. Gray photos are outliers only in a colored folder."""
_GRAY_OF_BRIGHTNESS = 0.06
"""Maximum colorfulness of a gray photo, as a fraction of the photo's brightness."""
_TRUNCATED = 0.06
"""Minimum fraction of pixel rows that are missing in a truncated photo."""
_NEIGHBORS = 5
_MAX_DEVIATION = 4.5
"""Threshold for isolated photos: the amount by which a photo's mean distance to its five nearest photos exceeds the
median in the folder, in robust standard deviations."""
_UNKNOWN_RATE = 0.05
"""Fraction of the photos that the unknown-photo detector is expected to reject, 0 to 1; equal to the default in
`train`."""
_MIN_PHOTOS = 30
"""Minimum number of photos in a folder for isolated photos to be detected."""


@dataclass(frozen=True, kw_only=True)
class OutlierGroup:
    """Outliers of one kind.

    Attributes:
        reason: name of the kind, one to three words.
        explanation: why such photos are outliers, and what to do about them, in one or two sentences.
        names: paths of the photos relative to the folder, most extreme first.
        details: measured value, error message or remedy for each photo; may be an empty string.
        readable: whether the photos can be read.
    """

    reason: str
    explanation: str
    names: Sequence[str]
    details: Sequence[str]
    readable: bool = True


def find_outliers(photos: AuditPhotos, input_side: int) -> list[OutlierGroup]:
    """Find the outliers among photos, and return the groups that are not empty.

    Args:
        input_side: shorter side of the network's input, pixels.
    """
    groups = _unreadable(photos.unreadable)
    for reason, explanation, rule in _RULES:
        rows, details = rule(photos, input_side)
        if len(rows):
            names = take_names(photos.photos.photos.names, rows)
            groups.append(OutlierGroup(reason=reason, explanation=explanation, names=names, details=details))
    return groups


def find_unknown(photos: AuditPhotos, options: AuditOptions) -> list[OutlierGroup]:
    """Return a list with one group: the photos that an unknown-photo detector, fitted to other photos, rejects.

    The list is empty if there are no such photos, or too few photos to fit a detector.
    """
    grouped = None if photos.groups.are_trivial else photos.groups
    everything = np.zeros(len(photos), np.int8)  # one split: distances are out-of-fold
    data = TrainingData(photos.photos, photos.vectors, everything, photos.labels, grouped, options.bottleneck_dir)
    try:
        found = detect_unknown(data, _UNKNOWN_RATE, options.head.seed)
    except DatasetError:
        return []
    order = np.argsort(-found.distances, kind="stable")
    order = order[found.distances[order] > LIMIT]
    if not len(order):
        return []
    return [
        OutlierGroup(
            reason="unknown",
            explanation=(
                f"Unlike the other photos: a model that has not learned from them calls them unknown. About"
                f" {100 * _UNKNOWN_RATE:g} % of all photos always are. Look for photos that belong to no class; add"
                " photos like those that do."
            ),
            names=take_names(photos.photos.photos.names, found.rows[order]),
            details=[f"distance {distance:.2f}" for distance in found.distances[order].tolist()],
        )
    ]


def _unreadable(unreadable: Sequence[tuple[str, str]]) -> list[OutlierGroup]:
    """Return a group of the truncated photos and a group of the other unreadable photos; empty groups are omitted.

    Args:
        unreadable: name and error message of each unreadable photo.
    """
    truncated = [(name, error) for name, error in unreadable if "truncated" in error or "Truncated" in error]
    others = [item for item in unreadable if item not in truncated]
    groups = []
    for reason, explanation, items in (
        ("truncated", "The file ends too early. Copy it again from where it came from; it was left out.", truncated),
        ("unreadable", "Not a picture, or damaged. It was left out.", others),
    ):
        if items:
            names, details = zip(*items, strict=True)
            groups.append(
                OutlierGroup(reason=reason, explanation=explanation, names=names, details=details, readable=False)
            )
    return groups


def _black(photos: AuditPhotos, _: int) -> tuple[Rows, list[str]]:
    return _select(
        (photos.brightness < _BLACK) & (photos.contrast < _LOW_CONTRAST), photos.brightness, "brightness {:.0f} of 255"
    )


def _white(photos: AuditPhotos, _: int) -> tuple[Rows, list[str]]:
    return _select((photos.brightness > _WHITE) & (photos.contrast < _LOW_CONTRAST), -photos.brightness, "")


def _blank(photos: AuditPhotos, _: int) -> tuple[Rows, list[str]]:
    lit = (photos.brightness >= _BLACK) & (photos.brightness <= _WHITE)
    return _select(lit & (photos.contrast < _BLANK), photos.contrast, "")


def _truncated(photos: AuditPhotos, _: int) -> tuple[Rows, list[str]]:
    fraction = photos.truncated_fraction
    truncated = (fraction >= _TRUNCATED) & (photos.contrast >= _BLANK)
    return _select(truncated, -fraction, "{:.0%} of its height", fraction)


def _tiny(photos: AuditPhotos, input_side: int) -> tuple[Rows, list[str]]:
    side = np.minimum(photos.width, photos.height)
    rows, _ = _select(side < input_side / 2, side, "")
    return rows, [f"{photos.width[row]:.0f} x {photos.height[row]:.0f} pixels" for row in rows]


def _blurred(photos: AuditPhotos, input_side: int) -> tuple[Rows, list[str]]:
    limit = min(_BLURRED, _BLURRED_FRACTION * float(np.median(photos.sharpness)))
    # Tiny photos are soft because they are enlarged; they are listed as tiny.
    large = np.minimum(photos.width, photos.height) >= input_side / 2
    return _select(large & (photos.sharpness < limit) & (photos.contrast >= _LOW_CONTRAST), photos.sharpness, "")


def _gray(photos: AuditPhotos, _: int) -> tuple[Rows, list[str]]:
    # The color channels of a dark photo differ little, whatever its colors are.
    limit = np.minimum(_GRAY, _GRAY_OF_BRIGHTNESS * photos.brightness)
    gray = (photos.colorfulness < limit) & (photos.contrast >= _BLANK)
    is_colored_folder = float(np.median(photos.colorfulness)) > _COLORED and gray.mean() < _MAX_GRAY_FRACTION
    return _select(gray & is_colored_folder, photos.colorfulness, "")


def _isolated(photos: AuditPhotos, _: int) -> tuple[Rows, list[str]]:
    if len(photos) < _MIN_PHOTOS:
        return np.zeros(0, np.int64), []
    distances = _neighbor_distances(photos.projections)
    median = float(np.median(distances))
    deviation = 1.4826 * float(np.median(np.abs(distances - median))) + 1e-6
    return _select(distances > median + _MAX_DEVIATION * deviation, -distances, "")


def _neighbor_distances(projections: Vectors) -> npt.NDArray[np.float32]:
    """Return the mean cosine distance of each photo to its five nearest neighbors, float32 [photos]."""
    distances = np.empty(len(projections), np.float32)
    for block in blocks(len(projections)):
        rows = projections[block]
        nearest = np.full((len(rows), _NEIGHBORS), -np.inf, np.float32)  # the least similar neighbor first
        for tile in tiles(0, len(projections)):
            similarity = rows @ projections[tile].T
            diagonal = np.arange(max(block.start, tile.start), min(block.stop, tile.stop))
            similarity[diagonal - block.start, diagonal - tile.start] = -np.inf
            nearer = np.flatnonzero(similarity.max(axis=1) > nearest[:, 0])
            known = np.concatenate([nearest[nearer], similarity[nearer]], axis=1)
            nearest[nearer] = np.partition(known, -_NEIGHBORS, axis=1)[:, -_NEIGHBORS:]
        distances[block] = 1 - nearest.mean(axis=1)
    return distances


def _select(
    chosen: npt.NDArray[np.bool_],
    order: npt.NDArray[np.float32],
    detail: str,
    shown: npt.NDArray[np.float32] | None = None,
) -> tuple[Rows, list[str]]:
    """Return the row numbers of the chosen photos, sorted by `order`, and a detail text for each photo.

    Args:
        chosen: whether each photo is an outlier, bool [photos].
        order: sort key of each photo, smallest first, [photos].
        detail: format string for the detail texts.
        shown: value of each photo that the detail text shows, [photos]; by default `order`.
    """
    rows = np.flatnonzero(chosen)
    rows = rows[np.argsort(order[rows], kind="stable")]
    values = order if shown is None else shown
    return rows, [detail.format(float(values[row])) for row in rows]


_Rule = Callable[[AuditPhotos, int], tuple[Rows, list[str]]]
"""Function that accepts photos and the length in pixels of the shorter side of the network's input, and returns the row
numbers of outliers, most extreme first, and a detail text for each outlier."""

_RULES: tuple[tuple[str, str, _Rule], ...] = (
    ("cut short", "The lower part is plain gray: the file was cut off and repaired. Copy it again.", _truncated),
    ("black", "Nothing can be seen. Was the lens covered?", _black),
    ("white", "Nothing can be seen: far too bright.", _white),
    ("blank", "One color all over.", _blank),
    ("tiny", "Less than half as wide or high as what the network looks at: details are missing.", _tiny),
    ("blurred", "Far softer than the others. Keep it if the camera will see such pictures later.", _blurred),
    ("gray", "Without color, where nearly all others have it.", _gray),
    ("unlike all others", "Nothing in the folder looks like it. Does it belong here?", _isolated),
)
"""Reason, explanation and rule for each group of outliers."""
