"""Photos that belong to no class: background photos, such as frames of the empty scene, and strangers, which are
arbitrary other photos.

They are not used to train the head, and are in no split. The unknown-photo detector learns to distinguish background
photos from the training photos. Strangers are used only to measure which fraction of unknown photos the detector
rejects.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poets_edge.core.wording import counted
from poets_edge.errors import DatasetError, PhotoError
from poets_edge.photos.folder import Photo, photo_files
from poets_edge.photos.table import HashedPhotos
from poets_edge.progress import Reporter
from poets_edge.training.backbone import Backbone
from poets_edge.training.bottleneck_cache import BottleneckCache
from poets_edge.training.bottlenecks import BackboneCache, bottlenecks
from poets_edge.training.data import TrainingData
from poets_edge.training.hashed_photos import hash_photos
from poets_edge.training.projection import pca_projection
from poets_edge.training.vectors import Matrix

MIN_BACKGROUND = 20
"""Minimum number of background photos for training the unknown-photo detector."""

_COPY = 0.92
"""A background photo is considered a copy of a photo in a class if the cosine similarity of their principal components
is at least this. In experiments, 9 of 10 cropped or compressed copies reached it, and no photo of a different subject
did."""


_MOST_COMPARED = 4096
"""Approximate maximum number of class photos that each background photo is compared with, to find copies."""


@dataclass(frozen=True, eq=False)
class OutsidePhotos:
    """Photos that belong to no class, with their bottlenecks, float32 [photos, bottleneck_size]."""

    photos: HashedPhotos
    vectors: Matrix


def read_background(
    folder: Path, data: TrainingData, backbone: Backbone, cache: BottleneckCache, reporter: Reporter
) -> OutsidePhotos:
    """Return the background photos in a folder and its subfolders, with their bottlenecks, cached or newly computed.

    Background photos belong to no class; the unknown-photo detector learns to reject them. Photos that cannot be read,
    and copies of photos in the classes (the same file, or a cropped or compressed version), are skipped with a warning.

    Args:
        data: photos of the classes.

    Raises:
        DatasetError: the folder does not exist; it has fewer than MIN_BACKGROUND readable photos that are not copies;
            or more than half of its readable photos are copies.
    """
    background = _read(folder, "background", backbone, cache, reporter)
    count = len(background.photos)
    if count < MIN_BACKGROUND:
        raise DatasetError(
            f"{folder}: {counted(count, 'photo')} of a background that can be read; {MIN_BACKGROUND} or more are"
            " needed. Add photos, or leave `background` out."
        )
    return _without_copies(folder, background, data, backbone.model.parent, reporter)


def read_strangers(folder: Path, backbone: Backbone, cache: BottleneckCache, reporter: Reporter) -> OutsidePhotos:
    """Return the photos in a folder and its subfolders, with their bottlenecks, to test the unknown-photo detector.

    These photos, called strangers, belong to no class, and nothing is learned from them. Unreadable photos are skipped
    with a warning.

    Raises:
        DatasetError: the folder does not exist, or no photo in it can be read.
    """
    strangers = _read(folder, "strangers", backbone, cache, reporter)
    if not len(strangers.photos):
        raise DatasetError(f"{folder}: no photo of strangers that can be read.")
    return strangers


def _read(folder: Path, option: str, backbone: Backbone, cache: BottleneckCache, reporter: Reporter) -> OutsidePhotos:
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder. Give one with photos that belong to no class: `{option}`")
    files, _ = photo_files(folder, recursive=True)
    photos = [Photo(path, path.relative_to(folder).as_posix(), "") for path in files]
    hashed = hash_photos(photos, backbone.model.parent, reporter)
    problems = list(hashed.errors.values())
    found, vectors = [], [np.zeros((0, backbone.architecture.bottleneck_size), np.float32)]
    for photo, result in bottlenecks(hashed.readable, [BackboneCache(backbone, cache)], reporter, what=option):
        if isinstance(result, PhotoError):
            problems.append(result)
        else:
            found.append(photo)
            vectors.append(result[0].reshape(1, -1))
    for error in problems:
        reporter.warn(f"left out: {error}")
    return OutsidePhotos(HashedPhotos.of(found), np.concatenate(vectors))


def _without_copies(
    folder: Path, background: OutsidePhotos, data: TrainingData, cache_folder: Path, reporter: Reporter
) -> OutsidePhotos:
    rows = np.arange(0, len(data.photos), max(1, len(data.photos) // _MOST_COMPARED))
    both = np.concatenate([np.asarray(data.vectors[rows]), background.vectors])
    projections = np.asarray(pca_projection(both, cache_folder)[:])
    similarity = projections[len(rows) :] @ projections[: len(rows)].T
    exact = np.isin(background.photos.byte_digests, data.photos.byte_digests)
    copies = np.flatnonzero(exact | (similarity.max(axis=1) >= _COPY))
    if not len(copies):
        return background
    first = int(copies[0])
    names = list(data.photos.photos.names)
    same = np.flatnonzero(data.photos.byte_digests == background.photos.byte_digests[first])
    other = names[int(same[0])] if len(same) else names[int(rows[similarity[first].argmax()])]
    what = (
        f"{folder}: {len(copies)} of {len(background.photos)} photos show the same as photos of the classes, as"
        f" {background.photos[first].photo.name} and {other}"
    )
    rest = np.setdiff1d(np.arange(len(background.photos)), copies)
    if len(rest) < max(MIN_BACKGROUND, len(background.photos) / 2):
        raise DatasetError(f"{what}. A background holds photos that belong to no class.")
    reporter.warn(f"{what}; left out.")
    return OutsidePhotos(background.photos.take(rest), background.vectors[rest])
