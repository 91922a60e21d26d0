"""The int8 backbone of an exported model: its network up to the last layer, as a cached source of vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poets_edge.errors import ModelError
from poets_edge.photos.image import PREPROCESSING, Pixels
from poets_edge.tflite.session import Session
from poets_edge.training.bottleneck_cache import BottleneckCache, Vector, cache_key


@dataclass(frozen=True, kw_only=True)
class Int8Backbone:
    """A `VectorSource` of int8 features, computed once for each photo.

    Attributes:
        model: `.tflite` file that ends before the last layer.
        sha256: checksum of the model, hexadecimal.
        name: shown on a progress bar.
        size: (height, width) of the input, pixels.
        cache: stores the features.
    """

    model: Path
    sha256: str
    name: str
    size: tuple[int, int]
    cache: BottleneckCache

    def key(self, digest: bytes, variant: str) -> bytes:
        """Return the cache key of a photo's features; it depends on the model, because calibrations differ."""
        return int8_vector_key(digest, self.sha256)

    def extractor(self) -> Callable[[Pixels], Vector]:
        """Return a function for one thread: uint8 [height, width, 3] -> features, float32 [bottleneck_size].

        Raises:
            ModelError: the model's input is not uint8.
        """
        session = Session(self.model)
        pixels, features = session.inputs[0], session.outputs[0]
        if pixels.dtype != np.uint8:
            raise ModelError(f"{self.model}: takes {pixels.dtype}, where pixels were expected.")
        return lambda picture: features.dequantize(session.run(picture[None])[0])


def int8_vector_key(photo_digest: bytes, model_sha256: str) -> bytes:
    """Return the cache key of a photo's int8 features."""
    return cache_key(photo_digest, f"{PREPROCESSING} int8 {model_sha256}")
