"""Bottlenecks of photos, read from a cache or computed on all cores."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
from PIL import Image

from poets_edge.core.parallel import cores, run_chunks, run_parallel
from poets_edge.errors import PhotoError
from poets_edge.photos.address import is_address
from poets_edge.photos.digests import Known, current_stamp, open_digests
from poets_edge.photos.folder import Photo
from poets_edge.photos.image import PREPROCESSING, Pixels, fit, normalizer, read_photo
from poets_edge.photos.normalization import BACKBONE
from poets_edge.photos.open_photo import read_contents
from poets_edge.photos.remote import CONNECTIONS
from poets_edge.photos.sources import FileStamp, prefetch_stamps
from poets_edge.photos.table import UNKNOWN_SIZE, Digest, HashedPhotos, PhotoTable, Rows
from poets_edge.photos.table import HashedPhoto as HashedPhoto
from poets_edge.progress import Reporter, Silent
from poets_edge.tflite.read_model import ModelSource
from poets_edge.tflite.session import Session
from poets_edge.training.backbone import Backbone
from poets_edge.training.bottleneck_cache import BottleneckCache, Vector, cache_key

_MAX_INTERPRETERS = 256
"""Maximum number of interpreters in all threads; each contains its model's weights, up to 17 MB for a MobileNet."""

_THREADS_PER_CORE_REMOTE = 4
"""Threads per core for photos on a server, since most threads wait for the network."""

_VECTORS_PER_BATCH = 4096
"""Maximum number of vectors, or of photos to hash, per batch, which limits memory use."""

_HASHED_PER_HANDOVER = 16
"""Number of photos that a thread hashes per task, since returning a result takes as long as hashing a small photo."""

_PHOTOS_PER_GROUP = 8
"""Number of photos that a thread decodes before it runs several networks on them in turn."""

PLAIN = ""
"""Name of the variant without distortion."""


Render = Callable[[Image.Image, tuple[int, int], str, bytes], Pixels]
"""Function (image, (height, width), variant, photo digest) -> pixels of the variant, uint8 [height, width, 3]."""


def vector_key(digest: bytes, variant: str = PLAIN) -> bytes:
    """Return the key for a photo's bottleneck in the cache of a backbone."""
    return cache_key(digest, f"{PREPROCESSING} {variant}")


class VectorSource(Protocol):
    """A function that computes vectors from pixels, and the cache for its results."""

    @property
    def cache(self) -> BottleneckCache:
        """Cache for the vectors."""

    @property
    def name(self) -> str:
        """Name that a progress bar shows."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the function's input."""

    def key(self, digest: bytes, variant: str) -> bytes:
        """Return the cache key of a photo's vector, which includes everything that determines the vector."""

    def extractor(self) -> Callable[[Pixels], Vector]:
        """Return a function that computes a vector from pixels, for use by one thread."""


@dataclass(frozen=True)
class BackboneCache:
    """A backbone and the cache for its bottlenecks, as a `VectorSource`."""

    backbone: Backbone
    cache: BottleneckCache

    @property
    def name(self) -> str:
        """Name of the backbone."""
        return self.backbone.architecture.backbone

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the backbone's input."""
        return self.backbone.architecture.size

    def key(self, digest: bytes, variant: str) -> bytes:
        """Return the cache key for a photo's bottleneck."""
        return vector_key(digest, variant)

    def extractor(self) -> Extractor:
        """Return an interpreter that runs the backbone, for use by one thread."""
        return Extractor(self.backbone.model)


class Hashed(Sequence["HashedPhoto | PhotoError"]):
    """Result of `hash_photos`: a sequence that has, for each photo, a HashedPhoto or a PhotoError.

    Attributes:
        photos: all photos.
        digests: SHA-256 of each photo, uint8 [photos, 32]; zeros if a photo cannot be read.
        sizes: size of each photo in bytes, int64 [photos]; UNKNOWN_SIZE if the server does not report it, or after an
            error.
        errors: errors for photos that cannot be read, by row number.
    """

    def __init__(self, photos: PhotoTable, digests: Digest, sizes: Rows, errors: dict[int, PhotoError]) -> None:
        self.photos, self.digests, self.sizes, self.errors = photos, digests, sizes, errors

    def __len__(self) -> int:
        return len(self.photos)

    @overload
    def __getitem__(self, index: int) -> HashedPhoto | PhotoError: ...
    @overload
    def __getitem__(self, index: slice) -> list[HashedPhoto | PhotoError]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[row] for row in range(len(self))[index]]
        error = self.errors.get(range(len(self))[index])
        return error or HashedPhoto(self.photos[index], self.digests[index].tobytes())

    @property
    def readable(self) -> HashedPhotos:
        """Photos that can be read, with their digests."""
        readable = HashedPhotos(self.photos, self.digests)
        if not self.errors:
            return readable
        return readable.take(np.array([row for row in range(len(self)) if row not in self.errors], np.int64))


