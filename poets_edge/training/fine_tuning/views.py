"""Views: randomly distorted variants of photos for fine-tuning.

A head gains little from distorted photos, but the final blocks overfit small sets, such as 800 photos, without
distortion. By default, a view is a random part of the photo (35 to 100 % of its area, with an aspect ratio that differs
from the photo's by a factor of up to 4/3), mirrored or not (Szegedy et al., "Going Deeper with Convolutions", 2014,
section 6). If the distortion flags of TensorFlow's `retrain.py` are given, they determine the views instead.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from poets_edge.photos.image import Pixels, fit
from poets_edge.training.bottlenecks import PLAIN
from poets_edge.training.distort import Distortions, distort

_MIN_AREA = 0.35
_MAX_ASPECT = 4 / 3
_ATTEMPTS = 10
_CROP = "crop-1"
"""Base name of the views from `_crop`; increase the number in it when a code change alters their pixels."""
_MIRRORED = "mirrored-1"
"""Name of the view that is the whole photo, resized and mirrored."""


@dataclass(frozen=True)
class Views:
    """Augmented versions of the training photos, called views: their names, and how they are rendered.

    Attributes:
        distortions: distortions that the user requested, with the flags of TensorFlow's `retrain.py`; if there are
            none, views are cropped and mirrored.
        count: number of views per photo.
    """

    distortions: Distortions
    count: int

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the views (distorted versions) of a photo. The pixels depend only on the name and the photo."""
        if self.distortions.active:
            return tuple(replace(self.distortions, variants=self.count).names())
        return tuple(f"{_CROP} {number}" for number in range(self.count))

    @property
    def whole(self) -> tuple[str, ...]:
        """Names of the versions that show the whole photo: PLAIN, and _MIRRORED if mirroring is a distortion."""
        mirrored = not self.distortions.active or self.distortions.flip_left_right
        return (PLAIN, _MIRRORED) if mirrored else (PLAIN,)

    def render(self, image: Image.Image, size: tuple[int, int], name: str, photo_digest: bytes) -> Pixels:
        """Return the pixels of a distorted version of a photo, uint8 [height, width, 3].

        Args:
            image: the whole photo, RGB.
            size: (height, width) of the result in pixels.
            name: one of `names` or `whole`; for PLAIN, the whole photo is resized without distortion.
            photo_digest: SHA-256 of the photo's bytes, which seeds the random numbers together with `name`.
        """
        if name == PLAIN:
            return fit(image, size)
        if name == _MIRRORED:
            return fit(image, size)[:, ::-1]
        if self.distortions.active:
            return distort(image, size, self.distortions, name, photo_digest)
        return _crop(image, size, name, photo_digest)


def _crop(image: Image.Image, size: tuple[int, int], name: str, photo_digest: bytes) -> Pixels:
    seed = hashlib.sha256(photo_digest + name.encode()).digest()
    rng = np.random.default_rng(int.from_bytes(seed[:8], "big"))
    pixels = fit(image, size, _window(image.width, image.height, rng))
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def _window(width: int, height: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Return a random crop window (left, top, right, bottom); the whole image if no random window fits into it."""
    for _ in range(_ATTEMPTS):
        area = rng.uniform(_MIN_AREA, 1.0)
        stretch = math.sqrt(math.exp(rng.uniform(-math.log(_MAX_ASPECT), math.log(_MAX_ASPECT))))
        wide, high = math.sqrt(area) * stretch * width, math.sqrt(area) / stretch * height
        if wide <= width and high <= height:
            left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
            return left, top, left + wide, top + high
    return 0.0, 0.0, float(width), float(height)
