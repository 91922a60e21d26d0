"""Photos -> bottleneck vectors, from the cache where they are known, else computed on all cores."""

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

from poets_edge.core.parallel import cores, run_parallel, run_shares
from poets_edge.errors import PhotoError
from poets_edge.photos.address import is_address
from poets_edge.photos.digests import Known, current_stamp, open_digests
from poets_edge.photos.elsewhere import FileStamp, ask_about
from poets_edge.photos.folder import Photo, read_contents
from poets_edge.photos.image import PREPROCESSING, Pixels, fit, normaliser, read_photo
from poets_edge.photos.normalization import BACKBONE
from poets_edge.photos.remote import CONNECTIONS
from poets_edge.photos.table import UNKNOWN_SIZE, Digest, HashedPhotos, PhotoTable, Rows
from poets_edge.photos.table import HashedPhoto as HashedPhoto
from poets_edge.progress import Reporter, Silent
from poets_edge.tflite.read_model import ModelSource
from poets_edge.tflite.session import Session
from poets_edge.train.backbone import Backbone
from poets_edge.train.bottleneck_cache import BottleneckCache, Vector, cache_key

_MOST_INTERPRETERS = 256
"""Over all threads: each holds its model's weights, 17 MB for the largest MobileNet."""

_WAITING = 4
"""Threads a core where photos come over the network: most of them wait."""

_AT_ONCE = 4096
"""Photos, or vectors of photos, that are looked for together: bounds memory."""

_HASHED_AT_ONCE = 16
"""Photos that a thread hashes before it hands over: handing over takes as long as hashing a small one."""

_TOGETHER = 8
"""Photos that a thread decodes before it runs many networks over them, one network after the other."""

PLAIN = ""
"""The variant that is the photo itself, undistorted."""


Render = Callable[[Image.Image, tuple[int, int], str, bytes], Pixels]
"""(picture, (height, width), variant, photo digest) -> uint8 pixels of that size."""


def vector_key(digest: bytes, variant: str = PLAIN) -> bytes:
    """Key of the bottleneck of a photo of this digest in its backbone's cache."""
    return cache_key(digest, f"{PREPROCESSING} {variant}")


class VectorSource(Protocol):
    """A function from pixels to vectors, and the cache that keeps them."""

    @property
    def cache(self) -> BottleneckCache: ...

    @property
    def name(self) -> str:
        """Its name on a progress bar."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the pictures it takes."""

    def key(self, digest: bytes, variant: str) -> bytes:
        """Names everything that the vector of a photo of this digest follows from, within its cache."""

    def extractor(self) -> Callable[[Pixels], Vector]:
        """The function, for one thread."""


@dataclass(frozen=True)
class BackboneCache:
    """A backbone, and the cache that keeps its vectors."""

    backbone: Backbone
    cache: BottleneckCache

    @property
    def name(self) -> str:
        return self.backbone.architecture.backbone

    @property
    def size(self) -> tuple[int, int]:
        return self.backbone.architecture.size

    def key(self, digest: bytes, variant: str) -> bytes:
        return vector_key(digest, variant)

    def extractor(self) -> Extractor:
        return Extractor(self.backbone.model)


class Hashed(Sequence["HashedPhoto | PhotoError"]):
    """The digests that `hash_photos` found.

    Attributes:
        photos: all that were asked for.
        digests: uint8 [photos, 32]; zeros where a file cannot be read.
        sizes: bytes of each, int64 [photos]; UNKNOWN_SIZE where a server does not say, or a file cannot be read.
        errors: why, by the photo's place.
    """

    def __init__(self, photos: PhotoTable, digests: Digest, sizes: Rows, errors: dict[int, PhotoError]) -> None:
        self.photos, self.digests, self.sizes, self.errors = photos, digests, sizes, errors

    def __len__(self) -> int:
        return len(self.photos)

    @overload
    def __getitem__(self, place: int) -> HashedPhoto | PhotoError: ...
    @overload
    def __getitem__(self, place: slice) -> list[HashedPhoto | PhotoError]: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return [self[row] for row in range(len(self))[place]]
        error = self.errors.get(range(len(self))[place])
        return error or HashedPhoto(self.photos[place], self.digests[place].tobytes())

    @property
    def readable(self) -> HashedPhotos:
        """Those that can be read."""
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
    """Return the digest of each photo, or why its file cannot be read, in order.

    Args:
        bottleneck_dir: folder of the digest cache, because of which unchanged photos are not read again.
        reporter: is warned of damage to that cache.
        rehash: read all photos.
    """
    table = PhotoTable.of(photos)
    digests = np.zeros((len(table), hashlib.sha256().digest_size), np.uint8)
    sizes = np.full(len(table), UNKNOWN_SIZE, np.int64)
    errors: dict[int, PhotoError] = {}
    paths, at_address = table.paths(), is_address(table.folder)
    workers, at_once = (CONNECTIONS, 1) if at_address else (None, _HASHED_AT_ONCE)
    with open_digests(bottleneck_dir, reporter or Silent(), rehash=rehash) as known:
        for start in range(0, len(table), _AT_ONCE):
            some = list(islice(paths, _AT_ONCE))
            if at_address:
                ask_about(some)
            kept = known.find(some)
            unknown = [row for row, photo in enumerate(kept, start) if photo is None]
            joined = b"".join(photo.digest if photo else bytes(digests.shape[1]) for photo in kept)
            digests[start : start + len(kept)] = np.frombuffer(joined, np.uint8).reshape(len(kept), -1)
            sizes[start : start + len(kept)] = [photo.size if photo else UNKNOWN_SIZE for photo in kept]
            for row, (result, seen, at) in run_parallel(
                unknown, lambda: None, lambda row, _: _hash(table[row]), workers=workers, at_once=at_once
            ):
                if isinstance(result, PhotoError):
                    errors[row] = result
                    continue
                digests[row], sizes[row] = np.frombuffer(result.digest, np.uint8), result.size
                if seen is not None:
                    known.store(table[row].path, seen, at, result.digest)
            known.commit()
    return Hashed(table, digests, sizes, errors)


