"""Photos -> bottleneck vectors, from the cache where they are known, else computed on all cores."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from poets_edge.edge.image import PREPROCESSING, Pixels, fit, normaliser, read_photo
from poets_edge.edge.interpreter import open_model
from poets_edge.edge.model_file import ModelSource
from poets_edge.edge.normalization import BACKBONE
from poets_edge.edge.parallel import cores, run_parallel
from poets_edge.errors import PhotoError
from poets_edge.photos.digests import open_digests
from poets_edge.photos.folder import Photo, read_contents
from poets_edge.progress import Reporter
from poets_edge.training.backbone import Backbone
from poets_edge.training.cache import BottleneckCache, Vector, cache_key

_MOST_INTERPRETERS = 256
"""Over all threads: each holds its model's weights, 17 MB for the largest MobileNet."""

PLAIN = ""
"""The variant that is the photo itself, undistorted."""


@dataclass(frozen=True)
class HashedPhoto:
    """A photo and the SHA-256 of its bytes."""

    photo: Photo
    digest: bytes


Render = Callable[[Image.Image, tuple[int, int], str, bytes], Pixels]
"""(picture, (height, width), variant, photo digest) -> uint8 pixels of that size."""


def vector_key(photo: HashedPhoto, variant: str = PLAIN) -> bytes:
    """Key of a photo's bottleneck in its backbone's cache."""
    return cache_key(photo.digest, f"{PREPROCESSING} {variant}")


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

    def key(self, photo: HashedPhoto, variant: str) -> bytes:
        """Names everything that a photo's vector follows from, within its cache."""

    def extractor(self) -> Callable[[Pixels], Vector]:
        """The function, for one thread."""


@dataclass(frozen=True)
class Place:
    """A backbone, and the cache that keeps its vectors."""

    backbone: Backbone
    cache: BottleneckCache

    @property
    def name(self) -> str:
        return self.backbone.architecture.backbone

    @property
    def size(self) -> tuple[int, int]:
        return self.backbone.architecture.size

    def key(self, photo: HashedPhoto, variant: str) -> bytes:
        return vector_key(photo, variant)

    def extractor(self) -> Extractor:
        return Extractor(self.backbone.model)


def hash_photos(
    photos: Sequence[Photo], bottleneck_dir: Path | None = None, *, rehash: bool = False
) -> list[HashedPhoto | PhotoError]:
    """The digest of each photo, or why its file cannot be read, in order.

    Args:
        bottleneck_dir: keeps the digests, so that a photo that has not changed since is not read again.
        rehash: read them all, and keep what is found.
    """
    with open_digests(bottleneck_dir, rehash=rehash) as known:
        kept = [known.find(photo.path) for photo in photos]
        unknown = [photo for photo, digest in zip(photos, kept, strict=True) if digest is None]
        hashed = run_parallel(unknown, lambda: None, _hash)
        found: list[HashedPhoto | PhotoError] = []
        for photo, digest in zip(photos, kept, strict=True):
            if digest is None:
                _, (result, seen, at) = next(hashed)
                if isinstance(result, HashedPhoto) and seen is not None:
                    known.keep(photo.path, seen, at, result.digest)
                found.append(result)
            else:
                found.append(HashedPhoto(photo, digest))
    return found


def _hash(photo: Photo, _: None) -> tuple[HashedPhoto | PhotoError, os.stat_result | None, float]:
    """With what the file system said of the file before it was read, and when."""
    at, seen = time.time(), None
    try:
        with contextlib.suppress(OSError):  # what is wrong with it shows when it is read
            seen = photo.path.stat()
        return HashedPhoto(photo, hashlib.sha256(read_contents(photo)).digest()), seen, at
    except PhotoError as error:
        return error, None, at


def bottlenecks(
    photos: Sequence[HashedPhoto],
    places: Sequence[VectorSource],
    reporter: Reporter,
    variants: Sequence[str] = (PLAIN,),
    render: Render | None = None,
    what: str = "bottlenecks",
) -> Iterator[tuple[HashedPhoto, list[Vector] | PhotoError]]:
    """The vectors of each photo, place by place and in each one a variant, or why it cannot be decoded, in order.

    Each is stored in its cache before it is given. A photo is decoded once for all places and variants. Where its
    file has changed since it was hashed, what is there now counts: it comes back with its new digest, under which its
    vectors are stored.

    Args:
        render: draws a variant; by default the whole picture, resized.
        what: what to call the vectors on a progress bar.

    Raises:
        OutputError: a cache cannot be written; what is in it stays.
    """
    draw = render or (lambda image, size, variant, digest: fit(image, size))
    wanted = [(number, variant) for number in range(len(places)) for variant in variants]
    known = {
        photo: [places[number].cache.get(places[number].key(photo, variant)) for number, variant in wanted]
        for photo in photos
    }
    missing = [photo for photo, vectors in known.items() if any(vector is None for vector in vectors)]

    def compute(
        photo: HashedPhoto, extractors: list[Callable[[Pixels], Vector]]
    ) -> tuple[HashedPhoto, list[Vector] | PhotoError]:
        # The bytes that are hashed are the bytes that are decoded: a file may be replaced at any moment.
        try:
            contents = read_contents(photo.photo)
            image = read_photo(contents, name=str(photo.photo.path))
        except PhotoError as error:
            return photo, error
        found = HashedPhoto(photo.photo, hashlib.sha256(contents).digest())
        cached = known[photo] if found == photo else [None] * len(wanted)
        drawn: dict[tuple[tuple[int, int], str], Pixels] = {}
        vectors = []
        for (number, variant), vector in zip(wanted, cached, strict=True):
            if vector is None:
                size = places[number].size
                if (size, variant) not in drawn:
                    drawn[size, variant] = draw(image, size, variant, found.digest)
                vector = extractors[number](drawn[size, variant])
            vectors.append(vector)
        return found, vectors

    def extractors() -> list[Callable[[Pixels], Vector]]:
        return [place.extractor() for place in places]

    names = places[0].name if len(places) == 1 else f"{len(places)} architectures"
    title = f"{what}, {names}" + (", distorted" if render else "")
    workers = max(1, min(cores(), _MOST_INTERPRETERS // len(places)))
    with reporter.progress(title, len(missing)) as advance:
        computed = run_parallel(missing, extractors, compute, workers=workers)
        for photo in photos:
            cached = [vector for vector in known[photo] if vector is not None]
            if len(cached) == len(wanted):
                yield photo, cached
                continue
            _, (found, result) = next(computed)
            if not isinstance(result, PhotoError):
                for (number, variant), before, vector in zip(wanted, known[photo], result, strict=True):
                    if before is None or found != photo:
                        places[number].cache.put(places[number].key(found, variant), vector)
            advance(1)
            yield found, result
    for place in places:
        for damage in place.cache.take_damage():
            reporter.warn(damage)


class Extractor:
    """A backbone in an interpreter of its own, for one thread."""

    def __init__(self, model: ModelSource) -> None:
        self._interpreter = open_model(model)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._normalise = normaliser(BACKBONE)

    def __call__(self, pixels: Pixels) -> Vector:
        """Pixels (uint8 [height, width, 3]) -> bottleneck (float32 [bottleneck_size])."""
        self._normalise(pixels, self._interpreter.tensor(self._input)()[0])
        self._interpreter.invoke()
        return np.array(self._interpreter.tensor(self._output)()[0], np.float32)
