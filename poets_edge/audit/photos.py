"""A folder of photos -> what the audit looks at: a bottleneck and a look for each photo that can be read."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.audit.looks import CACHE_FILE, SIDE, looks
from poets_edge.audit.options import AuditOptions
from poets_edge.errors import DatasetError, PhotoError
from poets_edge.photos.folder import Photo, scan
from poets_edge.progress import Reporter
from poets_edge.training.backbone import Backbone, prepare_backbone
from poets_edge.training.bottlenecks import HashedPhoto, Place, bottlenecks, hash_photos
from poets_edge.training.cache import open_cache
from poets_edge.training.head import Indices, LabelledVectors, Matrix
from poets_edge.training.weights import find_weights

_PHOTOS_AT_ONCE = 2000
_LARGE = 1 << 26
"""Bytes from which an array lies in a file, whose pages the system may take back."""


@dataclass(frozen=True, kw_only=True)
class AuditPhotos:
    """Readable photos, each with the same row number everywhere.

    Attributes:
        photos: sorted by name.
        labels: class names, sorted; a class's place is its number.
        vectors: bottlenecks, float32 [photos, bottleneck_size].
        classes: int64 [photos].
        width, height: of the file, pixels, float32 [photos].
        brightness, contrast, colour, sharpness, unsent: as in `Look`, float32 [photos].
        thumbnails: gray, uint8 [photos, 32, 32].
        unreadable: name and reason of each photo that was left out.
    """

    photos: tuple[HashedPhoto, ...]
    labels: tuple[str, ...]
    vectors: Matrix
    classes: Indices
    width: Matrix
    height: Matrix
    brightness: Matrix
    contrast: Matrix
    colour: Matrix
    sharpness: Matrix
    unsent: Matrix
    thumbnails: npt.NDArray[np.uint8]
    unreadable: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def data(self) -> LabelledVectors:
        """All of them, as a head learns from them."""
        return LabelledVectors(self.vectors, self.classes)

    def name(self, row: int) -> str:
        """Path relative to the folder, with `/`."""
        return str(self.photos[row].photo.name)

    def label(self, row: int) -> str:
        return self.labels[int(self.classes[row])]


def read_photos(options: AuditOptions, reporter: Reporter) -> AuditPhotos:
    """Find, or compute, all of it.

    Raises:
        DatasetError: the folder is missing, or fewer than two classes have photos that can be read.
        WeightsError, RuntimeMissingError, OutputError: as for `train`.
    """
    reporter.status(f"looking for photos in {options.image_dir}")
    folder = scan(options.image_dir, recursive=options.recursive)
    for label in folder.empty_classes:
        reporter.warn(f"class {label}: no photos in its folder; left out.")
    backbone = find_backbone(options, reporter)
    photos, unreadable = _hashed(folder.photos, options)
    table = _Table(len(photos), options.architecture.bottleneck_size)
    kept: list[HashedPhoto] = []
    with (
        open_cache(backbone.cache_file) as (cache, damaged),
        open_cache(options.bottleneck_dir / CACHE_FILE) as (look_cache, damaged_looks),
    ):
        for moved in (damaged, damaged_looks):
            if moved:
                reporter.warn(f"a cache was damaged; it was moved to {moved}, and its values are computed again.")
        for start in range(0, len(photos), _PHOTOS_AT_ONCE):
            part = photos[start : start + _PHOTOS_AT_ONCE]
            found = zip(
                bottlenecks(part, [Place(backbone, cache)], reporter), looks(part, look_cache, reporter), strict=True
            )
            for (photo, vectors), (_, look) in found:
                trouble = next((result for result in (vectors, look) if isinstance(result, PhotoError)), None)
                if trouble is not None:
                    unreadable.append((photo.photo.name, _reason(photo.photo, trouble)))
                elif not isinstance(vectors, PhotoError) and not isinstance(look, PhotoError):
                    facts = (look.width, look.height, look.brightness, look.contrast, look.colour, look.sharpness)
                    table.set(len(kept), vectors[0], (*facts, look.unsent), look.thumbnail)
                    kept.append(photo)
    labels = tuple(sorted({photo.photo.label for photo in kept}))
    if len(labels) < 2:
        only = f"only {labels[0]!r}" if labels else "none"
        raise DatasetError(
            f"{options.image_dir}: two classes or more are needed, each a folder with photos that can be read;"
            f" found {only}."
        )
    numbers = {label: number for number, label in enumerate(labels)}
    classes = np.array([numbers[photo.photo.label] for photo in kept], np.int64)
    count = len(kept)
    width, height, brightness, contrast, colour, sharpness, unsent = table.facts[:, :count]
    return AuditPhotos(
        photos=tuple(kept),
        labels=labels,
        vectors=table.vectors[:count],
        classes=classes,
        width=width,
        height=height,
        brightness=brightness,
        contrast=contrast,
        colour=colour,
        sharpness=sharpness,
        unsent=unsent,
        thumbnails=table.thumbnails[:count],
        unreadable=tuple(sorted(unreadable)),
    )


def find_backbone(options: AuditOptions, reporter: Reporter) -> Backbone:
    """The network whose bottlenecks describe the photos. Raises WeightsError, OutputError: as for `train`."""
    weights = find_weights(options.architecture, options.model_dir, options.weights, reporter=reporter)
    return prepare_backbone(options.architecture, weights, options.bottleneck_dir)


class _Table:
    """Arrays of full length, filled row by row."""

    def __init__(self, rows: int, width: int) -> None:
        self.vectors: Matrix = _array((rows, width), np.float32)
        self.thumbnails: npt.NDArray[np.uint8] = _array((rows, SIDE, SIDE), np.uint8)
        self.facts: Matrix = np.empty((7, rows), np.float32)

    def set(self, row: int, vector: Matrix, facts: Sequence[float], thumbnail: npt.NDArray[np.uint8]) -> None:
        self.vectors[row] = vector
        self.facts[:, row] = facts
        self.thumbnails[row] = thumbnail


def _array(shape: tuple[int, ...], kind: type) -> npt.NDArray[Any]:
    if np.prod(shape) * np.dtype(kind).itemsize < _LARGE:
        return np.empty(shape, kind)
    # The file has no name: it is gone when the array is.
    return np.memmap(tempfile.TemporaryFile(prefix="poets_edge-"), dtype=kind, mode="w+", shape=shape)


def _hashed(photos: Sequence[Photo], options: AuditOptions) -> tuple[list[HashedPhoto], list[tuple[str, str]]]:
    good: list[HashedPhoto] = []
    bad: list[tuple[str, str]] = []
    for photo, result in zip(photos, hash_photos(photos, options.bottleneck_dir, rehash=options.rehash), strict=True):
        if isinstance(result, PhotoError):
            bad.append((photo.name, _reason(photo, result)))
        else:
            good.append(result)
    return good, bad


def _reason(photo: Photo, error: PhotoError) -> str:
    return str(error).removeprefix(f"{photo.path}:").strip()
