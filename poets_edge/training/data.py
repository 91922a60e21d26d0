"""Photos that can be read, with their vectors, sets and class numbers: what a head is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poets_edge.errors import DatasetError, PhotoError
from poets_edge.photos.split import SetName, split
from poets_edge.progress import Reporter
from poets_edge.training.backbone import Backbone
from poets_edge.training.bottlenecks import HashedPhoto, Place, bottlenecks
from poets_edge.training.cache import BottleneckCache, Vector
from poets_edge.training.distort import distort
from poets_edge.training.head import LabelledVectors
from poets_edge.training.options import TrainOptions


@dataclass(frozen=True)
class Data:
    """Readable photos.

    Attributes:
        vectors: the undistorted bottleneck of each, by name, float32 [bottleneck_size].
        sets: the set of each, by name.
        labels: class names, sorted; a class's place is its number.
    """

    photos: list[HashedPhoto]
    vectors: dict[str, Vector]
    sets: dict[str, SetName]
    labels: tuple[str, ...]

    def of(self, wanted: SetName) -> list[HashedPhoto]:
        """The photos of a set."""
        return [item for item in self.photos if self.sets[item.photo.name] == wanted]

    def plain(self, wanted: SetName, width: int) -> LabelledVectors:
        """The undistorted vectors of a set, of this length."""
        return self.labelled([(item, [self.vectors[item.photo.name]]) for item in self.of(wanted)], width)

    def labelled(self, rows: Sequence[tuple[HashedPhoto, list[Vector]]], width: int) -> LabelledVectors:
        """Photos with several vectors each as one array of rows."""
        vectors = [vector for _, several in rows for vector in several]
        classes = [self.labels.index(item.photo.label) for item, several in rows for _ in several]
        stacked = np.stack(vectors) if vectors else np.zeros((0, width), np.float32)
        return LabelledVectors(stacked, np.array(classes, np.int64))


def read_data(
    options: TrainOptions,
    hashed: Sequence[HashedPhoto | PhotoError],
    backbone: Backbone,
    cache: BottleneckCache,
    reporter: Reporter,
) -> tuple[Data, tuple[str, ...]]:
    """Compute, or find, the bottlenecks of all photos that can be read, and divide them into sets.

    Returns:
        The photos, and a line for each that was left out.

    Raises:
        DatasetError: fewer than two classes are left.
        PhotoError: a photo cannot be read, with `options.strict`.
    """
    troubles: list[PhotoError] = []
    files: list[HashedPhoto] = []
    readable: list[HashedPhoto] = []
    vectors: dict[str, Vector] = {}

    def trouble(error: PhotoError) -> None:
        if options.strict:
            raise PhotoError(f"{error} (Without `strict` it would be left out.)")
        troubles.append(error)

    for item in hashed:
        if isinstance(item, PhotoError):
            trouble(item)
        else:
            files.append(item)
    for photo, result in bottlenecks(files, [Place(backbone, cache)], reporter):
        if isinstance(result, PhotoError):
            trouble(result)
        else:
            readable.append(photo)
            vectors[photo.photo.name] = result[0]
    for error in troubles:
        reporter.warn(f"left out: {error}")
    labels = tuple(sorted({item.photo.label for item in readable}))
    if len(labels) < 2:
        found = f"only {labels[0]!r}" if labels else "none"
        raise DatasetError(
            f"{options.image_dir}: two classes or more are needed, each a folder with photos that can be read;"
            f" found {found}."
        )
    sets = split((item.photo for item in readable), options.percentages)
    return Data(readable, vectors, sets, labels), tuple(str(error) for error in troubles)


def training_vectors(
    options: TrainOptions, data: Data, backbone: Backbone, cache: BottleneckCache, reporter: Reporter
) -> LabelledVectors:
    """The head's training data: the bottlenecks of the training set, or those of its distorted copies."""
    settings = options.distortions
    if not settings.active:
        return data.plain("training", options.architecture.bottleneck_size)
    found = bottlenecks(
        data.of("training"),
        [Place(backbone, cache)],
        reporter,
        settings.names(),
        lambda image, size, name, digest: distort(image, size, settings, name, digest),
    )
    rows = [(item, vectors) for item, vectors in found if not isinstance(vectors, PhotoError)]
    return data.labelled(rows, options.architecture.bottleneck_size)
