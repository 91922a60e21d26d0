"""Distorted variants of training photos (data augmentation): cropped, scaled, mirrored, brighter or darker.

TensorFlow's `retrain.py` distorted photos again at every step, which made training hundreds of times slower. Here each
photo has a fixed number of distorted variants, whose bottlenecks are computed once and cached. A variant depends only
on the photo's contents, the settings and the variant's number, so later runs find its bottleneck in the cache, even
with another seed.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from poets_edge.core.arguments import check_fields
from poets_edge.errors import UsageError
from poets_edge.photos.image import Pixels, fit

DEFAULT_VARIANTS = 8


@dataclass(frozen=True, kw_only=True)
class Distortions:
    """Distortion flags, as in TensorFlow's `retrain.py`, and the number of distorted variants.

    Attributes:
        flip_left_right: whether to mirror half of the distorted photos, chosen at random.
        random_crop: maximum margin to cut off before scaling, in percent.
        random_scale: maximum enlargement, in percent.
        random_brightness: maximum increase or decrease of the pixel values, in percent.
        variants: number of distorted copies of each photo; None for the default, which is 8 for a head and larger for
            fine-tuning.
    """

    flip_left_right: bool = False
    random_crop: int = 0
    random_scale: int = 0
    random_brightness: int = 0
    variants: int | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("random_crop", "random_scale", "random_brightness"):
            if not 0 <= getattr(self, name) <= 100:
                raise UsageError(f"`{name}` is a percentage between 0 and 100, not {getattr(self, name)}.")
        if self.variants is not None and self.variants < 1:
            raise UsageError(f"`variants` must be 1 or more, not {self.variants}.")

    @property
    def active(self) -> bool:
        """Whether at least one distortion is enabled."""
        return self.flip_left_right or any((self.random_crop, self.random_scale, self.random_brightness))

    def names(self) -> list[str]:
        """Return the names of the distorted copies of a photo, which are the same for all photos.

        A name contains the settings and the number of the copy, and is part of the key of the cached vector.
        """
        settings = {name: value for name, value in asdict(self).items() if name != "variants"}
        return [
            f"distorted-1 {sorted(settings.items())} {number}" for number in range(self.variants or DEFAULT_VARIANTS)
        ]


def distort(image: Image.Image, size: tuple[int, int], settings: Distortions, name: str, photo_digest: bytes) -> Pixels:
    """Return one randomly distorted copy of a photo at the model's input size.

    In TensorFlow's `retrain.py` (add_input_distortions), the image is enlarged by (1 + crop) * uniform(1, 1 + scale),
    and a window of the model's size is cut out at random. Here that window is cut from the photo and resized once.

    Args:
        image: RGB image.
        size: (height, width) of the result in pixels.
        settings: the distortions.
        name: one of `settings.names()`, which determines the random numbers together with `photo_digest`.
        photo_digest: SHA-256 of the photo's bytes.

    Returns:
        uint8 [height, width, 3].
    """
    seed = hashlib.sha256(photo_digest + name.encode()).digest()
    rng = np.random.default_rng(int.from_bytes(seed[:8], "big"))
    enlarged = (1 + settings.random_crop / 100) * rng.uniform(1.0, 1 + settings.random_scale / 100)
    width, height = image.width / enlarged, image.height / enlarged
    left, top = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
    pixels = fit(image, size, (left, top, left + width, top + height))
    if settings.flip_left_right and rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if settings.random_brightness:
        change = settings.random_brightness / 100
        factor = rng.uniform(1 - change, 1 + change)
        pixels = np.clip(np.rint(pixels * factor), 0, 255).astype(np.uint8)
    return pixels