def _hash(photo: Photo) -> tuple[Known | PhotoError, FileStamp | None, float]:
    """With what tells whether it has changed, from before it was read, and when that was."""
    at, seen = time.time(), current_stamp(str(photo.path))
    try:
        contents = read_contents(photo)
    except PhotoError as error:
        return error, None, at
    # As its file system or server says, for it is asked when the folder is to be recognised.
    return Known(hashlib.sha256(contents).digest(), seen.size if seen else len(contents)), seen, at


@dataclass(frozen=True)
class Block:
    """Vectors of some photos that follow one another.

    Attributes:
        photos: as they were asked for.
        vectors: of each, place by place and in each one a variant; or why it cannot be decoded.
        changed: digests of those whose files have changed since they were hashed, by their place in `photos`.
    """

    photos: HashedPhotos
    vectors: list[list[Vector] | PhotoError]
    changed: dict[int, bytes]


def bottlenecks(
    photos: Sequence[HashedPhoto],
    places: Sequence[VectorSource],
    reporter: Reporter,
    variants: Sequence[str] = (PLAIN,),
    render: Render | None = None,
    what: str = "bottlenecks",
) -> Iterator[tuple[HashedPhoto, list[Vector] | PhotoError]]:
    """The same photo by photo, each with the digest that its file had when it was decoded."""
    for block in bottleneck_batches(HashedPhotos.of(photos), places, reporter, variants, render, what):
        for row, (photo, vectors) in enumerate(zip(block.photos, block.vectors, strict=True)):
            yield replace(photo, digest=block.changed.get(row, photo.digest)), vectors


