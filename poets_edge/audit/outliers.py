"""Photos that are odd in themselves: black, blank, blurred, tiny, gray among colour, cut short, unlike all others.

Each rule is one line of `_RULES` or one function below; what counts as odd depends on the folder: X-rays are all gray,
and a microscope's pictures are all soft.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.audit.photos import AuditPhotos
from poets_edge.audit.projection import blocks, tiles
from poets_edge.photos.table import Rows, take_names
from poets_edge.train.vectors import Vectors

_BLACK, _WHITE, _PLAIN = 12.0, 243.0, 4.0
_EVEN = 10.0
"""Contrast below which a dark or bright picture shows nothing."""
_BLURRED, _BLURRED_SHARE = 0.06, 0.25
"""Sharpness, and its share of the folder's median. 1 % of the flowers are below, and half of those that were blurred
over a hundredth of their width."""
_GRAY, _COLOURED, _FEW = 6.0, 20.0, 0.1
_UNSENT = 0.06
_NEIGHBOURS = 5
_FAR = 4.5
"""Robust standard deviations from the median distance to the nearest five photos."""
_FEWEST_FOR_OUTLIERS = 30


@dataclass(frozen=True)
class Oddity:
    """Photos that are odd for one reason.

    Attributes:
        reason: one word or two, for programs and headings.
        explanation: what it means and what to do, for a person.
        names: paths relative to the folder, the oddest first.
        details: to each name what is known of it, or nothing.
    """

    reason: str
    explanation: str
    names: Sequence[str]
    details: Sequence[str]


def find_oddities(photos: AuditPhotos, shortest_side: int) -> list[Oddity]:
    """All groups that are not empty.

    Args:
        shortest_side: of the network's input, pixels.
    """
    found = [*_unreadable(photos.unreadable)]
    for reason, explanation, rule in _RULES:
        rows, details = rule(photos, shortest_side)
        if len(rows):
            found.append(Oddity(reason, explanation, take_names(photos.photos.photos.names, rows), details))
    return found


def _unreadable(unreadable: tuple[tuple[str, str], ...]) -> list[Oddity]:
    cut = [(name, reason) for name, reason in unreadable if "truncated" in reason or "Truncated" in reason]
    other = [item for item in unreadable if item not in cut]
    found = []
    for reason, explanation, items in (
        ("truncated", "The file ends too early. Copy it again from where it came from; it was left out.", cut),
        ("unreadable", "Not a picture, or damaged. It was left out.", other),
    ):
        if items:
            found.append(Oddity(reason, explanation, *(tuple(part) for part in zip(*items, strict=True))))
    return found


def _black(photos: AuditPhotos, _: int) -> tuple[Rows, list[str]]:
    return _select(
        (photos.brightness < _BLACK) & (photos.contrast < _EVEN), photos.brightness, "brightness {:.0f} of 255"
    )


def _white(photos: AuditPhotos, _: int) -> tuple[Rows, list[str]]:
    return _select((photos.brightness > _WHITE) & (photos.contrast < _EVEN), -photos.brightness, "")


def _blank(photos: AuditPhotos, _: int) -> tuple[Rows, list[str]]:
    lit = (photos.brightness >= _BLACK) & (photos.brightness <= _WHITE)
    return _select(lit & (photos.contrast < _PLAIN), photos.contrast, "")


def _cut_short(photos: AuditPhotos, _: int) -> tuple[Rows, list[str]]:
    return _select(
        (photos.unsent >= _UNSENT) & (photos.contrast >= _PLAIN), -photos.unsent, "{:.0%} of its height", photos.unsent
    )


def _tiny(photos: AuditPhotos, shortest_side: int) -> tuple[Rows, list[str]]:
    side = np.minimum(photos.width, photos.height)
    rows, _ = _select(side < shortest_side / 2, side, "")
    return rows, [f"{photos.width[row]:.0f} x {photos.height[row]:.0f} pixels" for row in rows]


def _blurred(photos: AuditPhotos, shortest_side: int) -> tuple[Rows, list[str]]:
    limit = min(_BLURRED, _BLURRED_SHARE * float(np.median(photos.sharpness)))
    # A tiny picture is soft when it is enlarged, and is listed as tiny.
    large = np.minimum(photos.width, photos.height) >= shortest_side / 2
    return _select(large & (photos.sharpness < limit) & (photos.contrast >= _EVEN), photos.sharpness, "")


def _gray(photos: AuditPhotos, _: int) -> tuple[Rows, list[str]]:
    gray = (photos.colour < _GRAY) & (photos.contrast >= _PLAIN)
    among_colour = float(np.median(photos.colour)) > _COLOURED and gray.mean() < _FEW
    return _select(gray & among_colour, photos.colour, "")


def _unlike(photos: AuditPhotos, _: int) -> tuple[Rows, list[str]]:
    if len(photos) < _FEWEST_FOR_OUTLIERS:
        return np.zeros(0, np.int64), []
    distances = _distances_to_nearest(photos.directions)
    middle = float(np.median(distances))
    spread = 1.4826 * float(np.median(np.abs(distances - middle))) + 1e-6
    return _select(distances > middle + _FAR * spread, -distances, "")


def _distances_to_nearest(directions: Vectors) -> npt.NDArray[np.float32]:
    """Mean cosine distance to the nearest five others, float32 [photos]."""
    distances = np.empty(len(directions), np.float32)
    for block in blocks(len(directions)):
        of_block = directions[block]
        nearest = np.full((len(of_block), _NEIGHBOURS), -np.inf, np.float32)  # the fifth of each photo first
        for tile in tiles(0, len(directions)):
            likeness = of_block @ directions[tile].T
            themselves = np.arange(max(block.start, tile.start), min(block.stop, tile.stop))
            likeness[themselves - block.start, themselves - tile.start] = -np.inf
            nearer = np.flatnonzero(likeness.max(axis=1) > nearest[:, 0])
            known = np.concatenate([nearest[nearer], likeness[nearer]], axis=1)
            nearest[nearer] = np.partition(known, -_NEIGHBOURS, axis=1)[:, -_NEIGHBOURS:]
        distances[block] = 1 - nearest.mean(axis=1)
    return distances


def _select(
    chosen: npt.NDArray[np.bool_],
    order: npt.NDArray[np.float32],
    detail: str,
    shown: npt.NDArray[np.float32] | None = None,
) -> tuple[Rows, list[str]]:
    rows = np.flatnonzero(chosen)
    rows = rows[np.argsort(order[rows], kind="stable")]
    values = order if shown is None else shown
    return rows, [detail.format(float(values[row])) for row in rows]


_Rule = Callable[[AuditPhotos, int], tuple[Rows, list[str]]]
_RULES: tuple[tuple[str, str, _Rule], ...] = (
    ("cut short", "The lower part is plain gray: the file was cut off and repaired. Copy it again.", _cut_short),
    ("black", "Nothing can be seen. Was the lens covered?", _black),
    ("white", "Nothing can be seen: far too bright.", _white),
    ("blank", "One colour all over.", _blank),
    ("tiny", "Less than half as wide or high as what the network looks at: details are missing.", _tiny),
    ("blurred", "Far softer than the others. Keep it if the camera will see such pictures later.", _blurred),
    ("gray", "Without colour, where nearly all others have it.", _gray),
    ("unlike all others", "Nothing in the folder looks like it. Does it belong here?", _unlike),
)
