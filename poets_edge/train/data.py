"""Photos that can be read, with their vectors, sets and class numbers: what a head is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poets_edge.errors import DatasetError, PhotoError
from poets_edge.photos.split import SplitName, assign_splits
from poets_edge.photos.table import SPLIT_NAMES, HashedPhoto, HashedPhotos, Rows, SplitNumbers
from poets_edge.progress import Reporter
from poets_edge.train.backbone import Backbone
from poets_edge.train.bottleneck_cache import BottleneckCache
from poets_edge.train.bottlenecks import BackboneCache, Hashed, bottleneck_batches
from poets_edge.train.distort import distort
from poets_edge.train.head import LabelledVectors
from poets_edge.train.options import TrainOptions
from poets_edge.train.vectors import Vectors, VectorTable, take


@dataclass(frozen=True)
class Data:
    """Readable photos, each with the same row number everywhere.

    Attributes:
        photos: with their digests.
        vectors: the undistorted bottleneck of each, float32 [photos, bottleneck_size].
        sets: the place of each one's set in SPLIT_NAMES, int8 [photos].
        labels: class names, sorted; a class's place is its number, also in the classes of `photos`.
    """

    photos: HashedPhotos
    vectors: Vectors
    sets: SplitNumbers
    labels: tuple[str, ...]

    @staticmethod
    def of(photos: Sequence[HashedPhoto], vectors: Vectors, sets: SplitNumbers, labels: tuple[str, ...]) -> Data:
        """From photos in any form."""
        columns = HashedPhotos.of(photos)
        return Data(HashedPhotos(columns.photos.in_classes(labels), columns.digests), vectors, sets, labels)

    def rows(self, *wanted: SplitName) -> Rows:
        """The row numbers of sets, one set after the other, int64 [photos]."""
        return np.concatenate([np.flatnonzero(self.sets == SPLIT_NAMES.index(name)) for name in wanted])

    def named(self, wanted: SplitName) -> HashedPhotos:
        """The photos of a set."""
        return self.photos.take(self.rows(wanted))

    def labelled(self, rows: Rows) -> LabelledVectors:
        """The undistorted vectors of some photos, with their classes."""
        return LabelledVectors(take(self.vectors, rows), self.photos.photos.classes[rows].astype(np.int64))

    def plain(self, wanted: SplitName) -> LabelledVectors:
        """The undistorted vectors of a set."""
        return self.labelled(self.rows(wanted))


def read_data(
    options: TrainOptions, hashed: Hashed, backbone: Backbone, cache: BottleneckCache, reporter: Reporter
) -> tuple[Data, Rows, tuple[str, ...]]:
    """Compute, or find, the bottlenecks of all photos that can be read, and divide them into sets.

    Returns:
        The photos, the bytes of each (int64 [photos]; UNKNOWN_SIZE where a server does not say), and a line for each
        photo that was left out.

    Raises:
        DatasetError: fewer than two classes are left.
        PhotoError: a photo cannot be read, with `options.strict`.
        OutputError: there is no room for the vectors.
    """
    troubles: list[PhotoError] = []

    def trouble(error: PhotoError) -> None:
        if options.strict:
            raise PhotoError(f"{error} (Without `strict` it would be left out.)")
        troubles.append(error)

    for error in hashed.errors.values():
        trouble(error)
    files = hashed.readable
    digests, kept = files.digests, np.ones(len(files), np.bool_)
    table = VectorTable(len(files), options.architecture.bottleneck_size, options.bottleneck_dir)
    start = 0
    for block in bottleneck_batches(files, [BackboneCache(backbone, cache)], reporter):
        vectors = []
        for row, result in enumerate(block.vectors, start):
            if isinstance(result, PhotoError):
                trouble(result)
                kept[row] = False
            else:
                vectors.append(result[0])
        if vectors:
            table.append(np.concatenate(vectors).reshape(len(vectors), -1))  # three times as fast as np.stack
        for row, digest in block.changed.items():
            if digests is files.digests:
                digests = digests.copy()
            digests[start + row] = np.frombuffer(digest, np.uint8)
        start += len(block.photos)
    for error in troubles:
        reporter.warn(f"left out: {error}")
    readable = HashedPhotos(files.photos, digests)
    if not kept.all():
        readable = readable.take(np.flatnonzero(kept))
    photos = readable.photos
    labels = photos.present
    if len(labels) < 2:
        found = f"only {labels[0]!r}" if labels else "none"
        raise DatasetError(
            f"{options.image_dir}: two classes or more are needed, each a folder with photos that can be read;"
            f" found {found}."
        )
    sets = assign_splits(photos, options.percentages)
    labelled = HashedPhotos(photos.in_classes(labels), readable.digests)
    sizes = np.delete(hashed.sizes, list(hashed.errors))[kept]
    return Data(labelled, table.finish(), sets, labels), sizes, tuple(str(error) for error in troubles)


def training_vectors(
    options: TrainOptions, data: Data, backbone: Backbone, cache: BottleneckCache, reporter: Reporter
) -> LabelledVectors:
    """The head's training data: the bottlenecks of the training set, or those of its distorted copies."""
    settings = options.distortions
    if not settings.active:
        return data.plain("training")
    photos, variants = data.named("training"), settings.names()
    table = VectorTable(len(photos) * len(variants), options.architecture.bottleneck_size, options.bottleneck_dir)
    counts = []
    for block in bottleneck_batches(
        photos,
        [BackboneCache(backbone, cache)],
        reporter,
        variants,
        lambda image, size, name, digest: distort(image, size, settings, name, digest),
    ):
        for vectors in block.vectors:
            counts.append(0 if isinstance(vectors, PhotoError) else len(variants))
            if not isinstance(vectors, PhotoError):
                table.append(np.stack(vectors))
    return LabelledVectors(table.finish(), np.repeat(photos.photos.classes, counts).astype(np.int64))