def bottleneck_batches(
    photos: HashedPhotos,
    places: Sequence[VectorSource],
    reporter: Reporter,
    variants: Sequence[str] = (PLAIN,),
    render: Render | None = None,
    what: str = "bottlenecks",
) -> Iterator[Block]:
    """The vectors of all photos, some thousands of photos at a time, in order.

    Each is stored in its cache before it is given. A photo is decoded once for all places and variants. Where its
    file has changed since it was hashed, what is there now counts: its vectors are stored under its new digest.

    Args:
        render: draws a variant; by default the whole picture, resized.
        what: what to call the vectors on a progress bar.

    Raises:
        OutputError: a cache cannot be written; what is in it stays.
    """
    draw = render or (lambda image, size, variant, digest: fit(image, size))
    wanted = [(place, variant) for place in places for variant in variants]
    at_once = max(1, _AT_ONCE // len(wanted))
    names = places[0].name if len(places) == 1 else f"{len(places)} architectures"
    title = f"{what}, {names}" + (", distorted" if render else "")
    threads = cores() * (_WAITING if is_address(photos.photos.folder) else 1)
    workers = max(1, min(threads, _MOST_INTERPRETERS // len(places)))

    def extractors() -> list[Callable[[Pixels], Vector]]:
        return [extractor for place in places for extractor in [place.extractor()] * len(variants)]

    def compute(
        group: list[tuple[HashedPhoto, list[Vector | None]]], tools: list[Callable[[Pixels], Vector]]
    ) -> list[tuple[bytes, list[Vector] | PhotoError]]:
        drawn = [_draw(photo, known, wanted, draw) for photo, known in group]
        vectors: list[list[Any]] = [list(known) for _, known in group]
        # Network by network: its weights stay in the processor's cache from one photo to the next.
        for column, (place, variant) in enumerate(wanted):
            for row, found in enumerate(drawn):
                if not isinstance(found, PhotoError) and (found.changed or vectors[row][column] is None):
                    vectors[row][column] = tools[column](found.pictures[place.size, variant])
        return [
            (photo.digest, found) if isinstance(found, PhotoError) else (found.digest, of_photo)
            for (photo, _), found, of_photo in zip(group, drawn, vectors, strict=True)
        ]

    made: list[list[Callable[[Pixels], Vector]]] = []  # interpreters serve all blocks
    with ExitStack() as stack:
        advance: Callable[[int], object] | None = None
        for start in range(0, len(photos), at_once):
            block = photos[start : start + at_once] if len(photos) > at_once else photos
            columns = [
                place.cache.get_many([place.key(digest.tobytes(), variant) for digest in block.digests])
                for place, variant in wanted
            ]
            known = list(zip(*columns, strict=True))
            missing = sorted({row for column in columns for row, vector in enumerate(column) if vector is None})
            if missing and advance is None:  # counted only where there are some: it takes seconds for a million
                later = photos.digests[start + at_once :]
                advance = stack.enter_context(
                    reporter.progress(title, len(missing) + _count_missing(later, wanted, at_once))
                )
            found: list[Any] = known
            changed: dict[int, bytes] = {}
            together = max(1, min(_TOGETHER if len(places) > 1 else 1, len(missing) // (4 * workers)))
            items = [(block[row], list(known[row])) for row in missing]
            computed = run_shares(items, extractors, compute, workers=workers, tools=made, at_once=together)
            for row, ((photo, before), (digest, vectors)) in zip(missing, computed, strict=True):
                if digest != photo.digest:
                    changed[row] = digest
                if not isinstance(vectors, PhotoError):
                    for (place, variant), old, vector in zip(wanted, before, vectors, strict=True):
                        if old is None or digest != photo.digest:
                            place.cache.put(place.key(digest, variant), vector)
                found[row] = vectors
                if advance is not None:
                    advance(1)
            yield Block(block, found, changed)
    for place in places:
        for damage in place.cache.take_damage():
            reporter.warn(damage)


@dataclass(frozen=True)
class _Drawn:
    """A photo that was read.

    Attributes:
        digest: of what was read.
        changed: whether that is another than it was hashed with.
        pictures: for each (height, width) and variant that is wanted.
    """

    digest: bytes
    changed: bool
    pictures: dict[tuple[tuple[int, int], str], Pixels]


def _draw(
    photo: HashedPhoto, known: Sequence[Vector | None], wanted: Sequence[tuple[VectorSource, str]], draw: Render
) -> _Drawn | PhotoError:
    """Read a photo and draw what is wanted of it and not known."""
    # The bytes that are hashed are the bytes that are decoded: a file may be replaced at any moment.
    try:
        contents = read_contents(photo.photo)
        image = read_photo(contents, name=str(photo.photo.path))
    except PhotoError as error:
        return error
    digest = hashlib.sha256(contents).digest()
    changed = digest != photo.digest
    pictures: dict[tuple[tuple[int, int], str], Pixels] = {}
    for (place, variant), vector in zip(wanted, known, strict=True):
        if (changed or vector is None) and (place.size, variant) not in pictures:
            pictures[place.size, variant] = draw(image, place.size, variant, digest)
    return _Drawn(digest, changed, pictures)


def _count_missing(digests: Digest, wanted: Sequence[tuple[VectorSource, str]], at_once: int) -> int:
    """Photos that have to be decoded, about: at least those that lack the first vector."""
    place, variant = wanted[0]
    return sum(
        len(place.cache.missing([place.key(digest.tobytes(), variant) for digest in part]))
        for part in (digests[start : start + at_once] for start in range(0, len(digests), at_once))
    )


class Extractor:
    """A backbone, or the layers of one below a cut, in an interpreter of its own, for one thread.

    Attributes:
        shape: of what it gives.
    """

    def __init__(self, model: ModelSource) -> None:
        self._session = Session(model)
        (pixels,), (output,) = self._session.inputs, self._session.outputs
        self.shape = output.shape[1:]
        # Ours and not the interpreter's own: it refuses to run while anyone holds a view of its memory, and a profiler
        # (each Dask worker has one) holds the frames it looks at with all that is in them.
        self._pixels = np.empty(pixels.shape, np.float32)
        self._normalise = normaliser(BACKBONE)

    def __call__(self, pixels: Pixels) -> Vector:
        """Pixels (uint8 [height, width, 3]) -> bottleneck (float32 [bottleneck_size]), or activations below the cut."""
        self._normalise(pixels, self._pixels[0])
        return np.asarray(self._session.run(self._pixels)[0], np.float32)
