"""A folder of photos -> what the audit looks at: a bottleneck and a look for each photo that can be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poets_edge.audit.image_stats import CACHE_FILE, SIDE, Look, Pictures, Thumbnails, looks
from poets_edge.audit.options import AuditOptions
from poets_edge.audit.projection import main_directions
from poets_edge.errors import DatasetError, PhotoError
from poets_edge.nets.weights import find_weights
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.table import HashedPhotos, class_numbers
from poets_edge.progress import Reporter
from poets_edge.train.backbone import Backbone, prepare_backbone
from poets_edge.train.bottleneck_cache import Vector, open_cache
from poets_edge.train.bottlenecks import Place, bottlenecks, hash_photos
from poets_edge.train.head import Indices, LabelledVectors, Matrix
from poets_edge.train.vectors import Vectors, VectorTable

_PHOTOS_AT_ONCE = 2000
_FACTS = 7


@dataclass(frozen=True, kw_only=True)
class AuditPhotos:
    """Readable photos, each with the same row number everywhere.

    Attributes:
        photos: sorted by name.
        labels: class names, sorted; a class's place is its number.
        vectors: bottlenecks, float32 [photos, bottleneck_size].
        directions: of the bottlenecks, by which photos are compared, float32 [photos, up to 64].
        classes: int64 [photos].
        width, height: of the file, pixels, float32 [photos].
        brightness, contrast, colour, sharpness, unsent: as in `Look`, float32 [photos].
        thumbnails: gray, uint8 [photos, 32, 32].
        unreadable: name and reason of each photo that was left out.
    """

    photos: HashedPhotos
    labels: tuple[str, ...]
    vectors: Vectors
    directions: Vectors
    classes: Indices
    width: Matrix
    height: Matrix
    brightness: Matrix
    contrast: Matrix
    colour: Matrix
    sharpness: Matrix
    unsent: Matrix
    thumbnails: Pictures
    unreadable: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def data(self) -> LabelledVectors:
        """All of them, as a head learns from them."""
        return LabelledVectors(self.vectors, self.classes)

    def name(self, row: int) -> str:
        """Path relative to the folder, with `/`."""
        return self.photos.photos.names[row]

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
    hashed = hash_photos(folder.photos, options.bottleneck_dir, reporter, rehash=options.rehash)
    unreadable = [_left_out(hashed.photos[row], error) for row, error in hashed.errors.items()]
    photos = hashed.readable
    digests = photos.digests.copy()
    vectors = VectorTable(len(photos), options.architecture.bottleneck_size, options.bottleneck_dir)
    packed = VectorTable(len(photos), SIDE * SIDE // 4, options.bottleneck_dir)
    facts = np.empty((_FACTS, len(photos)), np.float32)
    kept: list[int] = []
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
            good: list[tuple[Vector, Look]] = []
            for row, ((photo, vector), (_, look)) in enumerate(found, start):
                trouble = next((result for result in (vector, look) if isinstance(result, PhotoError)), None)
                if trouble is not None:
                    unreadable.append(_left_out(photo.photo, trouble))
                elif not isinstance(vector, PhotoError) and not isinstance(look, PhotoError):
                    digests[row] = np.frombuffer(photo.digest, np.uint8)
                    facts[:, len(kept)] = (
                        *(look.width, look.height, look.brightness, look.contrast, look.colour, look.sharpness),
                        look.unsent,
                    )
                    good.append((vector[0], look))
                    kept.append(row)
            if good:
                vectors.append(np.stack([vector for vector, _ in good]))
                packed.append(np.stack([look.thumbnail.reshape(-1).view(np.float32) for _, look in good]))
    usable = HashedPhotos(photos.photos, digests).take(np.array(kept, np.int64))
    labels = usable.photos.present
    if len(labels) < 2:
        only = f"only {labels[0]!r}" if labels else "none"
        raise DatasetError(
            f"{options.image_dir}: two classes or more are needed, each a folder with photos that can be read;"
            f" found {only}."
        )
    width, height, brightness, contrast, colour, sharpness, unsent = facts[:, : len(kept)]
    found_vectors = vectors.finish()
    return AuditPhotos(
        photos=usable,
        labels=labels,
        vectors=found_vectors,
        directions=main_directions(found_vectors, options.bottleneck_dir),
        classes=class_numbers(usable.photos, labels),
        width=width,
        height=height,
        brightness=brightness,
        contrast=contrast,
        colour=colour,
        sharpness=sharpness,
        unsent=unsent,
        thumbnails=Thumbnails(packed.finish()),
        unreadable=tuple(sorted(unreadable)),
    )


def find_backbone(options: AuditOptions, reporter: Reporter) -> Backbone:
    """The network whose bottlenecks describe the photos. Raises WeightsError, OutputError: as for `train`."""
    weights = find_weights(options.architecture, options.model_dir, options.weights, reporter=reporter)
    return prepare_backbone(options.architecture, weights, options.bottleneck_dir)


def _left_out(photo: Photo, error: PhotoError) -> tuple[str, str]:
    """Its name, and the reason."""
    return photo.name, str(error).removeprefix(f"{photo.path}:").strip()
