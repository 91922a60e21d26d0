"""Photos that lie on their side or upside down, as a camera that was tilted, or a lost EXIF tag, leaves them.

Nobody says which photos are upright, but most of a folder are. So a head learns to tell the folder's photos from the
same photos turned by 90, 180 and 270 degrees (Gidaris, Singh and Komodakis, "Unsupervised representation learning by
predicting image rotations", 2018), and a photo is suspected when a head that has not seen it is sure that it is turned.
What looks the same from every side, as a flower seen from above, is never sure.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from poets_edge.audit.options import AuditOptions
from poets_edge.audit.outliers import Oddity
from poets_edge.audit.photos import AuditPhotos, find_backbone
from poets_edge.errors import DatasetError, PhotoError
from poets_edge.photos.folds import fold_photos
from poets_edge.photos.image import Pixels, fit
from poets_edge.photos.table import HashedPhotos
from poets_edge.progress import Reporter
from poets_edge.train.bottleneck_cache import open_cache
from poets_edge.train.bottlenecks import Place, bottlenecks
from poets_edge.train.cross_validation import fold_heads
from poets_edge.train.head import LabelledVectors, Matrix
from poets_edge.train.vectors import take

_ANGLES = {90: "turn it 90 degrees clockwise", 180: "turn it upside down", 270: "turn it 90 degrees anticlockwise"}
"""By how much a photo is turned anticlockwise -> what sets it right."""
_SURE = 0.98
"""From this share on a photo is listed. Of the 1,000 flowers 5 are, and of those turned by 90 degrees a quarter."""
_MOST_LEARNED = 2000
"""Photos that heads learn from, at most: bounds memory and time."""


def find_turned(photos: AuditPhotos, options: AuditOptions, reporter: Reporter) -> list[Oddity]:
    """Those that are surely turned, the surest first, as one group; no group where none is, or too few photos to tell.

    Each photo that teaches takes three more inferences the first time; their results are kept with the other
    bottlenecks.

    Raises:
        WeightsError, RuntimeMissingError, OutputError: as for `train`.
    """
    try:
        [folds] = fold_photos(photos.photos, options.folds)
    except DatasetError:
        return []
    fold = folds.of
    learned = np.linspace(0, len(photos) - 1, min(len(photos), _MOST_LEARNED)).astype(np.int64)
    # float32 [4, photos, bottleneck_size], as stored first
    upright = photos.vectors[learned]
    vectors = np.stack([upright, *_turned_vectors(photos.photos.take(learned), upright, options, reporter)])
    known = LabelledVectors(vectors.reshape(-1, vectors.shape[2]), np.repeat(np.arange(len(vectors)), len(learned)))
    [heads] = fold_heads(known, [np.tile(fold[learned], len(vectors))], len(vectors), options.head)
    scores = np.zeros((len(photos), len(vectors)), np.float32)
    for number, head in enumerate(heads):
        rows = np.flatnonzero(fold == number)
        scores[rows] = head.scores(take(photos.vectors, rows))
    sure = np.where(fold >= 0, scores[:, 1:].sum(axis=1), 0)
    rows = np.flatnonzero(sure >= _SURE)
    rows = rows[np.argsort(-sure[rows], kind="stable")]
    if not len(rows):
        return []
    remedies = list(_ANGLES.values())
    return [
        Oddity(
            "turned",
            "It seems to lie on its side or upside down. Turn it, unless the camera will see such pictures later.",
            tuple(photos.name(int(row)) for row in rows),
            tuple(remedies[int(scores[row, 1:].argmax())] for row in rows),
        )
    ]


def _turned_vectors(photos: HashedPhotos, upright: Matrix, options: AuditOptions, reporter: Reporter) -> Matrix:
    """Bottlenecks of photos turned anticlockwise, float32 [3, photos, bottleneck_size]; those of photos that have
    become unreadable meanwhile are those of the photo as it was."""
    backbone = find_backbone(options, reporter)
    found = np.repeat(upright[None], len(_ANGLES), axis=0)
    with open_cache(backbone.cache_file) as (cache, _):
        computed = bottlenecks(
            photos, [Place(backbone, cache)], reporter, [f"turned {angle}" for angle in _ANGLES], _turn, "turned"
        )
        for row, (_, vectors) in enumerate(computed):
            if not isinstance(vectors, PhotoError):
                found[:, row] = vectors
    return found


def _turn(image: Image.Image, size: tuple[int, int], name: str, _: bytes) -> Pixels:
    return fit(image.rotate(int(name.removeprefix("turned ")), expand=True), size)
