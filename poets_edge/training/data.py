"""Training data of a head: readable photos with their vectors, splits and classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poets_edge.errors import DatasetError, PhotoError
from poets_edge.photos.split import assign_splits
from poets_edge.photos.split_names import SPLIT_NAMES, SplitName
from poets_edge.photos.table import HashedPhoto, HashedPhotos, PhotoTable, Rows, SplitNumbers
from poets_edge.progress import Reporter
from poets_edge.training.backbone import Backbone
from poets_edge.training.bottleneck_cache import BottleneckCache
from poets_edge.training.bottlenecks import BackboneCache, bottleneck_batches
from poets_edge.training.distort import distort
from poets_edge.training.fold_heads import MAX_EVALUATED
from poets_edge.training.hashed_photos import Hashed
from poets_edge.training.head import LabeledVectors
from poets_edge.training.look_alikes import PhotoGroups, find_groups
from poets_edge.training.options import TrainOptions
from poets_edge.training.vectors import Vectors, VectorTableBuilder, take


@dataclass(frozen=True)
class TrainingData:
    """Readable photos with their vectors and splits; `photos`, `vectors` and `sets` have one row per photo.

    Attributes:
        photos: photos with their digests.
        vectors: bottlenecks of the photos without augmentation, float32 [photos, bottleneck_size].
        sets: split of each photo, as an index into SPLIT_NAMES, int8 [photos].
        labels: sorted class names; class numbers are indices into them.
        groups: groups of photos that stay together in splits and folds; None if the photos are not grouped, because
            they seem to be independent of each other or because there are more than MAX_EVALUATED photos.
        folder: bottleneck folder, in which `sample` caches the groups that it finds; None if `sample` need not search
            for groups.
    """

    photos: HashedPhotos
    vectors: Vectors
    sets: SplitNumbers
    labels: tuple[str, ...]
    groups: PhotoGroups | None = None
    folder: Path | None = None

    @staticmethod
    def of(
        photos: Sequence[HashedPhoto], vectors: Vectors, sets: SplitNumbers, labels: tuple[str, ...]
    ) -> TrainingData:
        """Return training data for a sequence of photos without groups.

        Args:
            vectors: bottlenecks of the photos, float32 [photos, bottleneck_size].
            sets: split of each photo, as an index into SPLIT_NAMES, int8 [photos].
            labels: sorted class names.
        """
        columns = HashedPhotos.of(photos)
        return TrainingData(HashedPhotos(columns.photos.in_classes(labels), columns.digests), vectors, sets, labels)

    @property
    def has_own_test(self) -> bool:
        """Whether the user chose the test photos by putting them into a separate folder."""
        return self.photos.photos.has_folder("test")

    @property
    def cross_validated_rows(self) -> Rows:
        """Row numbers of the photos for cross-validation: all photos, except for those in the user's own test set."""
        if self.has_own_test:
            return np.sort(self.rows("training", "validation"))
        return np.arange(len(self.photos))

    def unrelated(self, rows: Rows) -> Rows:
        """Return the given row numbers, except for photos that share a group with training or validation photos."""
        if self.groups is None:
            return rows
        learned = self.groups.numbers[self.rows("training", "validation")]
        return rows[~np.isin(self.groups.numbers[rows], learned)]

    def groups_of(self, rows: Rows) -> Rows | None:
        """Return the group number of each photo in `rows`, int64 [photos]; None if each photo is its own group."""
        return None if self.groups is None else self.groups.numbers[rows]

    def sample(self, rows: Rows) -> tuple[HashedPhotos, LabeledVectors, PhotoGroups | None]:
        """Return the photos in the given rows, their vectors and classes, and their groups.

        The vectors are an array in memory. If the whole data set was too large to be searched for groups, the photos in
        the given rows are searched now. The groups are None if each photo is its own group.

        Args:
            rows: at most MAX_EVALUATED row numbers.
        """
        photos, known = self.photos.take(rows), self.labeled(rows)
        known = LabeledVectors(known.vectors[:], known.classes)
        if self.groups is not None:
            return photos, known, self.groups.take(rows)
        if self.folder is None or len(self.photos) <= MAX_EVALUATED:
            return photos, known, None
        return photos, known, find_groups(photos, known.vectors, self.folder)

    def rows(self, *wanted: SplitName) -> Rows:
        """Return the row numbers of the photos in one or more splits, int64 [photos], one split after another."""
        return np.concatenate([np.flatnonzero(self.sets == SPLIT_NAMES.index(name)) for name in wanted])

    def photos_in(self, wanted: SplitName) -> HashedPhotos:
        """Return the photos in a split, with their digests."""
        return self.photos.take(self.rows(wanted))

    def labeled(self, rows: Rows) -> LabeledVectors:
        """Return the unaugmented vectors of the photos in the given rows, and their classes."""
        return LabeledVectors(take(self.vectors, rows), self.photos.photos.classes[rows].astype(np.int64))

    def plain(self, wanted: SplitName) -> LabeledVectors:
        """Return the unaugmented vectors of the photos in a split, and their classes."""
        return self.labeled(self.rows(wanted))


