"""The distorted copies of a photo that fine-tuning learns from: its *views*.

A head alone learns little from distorted photos, the last blocks much: without them 800 photos are learned by heart.
So views are drawn by default here: a random part of the photo (35 to 100 % of its area, its sides up to 4:3 apart from
the photo's own), mirrored or not; Szegedy et al., "Going Deeper with Convolutions", 2014, section 6, is where this
comes from. Where the flags of `retrain.py` ask for distortions, views are drawn by those instead.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from poets_edge.photos.image import Pixels, fit
from poets_edge.train.bottlenecks import PLAIN
from poets_edge.train.distort import Distortions, distort

DEFAULT_VIEWS = 30

_LEAST_AREA = 0.35
_MOST_ASPECT = 4 / 3
_ATTEMPTS = 10
_CROP = "crop-1"
"""Names what `_crop` does; raise its number when that changes."""
_MIRRORED = "mirrored-1"
"""Names the whole photo, resized and mirrored."""


@dataclass(frozen=True)
class Views:
    """The views of a photo.

    Attributes:
        distortions: those of `retrain.py`'s flags; where none is asked for, crops and mirroring.
        count: how many a photo.
    """

    distortions: Distortions
    count: int

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each, from which and the photo's content alone follows what it looks like."""
        if self.distortions.active:
            return tuple(replace(self.distortions, variants=self.count).names())
        return tuple(f"{_CROP} {number}" for number in range(self.count))

    @property
    def whole(self) -> tuple[str, ...]:
        """Names of the views that show all of the photo; mirrored too, unless other distortions are asked for."""
        mirrored = not self.distortions.active or self.distortions.flip_left_right
        return (PLAIN, _MIRRORED) if mirrored else (PLAIN,)

    def render(self, image: Image.Image, size: tuple[int, int], name: str, photo_digest: bytes) -> Pixels:
        """Draw one, uint8 [height, width, 3]; PLAIN is the photo itself, resized."""
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
    """(left, top, right, bottom); the whole picture where no window was found in a few attempts."""
    for _ in range(_ATTEMPTS):
        area = rng.uniform(_LEAST_AREA, 1.0)
        stretch = math.sqrt(math.exp(rng.uniform(-math.log(_MOST_ASPECT), math.log(_MOST_ASPECT))))
        wide, high = math.sqrt(area) * stretch * width, math.sqrt(area) / stretch * height
        if wide <= width and high <= height:
            left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
            return left, top, left + wide, top + high
    return 0.0, 0.0, float(width), float(height)
