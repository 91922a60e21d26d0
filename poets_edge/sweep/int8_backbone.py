"""Compute and cache the features from an exported int8 model without its last layer (the int8 backbone)."""

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
    """The int8 model of an architecture without its last layer, used to compute features of photos.

    It implements the protocol `VectorSource`, from which caches of features are filled.

    Attributes:
        model: `.tflite` file without the last layer.
        sha256: SHA-256 of the model, hexadecimal.
        name: text to show in progress bars.
        size: (height, width) of the input, pixels.
        cache: file with the features that have been computed.
    """

    model: Path
    sha256: str
    name: str
    size: tuple[int, int]
    cache: BottleneckCache

    def key(self, digest: bytes, variant: str) -> bytes:
        """Return the cache key of a photo's features.

        It includes the model's checksum, because int8 models of one architecture differ if they were calibrated
        differently.
        """
        return int8_vector_key(digest, self.sha256)

    def extractor(self) -> Callable[[Pixels], Vector]:
        """Return a function that computes features, float32 [bottleneck_size], from pixels, uint8 [height, width, 3].

        The returned function must be called from one thread only.

        Raises:
            ModelError: the model's input is not uint8.
        """
        session = Session(self.model)
        pixels, features = session.inputs[0], session.outputs[0]
        if pixels.dtype != np.uint8:
            raise ModelError(f"{self.model}: takes {pixels.dtype}, where pixels were expected.")
        return lambda image: features.dequantize(session.run(image[None])[0])


def int8_vector_key(photo_digest: bytes, model_sha256: str) -> bytes:
    """Return the cache key for the int8 features of a photo, given the SHA-256 of the photo and of the int8 model."""
    return cache_key(photo_digest, f"{PREPROCESSING} int8 {model_sha256}")