def read_data(
    options: TrainOptions,
    hashed: Hashed,
    backbone: Backbone,
    cache: BottleneckCache,
    reporter: Reporter,
    groups: PhotoGroups | None = None,
) -> tuple[TrainingData, tuple[str, ...]]:
    """Read or compute the bottlenecks of all readable photos, find their groups, and assign the photos to splits.

    Args:
        groups: groups of the readable photos in `hashed`; if None, `find_groups` finds them.

    Returns:
        The data, and an error message for each photo that was skipped.

    Raises:
        DatasetError: fewer than two classes have readable photos, or a class has no training photo.
        PhotoError: a photo cannot be read, and `options.strict` is set.
        OutputError: the disk is full.
    """
    problems: list[PhotoError] = []

    def skip(error: PhotoError) -> None:
        if options.strict:
            raise PhotoError(f"{error} (Without `strict` it would be left out.)")
        problems.append(error)

    for error in hashed.errors.values():
        skip(error)
    files = hashed.readable
    digests, readable_rows = files.digests, np.ones(len(files), np.bool_)
    table = VectorTableBuilder(len(files), options.architecture.bottleneck_size, options.bottleneck_dir)
    start = 0
    for batch in bottleneck_batches(files, [BackboneCache(backbone, cache)], reporter):
        vectors = []
        for row, result in enumerate(batch.vectors, start):
            if isinstance(result, PhotoError):
                skip(result)
                readable_rows[row] = False
            else:
                vectors.append(result[0])
        if vectors:
            table.append(np.concatenate(vectors).reshape(len(vectors), -1))  # three times as fast as np.stack
        for row, digest in batch.changed.items():
            if digests is files.digests:
                digests = digests.copy()
            digests[start + row] = np.frombuffer(digest, np.uint8)
        start += len(batch.photos)
    for error in problems:
        reporter.warn(f"left out: {error}")
    readable = HashedPhotos(files.photos, digests)
    if not readable_rows.all():
        readable = readable.take(np.flatnonzero(readable_rows))
    photos = readable.photos
    labels = photos.present
    if len(labels) < 2:
        found = f"only {labels[0]!r}" if labels else "none"
        raise DatasetError(
            f"{options.image_dir}: two classes or more are needed, each a folder with photos that can be read;"
            f" found {found}."
        )
    labeled = HashedPhotos(photos.in_classes(labels), readable.digests)
    bottlenecks = table.finish()
    if groups is None:
        groups = find_groups(labeled, bottlenecks, options.bottleneck_dir, options.group_by)
    else:
        groups = groups.take(np.flatnonzero(readable_rows))
    grouped = None if groups.are_trivial else groups
    sets = assign_splits(photos, options.percentages, grouped.numbers if grouped else None)
    _check_trained(photos, sets, options)
    data = TrainingData(labeled, bottlenecks, sets, labels, grouped, options.bottleneck_dir)
    return data, tuple(str(error) for error in problems)


def _check_trained(photos: PhotoTable, sets: SplitNumbers, options: TrainOptions) -> None:
    """Raise DatasetError if a class has no training photo, which is possible only if the user chose the splits."""
    trained = np.bincount(photos.classes[sets == SPLIT_NAMES.index("training")], minlength=len(photos.labels))
    every = np.bincount(photos.classes, minlength=len(photos.labels))
    for label, own, count in zip(photos.labels, trained, every, strict=True):
        if count and not own:
            first = photos.names[int(np.flatnonzero(photos.classes == photos.labels.index(label))[0])]
            raise DatasetError(
                f"{options.image_dir}: class {label}: no photo for training, and {count} in"
                f" {first.rpartition('/')[0]}. Put some of them into the folder for training, or move that folder"
                " away to train without the class."
            )


def training_vectors(
    options: TrainOptions, data: TrainingData, backbone: Backbone, cache: BottleneckCache, reporter: Reporter
) -> LabeledVectors:
    """Return the head's training data: vectors and classes of the training photos, or of their distorted variants."""
    settings = options.distortions
    if not settings.active:
        return data.plain("training")
    photos, variants = data.photos_in("training"), settings.names()
    table = VectorTableBuilder(
        len(photos) * len(variants), options.architecture.bottleneck_size, options.bottleneck_dir
    )
    counts = []
    for batch in bottleneck_batches(
        photos,
        [BackboneCache(backbone, cache)],
        reporter,
        variants,
        lambda image, size, name, digest: distort(image, size, settings, name, digest),
    ):
        for vectors in batch.vectors:
            counts.append(0 if isinstance(vectors, PhotoError) else len(variants))
            if not isinstance(vectors, PhotoError):
                table.append(np.stack(vectors))
    return LabeledVectors(table.finish(), np.repeat(photos.photos.classes, counts).astype(np.int64))
