"""Detect photos that are rotated, for example because of a tilted camera or a lost EXIF tag.

Most photos in a folder are upright. Heads are therefore fitted to distinguish the photos from their rotations by 90,
180 and 270 degrees (Gidaris, Singh and Komodakis, "Unsupervised representation learning by predicting image rotations",
2018). A photo is listed if its out-of-fold prediction is a rotation with a high score. Rotationally symmetric photos,
such as a flower from above, do not reach high scores.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from poets_edge.auditing.options import AuditOptions
from poets_edge.auditing.outliers import OutlierGroup
from poets_edge.auditing.photos import AuditPhotos, find_backbone
from poets_edge.errors import DatasetError, PhotoError
from poets_edge.photos.folds import assign_folds
from poets_edge.photos.image import Pixels, fit
from poets_edge.photos.table import HashedPhotos
from poets_edge.progress import Reporter
from poets_edge.training.bottleneck_cache import open_cache
from poets_edge.training.bottlenecks import BackboneCache, bottlenecks
from poets_edge.training.fold_heads import fold_heads
from poets_edge.training.head import LabeledVectors, Matrix
from poets_edge.training.vectors import take

_REMEDIES = {90: "turn it 90 degrees clockwise", 180: "turn it upside down", 270: "turn it 90 degrees anticlockwise"}
"""Instruction for correcting a rotated photo, by the anticlockwise rotation in degrees."""
_MIN_SCORE = 0.98
"""Minimum score for listing a photo. At this score, 5 of 1,000 upright flower photos are listed, and 25 % of the
same photos after a rotation by 90 degrees."""
_MAX_LEARNED = 2000
"""Maximum number of photos that the heads are fitted to, to limit memory and time."""


def find_rotated(photos: AuditPhotos, options: AuditOptions, reporter: Reporter) -> list[OutlierGroup]:
    """Return a list of at most one group of outliers: the rotated photos, highest scores first.

    The list is empty if no rotated photos are found or if there are too few photos for cross-validation.

    The bottlenecks of three rotations of each photo used to fit heads are computed once and cached.

    Raises:
        WeightsError, RuntimeMissingError, OutputError: as for `train`.
    """
    try:
        [folds] = assign_folds(photos.photos, options.folds, groups=photos.groups.numbers)
    except DatasetError:
        return []
    fold = folds.assignment
    learned = np.linspace(0, len(photos) - 1, min(len(photos), _MAX_LEARNED)).astype(np.int64)
    # float32 [4, photos, bottleneck_size], the upright ones first
    upright = photos.vectors[learned]
    vectors = np.stack([upright, *_rotated_vectors(photos.photos.take(learned), upright, options, reporter)])
    data = LabeledVectors(vectors.reshape(-1, vectors.shape[2]), np.repeat(np.arange(len(vectors)), len(learned)))
    [heads] = fold_heads(data, [np.tile(fold[learned], len(vectors))], len(vectors), options.head)
    scores = np.zeros((len(photos), len(vectors)), np.float32)
    for number, head in enumerate(heads):
        rows = np.flatnonzero(fold == number)
        scores[rows] = head.scores(take(photos.vectors, rows))
    rotated = np.where(fold >= 0, scores[:, 1:].sum(axis=1), 0)
    rows = np.flatnonzero(rotated >= _MIN_SCORE)
    rows = rows[np.argsort(-rotated[rows], kind="stable")]
    if not len(rows):
        return []
    remedies = list(_REMEDIES.values())
    return [
        OutlierGroup(
            reason="turned",
            explanation="It seems to lie on its side or upside down. Turn it, unless the camera will see such pictures"
            " later.",
            names=tuple(photos.name(int(row)) for row in rows),
            details=tuple(remedies[int(scores[row, 1:].argmax())] for row in rows),
        )
    ]


def _rotated_vectors(photos: HashedPhotos, upright: Matrix, options: AuditOptions, reporter: Reporter) -> Matrix:
    """Return bottlenecks of photos rotated anticlockwise by 90, 180 and 270 degrees.

    The result is float32 [3, photos, bottleneck_size]. For photos that can no longer be read,
    the upright bottlenecks are returned.
    """
    backbone = find_backbone(options, reporter)
    vectors = np.repeat(upright[None], len(_REMEDIES), axis=0)
    with open_cache(backbone.cache_file) as (cache, _):
        computed = bottlenecks(
            photos,
            [BackboneCache(backbone, cache)],
            reporter,
            [f"turned {angle}" for angle in _REMEDIES],
            _rotate,
            "turned",
        )
        for row, (_, rotated) in enumerate(computed):
            if not isinstance(rotated, PhotoError):
                vectors[:, row] = rotated
    return vectors


def _rotate(image: Image.Image, size: tuple[int, int], variant: str, _: bytes) -> Pixels:
    return fit(image.rotate(int(variant.removeprefix("turned ")), expand=True), size)
