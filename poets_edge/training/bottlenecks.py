"""Bottlenecks of photos (outputs of a backbone's pooling layer), read from a cache or computed on all cores."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from PIL import Image

from poets_edge.core.parallel import cores, run_chunks
from poets_edge.errors import PhotoError
from poets_edge.photos.address import is_address
from poets_edge.photos.image import PREPROCESSING, Pixels, fit, normalizer, read_photo
from poets_edge.photos.normalization import BACKBONE
from poets_edge.photos.open_photo import read_contents
from poets_edge.photos.table import Digest, HashedPhotos
from poets_edge.photos.table import HashedPhoto as HashedPhoto
from poets_edge.progress import Reporter
from poets_edge.tflite.read_model import ModelSource
from poets_edge.tflite.session import Session
from poets_edge.training.backbone import Backbone
from poets_edge.training.bottleneck_cache import BottleneckCache, Vector, cache_key
from poets_edge.training.hashed_photos import PHOTOS_PER_BATCH, THREADS_PER_CORE_REMOTE

_MAX_INTERPRETERS = 256
"""Maximum number of interpreters in all threads together. Each interpreter holds a copy of the model's weights, up to
17 MB for a MobileNet."""


_PHOTOS_PER_GROUP = 8
"""Number of photos that a thread decodes before it runs several networks on them, one network after another."""

PLAIN = ""
"""Name of the undistorted variant of a photo."""


Render = Callable[[Image.Image, tuple[int, int], str, bytes], Pixels]
"""Function that renders a variant of a photo: (image, (height, width), variant, digest) -> uint8 [height, width, 3]."""


def vector_key(digest: bytes, variant: str = PLAIN) -> bytes:
    """Return the key for a photo's bottleneck in the cache of a backbone."""
    return cache_key(digest, f"{PREPROCESSING} {variant}")


class VectorSource(Protocol):
    """Interface of a network that computes vectors from pixels, with the cache for these vectors."""

    @property
    def cache(self) -> BottleneckCache:
        """Cache for the vectors."""

    @property
    def name(self) -> str:
        """Name of the network, as shown by progress bars."""

    @property
    def size(self) -> tuple[int, int]:
        """Size (height, width) of the images from which vectors are computed."""

    def key(self, digest: bytes, variant: str) -> bytes:
        """Return the cache key of a photo's vector, which includes everything that determines the vector."""

    def extractor(self) -> Callable[[Pixels], Vector]:
        """Return a new function that computes a vector from pixels; each thread needs one of its own."""


@dataclass(frozen=True)
class BackboneCache:
    """A backbone and the cache for its bottlenecks, with the interface `VectorSource`."""

    backbone: Backbone
    cache: BottleneckCache

    @property
    def name(self) -> str:
        """Name of the backbone."""
        return self.backbone.architecture.backbone

    @property
    def size(self) -> tuple[int, int]:
        """Size (height, width) of the backbone's input."""
        return self.backbone.architecture.size

    def key(self, digest: bytes, variant: str) -> bytes:
        """Return the cache key for a photo's bottleneck."""
        return vector_key(digest, variant)

    def extractor(self) -> Extractor:
        """Return a new `Extractor` that computes bottlenecks; each thread needs one of its own."""
        return Extractor(self.backbone.model)


@dataclass(frozen=True)
class Batch:
    """Vectors of successive photos.

    Attributes:
        photos: the photos, with their digests.
        vectors: for each photo, a list of its vectors, ordered by network and then by distorted version of the photo;
            or an error if the photo cannot be read.
        changed: new digest of each photo whose file has changed since it was hashed, by the photo's index in `photos`.
    """

    photos: HashedPhotos
    vectors: list[list[Vector] | PhotoError]
    changed: dict[int, bytes]


