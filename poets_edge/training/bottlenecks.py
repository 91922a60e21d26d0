"""Photos -> bottleneck vectors, from the cache where they are known, else computed on all cores."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from poets_edge.edge.image import PREPROCESSING, Pixels, fit, normaliser, read_photo
from poets_edge.edge.interpreter import open_model
from poets_edge.edge.parallel import run_parallel
from poets_edge.errors import PhotoError
from poets_edge.photos.folder import Photo
from poets_edge.reporting import Reporter
from poets_edge.training.backbone import Backbone
from poets_edge.training.cache import BottleneckCache, Vector, cache_key

PLAIN = ""
"""The variant that is the photo itself, undistorted."""


@dataclass(frozen=True)
class HashedPhoto:
    """A photo and the SHA-256 of its bytes."""

    photo: Photo
    digest: bytes


Render = Callable[[Image.Image, str, bytes], Pixels]
"""(picture, variant, photo digest) -> uint8 pixels at the backbone's size."""


def hash_photos(photos: Sequence[Photo]) -> list[HashedPhoto | PhotoError]:
    """The digest of each photo, or why its file cannot be read, in order."""

    def digest(photo: Photo, _: None) -> HashedPhoto | PhotoError:
        try:
            return HashedPhoto(photo, hashlib.sha256(photo.path.read_bytes()).digest())
        except OSError as error:
            return PhotoError(f"{photo.path}: {error.strerror or error}.")

    return [result for _, result in run_parallel(photos, lambda: None, digest)]


def bottlenecks(
    photos: Sequence[HashedPhoto],
    backbone: Backbone,
    cache: BottleneckCache,
    reporter: Reporter,
    variants: Sequence[str] = (PLAIN,),
    render: Render | None = None,
) -> Iterator[tuple[HashedPhoto, list[Vector] | PhotoError]]:
    """The vectors of each photo, one a variant, or why it cannot be decoded, in order.

    Each is stored in the cache before it is given. A photo is decoded once for all its variants.

    Args:
        render: draws a variant; by default the whole picture, resized.

    Raises:
        OutputError: the cache cannot be written; what is in it stays.
    """
    draw = render or (lambda image, variant, digest: fit(image, backbone.architecture.size))
    known = {photo: [cache.get(_key(photo, variant)) for variant in variants] for photo in photos}
    missing = [photo for photo, vectors in known.items() if any(vector is None for vector in vectors)]

    def compute(photo: HashedPhoto, extract: Extractor) -> list[Vector] | PhotoError:
        try:
            image = read_photo(photo.photo.path)
        except PhotoError as error:
            return error
        return [
            extract(draw(image, variant, photo.digest)) if vector is None else vector
            for variant, vector in zip(variants, known[photo], strict=True)
        ]

    what = f"bottlenecks, {backbone.architecture.backbone}" + (", distorted" if render else "")
    with reporter.progress(what, len(missing)) as advance:
        computed = run_parallel(missing, lambda: Extractor(backbone), compute)
        for photo in photos:
            cached = [vector for vector in known[photo] if vector is not None]
            if len(cached) == len(variants):
                yield photo, cached
                continue
            _, result = next(computed)
            if not isinstance(result, PhotoError):
                for variant, before, vector in zip(variants, known[photo], result, strict=True):
                    if before is None:
                        cache.put(_key(photo, variant), vector)
            advance(1)
            yield photo, result


class Extractor:
    """A backbone in an interpreter of its own, for one thread."""

    def __init__(self, backbone: Backbone) -> None:
        self._interpreter = open_model(backbone.model)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._normalise = normaliser((backbone.architecture.mean,), (backbone.architecture.std,))

    def __call__(self, pixels: Pixels) -> Vector:
        """Pixels (uint8 [height, width, 3]) -> bottleneck (float32 [bottleneck_size])."""
        self._normalise(pixels, self._interpreter.tensor(self._input)()[0])
        self._interpreter.invoke()
        return np.array(self._interpreter.tensor(self._output)()[0], np.float32)


def _key(photo: HashedPhoto, variant: str) -> bytes:
    return cache_key(photo.digest, f"{PREPROCESSING} {variant}")
