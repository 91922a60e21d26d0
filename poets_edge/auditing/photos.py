"""Photos of an audit, with their bottlenecks and image statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poets_edge.auditing.image_stats import CACHE_FILE, SIDE, ImageStats, PackedThumbnails, Thumbnails, read_stats
from poets_edge.auditing.options import AuditOptions
from poets_edge.errors import DatasetError, PhotoError
from poets_edge.nets.weights import find_weights
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.split import assign_splits
from poets_edge.photos.table import HashedPhotos, SplitNumbers, class_numbers
from poets_edge.progress import Reporter
from poets_edge.training.backbone import Backbone, prepare_backbone
from poets_edge.training.bottleneck_cache import Vector, open_cache
from poets_edge.training.bottlenecks import BackboneCache, bottlenecks
from poets_edge.training.hashed_photos import hash_photos
from poets_edge.training.head import Indices, LabeledVectors, Matrix
from poets_edge.training.look_alikes import PhotoGroups, find_groups
from poets_edge.training.projection import pca_projection
from poets_edge.training.vectors import Vectors, VectorTableBuilder

_PHOTOS_AT_ONCE = 2000
_STATS = ("width", "height", "brightness", "contrast", "colorfulness", "sharpness", "truncated_fraction")
"""Names of the attributes of ImageStats that are columns of AuditPhotos."""


@dataclass(frozen=True, kw_only=True)
class AuditPhotos:
    """Table of the readable photos in an audit, with one row per photo in each column.

    Attributes:
        photos: photos with their digests, sorted by name.
        labels: class names, sorted.
        vectors: bottlenecks, float32 [photos, bottleneck_size].
        projections: PCA projections of the bottlenecks, used to compare photos, float32 [photos, up to 64].
        classes: index of each photo's class in `labels`, int64 [photos].
        width, height, brightness, contrast, colorfulness, sharpness, truncated_fraction: attributes of `ImageStats`,
            float32 [photos].
        thumbnails: gray thumbnails, uint8 [photos, 32, 32].
        unreadable: name and error message of each skipped photo.
        groups: photos that stay together in splits and folds.
        splits: split that `train` assigns to each photo, as an index into SPLIT_NAMES, int8 [photos].
    """

    photos: HashedPhotos
    labels: tuple[str, ...]
    vectors: Vectors
    projections: Vectors
    classes: Indices
    width: Matrix
    height: Matrix
    brightness: Matrix
    contrast: Matrix
    colorfulness: Matrix
    sharpness: Matrix
    truncated_fraction: Matrix
    thumbnails: Thumbnails
    unreadable: tuple[tuple[str, str], ...]
    groups: PhotoGroups
    splits: SplitNumbers

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def has_own_test(self) -> bool:
        """Whether the user chose the test photos, by putting them into a separate folder."""
        return self.photos.photos.has_folder("test")

    @property
    def data(self) -> LabeledVectors:
        """Bottlenecks and classes of all photos."""
        return LabeledVectors(self.vectors, self.classes)

    def name(self, row: int) -> str:
        """Return the path of the photo in the given row, relative to the folder and with `/` as separator."""
        return self.photos.photos.names[row]

    def label(self, row: int) -> str:
        """Return the class name of the photo in the given row."""
        return self.labels[int(self.classes[row])]


def read_photos(options: AuditOptions, reporter: Reporter) -> AuditPhotos:
    """Scan a folder and return its readable photos with their bottlenecks and statistics, cached or newly computed.

    Raises:
        DatasetError: the folder is missing, or fewer than two classes have readable photos.
        WeightsError, RuntimeMissingError, OutputError: as for `train`.
    """
    reporter.status(f"looking for photos in {options.image_dir}")
    folder = scan(options.image_dir, recursive=options.recursive)
    for line in folder.warnings():
        reporter.warn(line)
    backbone = find_backbone(options, reporter)
    hashed = hash_photos(folder.photos, options.bottleneck_dir, reporter, rehash=options.rehash)
    unreadable = [_name_and_error(hashed.photos[row], error) for row, error in hashed.errors.items()]
    photos = hashed.readable
    digests = photos.digests.copy()
    vectors = VectorTableBuilder(len(photos), options.architecture.bottleneck_size, options.bottleneck_dir)
    packed = VectorTableBuilder(len(photos), SIDE * SIDE // 4, options.bottleneck_dir)
    columns = np.empty((len(_STATS), len(photos)), np.float32)
    rows: list[int] = []
    with (
        open_cache(backbone.cache_file) as (cache, damaged),
        open_cache(options.bottleneck_dir / CACHE_FILE) as (stats_cache, damaged_stats),
    ):
        for moved in (damaged, damaged_stats):
            if moved:
                reporter.warn(f"a cache was damaged; it was moved to {moved}, and its values are computed again.")
        for start in range(0, len(photos), _PHOTOS_AT_ONCE):
            part = photos[start : start + _PHOTOS_AT_ONCE]
            pairs = zip(
                bottlenecks(part, [BackboneCache(backbone, cache)], reporter),
                read_stats(part, stats_cache, reporter),
                strict=True,
            )
            usable: list[tuple[Vector, ImageStats]] = []
            for row, ((photo, vector), (_, stats)) in enumerate(pairs, start):
                if isinstance(vector, PhotoError):
                    unreadable.append(_name_and_error(photo.photo, vector))
                elif isinstance(stats, PhotoError):
                    unreadable.append(_name_and_error(photo.photo, stats))
                else:
                    digests[row] = np.frombuffer(photo.digest, np.uint8)
                    columns[:, len(rows)] = [getattr(stats, name) for name in _STATS]
                    usable.append((vector[0], stats))
                    rows.append(row)
            if usable:
                vectors.append(np.stack([vector for vector, _ in usable]))
                packed.append(np.stack([stats.thumbnail.reshape(-1).view(np.float32) for _, stats in usable]))
    readable = HashedPhotos(photos.photos, digests).take(np.array(rows, np.int64))
    labels = readable.photos.present
    if len(labels) < 2:
        only = f"only {labels[0]!r}" if labels else "none"
        raise DatasetError(
            f"{options.image_dir}: two classes or more are needed, each a folder with photos that can be read;"
            f" found {only}."
        )
    table = vectors.finish()
    readable = HashedPhotos(readable.photos.in_classes(labels), readable.digests)
    groups = find_groups(readable, table, options.bottleneck_dir, options.group_by)
    grouped = groups.numbers if groups.count < len(readable) else None
    return AuditPhotos(
        photos=readable,
        groups=groups,
        splits=assign_splits(readable.photos, options.percentages, grouped),
        labels=labels,
        vectors=table,
        projections=pca_projection(table, options.bottleneck_dir),
        classes=class_numbers(readable.photos, labels),
        thumbnails=PackedThumbnails(packed.finish()),
        unreadable=tuple(sorted(unreadable)),
        **dict(zip(_STATS, columns[:, : len(rows)], strict=True)),
    )


def find_backbone(options: AuditOptions, reporter: Reporter) -> Backbone:
    """Return the backbone that computes the bottlenecks of the photos.

    Raises:
        WeightsError, OutputError: as for `train`.
    """
    weights = find_weights(options.architecture, options.model_dir, options.weights, reporter=reporter)
    return prepare_backbone(options.architecture, weights, options.bottleneck_dir)


def _name_and_error(photo: Photo, error: PhotoError) -> tuple[str, str]:
    """Return the name of an unreadable photo, and its error message without the path."""
    return photo.name, str(error).removeprefix(f"{photo.path}:").strip()
