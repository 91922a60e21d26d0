"""Cross-validating one architecture from cached vectors, in a helper process; `grid` keeps one busy on each core."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poets_edge.grid.checkpoints import Answer
from poets_edge.photos.address import photo_path
from poets_edge.photos.folder import Photo
from poets_edge.photos.image import PREPROCESSING
from poets_edge.quantize.int8_features import LogitSteps, round_weights
from poets_edge.train.bottleneck_cache import cache_key, open_cache
from poets_edge.train.bottlenecks import HashedPhoto, vector_key
from poets_edge.train.cross_validation import CrossValidation, Division, divide, judge
from poets_edge.train.head import Head, HeadOptions, Matrix, softmax
from poets_edge.train.vectors import Vectors


def do(question: Answer) -> Answer:
    """Cross-validate float32 and int8 from cached vectors.

    Raises:
        DatasetError: no class has two photos that are not copies or variants of each other.
    """
    photos = [
        HashedPhoto(Photo(photo_path(path), name, label), bytes.fromhex(digest))
        for path, name, label, digest in question["photos"]
    ]
    digest = question["int8_digest"]
    with (
        open_cache(Path(question["float_cache"])) as (floats, _),
        open_cache(Path(question["int8_cache"])) as (ints, _),
    ):
        found_floats = floats.get_many([vector_key(photo.digest) for photo in photos])
        found_ints = ints.get_many([int8_key(photo.digest, digest) for photo in photos])
    rows = zip(photos, found_floats, found_ints, strict=True)
    known = [(photo, one, other) for photo, one, other in rows if one is not None and other is not None]
    photos = [photo for photo, _, _ in known]
    labels = tuple(sorted({item.photo.label for item in photos}))
    vectors, features = np.stack([one for _, one, _ in known]), np.stack([other for _, _, other in known])
    folds, divisions = divide(photos, vectors, labels, HeadOptions(**question["head"]), question["folds"])
    judged = judge(photos, vectors, labels, folds, divisions)
    rounded = judge(photos, features, labels, folds, [_in_8_bits(one, features) for one in divisions])
    same = judged.scores.argmax(axis=2) == rounded.scores.argmax(axis=2)
    return {
        "labels": list(labels),
        "folds": folds.count,
        "remarks": folds.remarks(),
        "photos": [photo.name for photo in judged.photos],
        "float32": {**_answers(judged), "agreement_with_float": 1.0},
        "int8": {**_answers(rounded), "agreement_with_float": float(same.mean())},
    }


def int8_key(photo_digest: bytes, model_digest: str) -> bytes:
    """Return the key of a photo's int8 features in the cache."""
    return cache_key(photo_digest, f"{PREPROCESSING} int8 {model_digest}")


@dataclass(frozen=True)
class Int8Head(Head):
    """A head as an int8 file holds it: weights of 8 bits, and logits rounded to as many steps as 8 bits have."""

    steps: LogitSteps

    def scores(self, bottlenecks: Vectors) -> Matrix:
        """Probabilities, float32 [photos, classes], from the int8 network's features."""
        return softmax(self.steps.round(self.logits(bottlenecks)))


def _in_8_bits(division: Division, features: Matrix) -> Division:
    heads = []
    for head in division.heads:
        weights = round_weights(head.weights)
        logits = np.asarray(features @ weights + head.biases, np.float32)
        heads.append(Int8Head(weights, head.biases, LogitSteps.spanning(logits)))
    return Division(division.fold, tuple(heads))


def _answers(judged: CrossValidation) -> Answer:
    low, high = judged.interval
    scored = judged.scored
    return {
        "right": judged.right.tolist(),
        "judgments": len(judged.scores),
        "accuracy": judged.accuracy,
        "interval95": [low, high],
        "confusion": judged.confusion.round(4).tolist(),
        "mistakes": [[one.photo.name, one.answer, one.score] for one in scored.misclassified(judged.labels)],
    }
