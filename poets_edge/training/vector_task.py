"""Task that a worker process runs: computing the bottlenecks of a few hundred photos."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poets_edge.errors import PhotoError
from poets_edge.photos.address import photo_path
from poets_edge.photos.contents import contents_at
from poets_edge.photos.image import fit, read_photo
from poets_edge.tflite.read_model import ModelSource
from poets_edge.training.bottlenecks import Extractor
from poets_edge.training.vectors import Matrix

PHOTOS_PER_TASK = 256
"""Number of photos per task; a compromise between the work that is lost when a worker is killed and the time for
loading models."""


@dataclass(frozen=True)
class PhotoFile:
    """Path of a photo, and the SHA-256 that its contents must have."""

    path: str
    digest: bytes


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """Vectors computed by a task.

    Attributes:
        photo_count: number of photos in the task.
        digests: SHA-256 of the photos that could be read, in the order of `vectors`.
        vectors: one array per model, float32 [len(digests), bottleneck_size].
    """

    photo_count: int
    digests: tuple[bytes, ...]
    vectors: tuple[Matrix, ...]


def compute_vectors(
    photos: Sequence[PhotoFile], models: Sequence[ModelSource], sizes: Sequence[tuple[int, int]]
) -> TaskResult:
    """Return the bottlenecks of photos from each of several models, and the digests of these photos.

    A photo that cannot be decoded, or whose bytes have changed since it was hashed, is skipped: the process that
    requested the task reads it again and reports it.

    Args:
        models: `.tflite` files of backbones.
        sizes: (height, width) of each model's input.
    """
    extractors = [Extractor(model) for model in models]
    digests: list[bytes] = []
    vectors: list[list[Matrix]] = [[] for _ in extractors]
    for photo in photos:
        try:
            contents = contents_at(photo_path(photo.path))
            if hashlib.sha256(contents).digest() != photo.digest:
                continue
            image = read_photo(contents, name=photo.path)
        except PhotoError:
            continue
        digests.append(photo.digest)
        for extract, size, column in zip(extractors, sizes, vectors, strict=True):
            column.append(extract(fit(image, size)))
    arrays = tuple(np.stack(column) if column else np.empty((0, 0), np.float32) for column in vectors)
    return TaskResult(photo_count=len(photos), digests=tuple(digests), vectors=arrays)