def hash_photos(
    photos: Sequence[Photo],
    bottleneck_dir: Path | None = None,
    reporter: Reporter | None = None,
    *,
    rehash: bool = False,
) -> Hashed:
    """Return the digest or the read error of each photo, in order.

    Args:
        bottleneck_dir: folder of the digest cache; None to read all photos.
        reporter: receives a warning if the digest cache is damaged.
        rehash: read all photos, even if the cache contains their digests.
    """
    table = PhotoTable.of(photos)
    digests = np.zeros((len(table), hashlib.sha256().digest_size), np.uint8)
    sizes = np.full(len(table), UNKNOWN_SIZE, np.int64)
    errors: dict[int, PhotoError] = {}
    paths, at_address = table.paths(), is_address(table.folder)
    workers, at_once = (CONNECTIONS, 1) if at_address else (None, _HASHED_PER_HANDOVER)
    with open_digests(bottleneck_dir, reporter or Silent(), rehash=rehash) as known:
        for start in range(0, len(table), _VECTORS_PER_BATCH):
            some = list(islice(paths, _VECTORS_PER_BATCH))
            if at_address:
                prefetch_stamps(some)
            cached = known.find(some)
            unknown = [row for row, photo in enumerate(cached, start) if photo is None]
            joined = b"".join(photo.digest if photo else bytes(digests.shape[1]) for photo in cached)
            digests[start : start + len(cached)] = np.frombuffer(joined, np.uint8).reshape(len(cached), -1)
            sizes[start : start + len(cached)] = [photo.size if photo else UNKNOWN_SIZE for photo in cached]
            for row, (result, stamp, at) in run_parallel(
                unknown, lambda: None, lambda row, _: _hash(table[row]), workers=workers, at_once=at_once
            ):
                if isinstance(result, PhotoError):
                    errors[row] = result
                    continue
                digests[row], sizes[row] = np.frombuffer(result.digest, np.uint8), result.size
                if stamp is not None:
                    known.store(table[row].path, stamp, at, result.digest)
            known.commit()
    return Hashed(table, digests, sizes, errors)


def _hash(photo: Photo) -> tuple[Known | PhotoError, FileStamp | None, float]:
    """Read a photo, and return its digest and size, or an error.

    The second value is the file's stamp before it was read, or None if no stamp is available. The third value is the
    time of the stamp.
    """
    at, stamp = time.time(), current_stamp(str(photo.path))
    try:
        contents = read_contents(photo)
    except PhotoError as error:
        return error.without_frames(), None, at
    # The size that the file system or server reports, since photo folders are compared by it later.
    return Known(hashlib.sha256(contents).digest(), stamp.size if stamp else len(contents)), stamp, at


@dataclass(frozen=True)
class Batch:
    """Vectors of successive photos.

    Attributes:
        photos: the photos, with their digests.
        vectors: for each photo, a list of its vectors (the variants for the first source, then those for the second,
            and so on), or the error if it cannot be read.
        changed: new digests of photos whose files have changed since they were hashed, by their index in `photos`.
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
    """Yield each photo, with the digest of the contents that were decoded, and its vectors or an error.

    For the arguments see `bottleneck_batches`.
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
    """Yield the vectors of all photos in order, in batches of up to a few thousand.

    Vectors are stored in their caches before they are yielded. A photo is decoded once for all sources and variants. If
    its file has changed since it was hashed, the new contents are used, and stored under the new digest.

    Args:
        sources: networks with their caches.
        variants: names of the variants to compute for each photo.
        render: function that draws a variant; by default the whole image, resized.
        what: name of the vectors that the progress bar shows.

    Raises:
        OutputError: a cache cannot be written; vectors that it already contains are kept.
    """
    draw = render or (lambda image, size, variant, digest: fit(image, size))
    wanted = [(source, variant) for source in sources for variant in variants]
    at_once = max(1, _VECTORS_PER_BATCH // len(wanted))
    names = sources[0].name if len(sources) == 1 else f"{len(sources)} architectures"
    title = f"{what}, {names}" + (", distorted" if render else "")
    threads = cores() * (_THREADS_PER_CORE_REMOTE if is_address(photos.photos.folder) else 1)
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
    """A decoded photo at the required sizes and in the required variants.

    Attributes:
        digest: SHA-256 of the contents that were decoded.
        changed: whether the contents have changed since the photo was hashed.
        images: pixels by (height, width) and variant.
    """

    digest: bytes
    changed: bool
    images: dict[tuple[tuple[int, int], str], Pixels]


def _render(
    photo: HashedPhoto, known: Sequence[Vector | None], wanted: Sequence[tuple[VectorSource, str]], draw: Render
) -> _Rendered | PhotoError:
    """Read a photo and draw its variants that have no cached vector; return the error if it cannot be read."""
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
    """Estimate the number of photos to decode: count those without a cached vector for the first source and variant."""
    source, variant = wanted[0]
    return sum(
        len(source.cache.missing([source.key(digest.tobytes(), variant) for digest in part]))
        for part in (digests[start : start + at_once] for start in range(0, len(digests), at_once))
    )


class Extractor:
    """Interpreter that runs a backbone, or its layers below a cut, for use by one thread.

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
        """Return the bottleneck (float32 [bottleneck_size]) or the activations for pixels, uint8 [height, width, 3]."""
        self._normalize(pixels, self._pixels[0])
        return np.asarray(self._session.run(self._pixels)[0], np.float32)