def bottlenecks(
    photos: Sequence[HashedPhoto],
    sources: Sequence[VectorSource],
    reporter: Reporter,
    variants: Sequence[str] = (PLAIN,),
    render: Render | None = None,
    what: str = "bottlenecks",
) -> Iterator[tuple[HashedPhoto, list[Vector] | PhotoError]]:
    """Yield a pair (photo, vectors) for each photo, or (photo, error) if the photo cannot be read.

    Each yielded photo has the digest of the contents that were decoded; it is a new digest if the file has changed
    since the photo was hashed. The arguments are those of `bottleneck_batches`.
    """
    for batch in bottleneck_batches(HashedPhotos.of(photos), sources, reporter, variants, render, what):
        for row, (photo, vectors) in enumerate(zip(batch.photos, batch.vectors, strict=True)):
            yield replace(photo, digest=batch.changed.get(row, photo.digest)), vectors


def bottleneck_batches(
    photos: HashedPhotos,
    sources: Sequence[VectorSource],
    reporter: Reporter,
    variants: Sequence[str] = (PLAIN,),
    render: Render | None = None,
    what: str = "bottlenecks",
) -> Iterator[Batch]:
    """Yield the vectors of all photos in order, in batches of up to a few thousand photos.

    Vectors are stored in their caches before they are yielded. A photo is decoded once for all networks and all its
    distorted versions. If its file has changed since the photo was hashed, the vectors of the new contents are stored
    under the new digest.

    Args:
        sources: networks with their caches.
        variants: names of the distorted versions of each photo for which vectors are computed.
        render: function that returns the pixels of a distorted version; by default, the whole image is resized.
        what: description of the vectors, which is shown in the progress bar.

    Raises:
        OutputError: a cache cannot be written; vectors that it already contains are kept.
    """
    draw = render or (lambda image, size, variant, digest: fit(image, size))
    wanted = [(source, variant) for source in sources for variant in variants]
    at_once = max(1, PHOTOS_PER_BATCH // len(wanted))
    names = sources[0].name if len(sources) == 1 else f"{len(sources)} architectures"
    title = f"{what}, {names}" + (", distorted" if render else "")
    threads = cores() * (THREADS_PER_CORE_REMOTE if is_address(photos.photos.folder) else 1)
    workers = max(1, min(threads, _MAX_INTERPRETERS // len(sources)))

    def extractors() -> list[Callable[[Pixels], Vector]]:
        return [extractor for source in sources for extractor in [source.extractor()] * len(variants)]

    def compute(
        group: list[tuple[HashedPhoto, list[Vector | None]]], tools: list[Callable[[Pixels], Vector]]
    ) -> list[tuple[bytes, list[Vector] | PhotoError]]:
        rendered = [_render(photo, known, wanted, draw) for photo, known in group]
        vectors: list[list[Any]] = [list(known) for _, known in group]
        # Network by network, so that its weights stay in the processor's cache.
        for column, (source, variant) in enumerate(wanted):
            for row, found in enumerate(rendered):
                if not isinstance(found, PhotoError) and (found.changed or vectors[row][column] is None):
                    vectors[row][column] = tools[column](found.images[source.size, variant])
        return [
            (photo.digest, found) if isinstance(found, PhotoError) else (found.digest, of_photo)
            for (photo, _), found, of_photo in zip(group, rendered, vectors, strict=True)
        ]

    made: list[list[Callable[[Pixels], Vector]]] = []  # interpreters serve all batches
    with ExitStack() as stack:
        advance: Callable[[int], object] | None = None
        for start in range(0, len(photos), at_once):
            batch = photos[start : start + at_once] if len(photos) > at_once else photos
            columns = [
                source.cache.get_many([source.key(digest.tobytes(), variant) for digest in batch.digests])
                for source, variant in wanted
            ]
            known = list(zip(*columns, strict=True))
            missing = sorted({row for column in columns for row, vector in enumerate(column) if vector is None})
            if missing and advance is None:  # counting a million photos takes seconds
                later = photos.digests[start + at_once :]
                advance = stack.enter_context(
                    reporter.progress(title, len(missing) + _count_missing(later, wanted, at_once))
                )
            found: list[Any] = known
            changed: dict[int, bytes] = {}
            together = max(1, min(_PHOTOS_PER_GROUP if len(sources) > 1 else 1, len(missing) // (4 * workers)))
            items = [(batch[row], list(known[row])) for row in missing]
            computed = run_chunks(items, extractors, compute, workers=workers, tools=made, at_once=together)
            for row, ((photo, before), (digest, vectors)) in zip(missing, computed, strict=True):
                if digest != photo.digest:
                    changed[row] = digest
                if not isinstance(vectors, PhotoError):
                    for (source, variant), old, vector in zip(wanted, before, vectors, strict=True):
                        if old is None or digest != photo.digest:
                            source.cache.put(source.key(digest, variant), vector)
                found[row] = vectors
                if advance is not None:
                    advance(1)
            yield Batch(batch, found, changed)
    for source in sources:
        for damage in source.cache.take_damage():
            reporter.warn(damage)


@dataclass(frozen=True)
class _Rendered:
    """A decoded photo in all sizes and distorted versions for which vectors must be computed.

    Attributes:
        digest: SHA-256 of the contents that were decoded.
        changed: whether the contents have changed since the photo was hashed.
        images: uint8 pixels, keyed by ((height, width), name of the distorted version).
    """

    digest: bytes
    changed: bool
    images: dict[tuple[tuple[int, int], str], Pixels]


def _render(
    photo: HashedPhoto, known: Sequence[Vector | None], wanted: Sequence[tuple[VectorSource, str]], draw: Render
) -> _Rendered | PhotoError:
    """Decode a photo, and render its distorted versions whose vectors are not cached.

    All versions are rendered if the photo's file has changed since it was hashed.

    Returns:
        The rendered images, or the error if the photo cannot be read.
    """
    # Hash and decode the bytes of one read, since a file may be replaced at any moment.
    try:
        contents = read_contents(photo.photo)
        image = read_photo(contents, name=str(photo.photo.path))
    except PhotoError as error:
        return error.without_frames()
    digest = hashlib.sha256(contents).digest()
    changed = digest != photo.digest
    images: dict[tuple[tuple[int, int], str], Pixels] = {}
    for (source, variant), vector in zip(wanted, known, strict=True):
        if (changed or vector is None) and (source.size, variant) not in images:
            images[source.size, variant] = draw(image, source.size, variant, digest)
    return _Rendered(digest, changed, images)


def _count_missing(digests: Digest, wanted: Sequence[tuple[VectorSource, str]], at_once: int) -> int:
    """Estimate how many photos must be decoded: those without a cached vector for the first element of `wanted`."""
    source, variant = wanted[0]
    return sum(
        len(source.cache.missing([source.key(digest.tobytes(), variant) for digest in part]))
        for part in (digests[start : start + at_once] for start in range(0, len(digests), at_once))
    )


class Extractor:
    """Function from an image to a vector, computed by a backbone or by its layers before the fine-tuned ones.

    It has an interpreter of its own, which only one thread may use at a time.

    Attributes:
        shape: shape of the output for one image.
    """

    def __init__(self, model: ModelSource) -> None:
        self._session = Session(model)
        (pixels,), (output,) = self._session.inputs, self._session.outputs
        self.shape = output.shape[1:]
        # Not the interpreter's own memory: it refuses to run while a view of that exists, and a sampling profiler (Dask
        # workers have one) holds frames with all their variables.
        self._pixels = np.empty(pixels.shape, np.float32)
        self._normalize = normalizer(BACKBONE)

    def __call__(self, pixels: Pixels) -> Vector:
        """Return the output of the network, float32, for an image, uint8 [height, width, 3]."""
        self._normalize(pixels, self._pixels[0])
        return np.asarray(self._session.run(self._pixels)[0], np.float32)
