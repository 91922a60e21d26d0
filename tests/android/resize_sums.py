"""Print checksums of noise images of many sizes after resizing, for the ResamplerTest of the Android app.

The images are resized with `fit` and with `interpolate`. The output belongs in
android_demo/app/src/test/resources/resize.txt.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from poets_edge.photos.image import fit
from poets_edge.photos.interpolation import interpolate

_SIDES = (1, 2, 3, 5, 16, 61, 128, 161)
"""Widths and heights of the noise images, in pixels; all pairs are combined with all target sizes."""
_TARGETS = ((1, 1), (7, 32), (128, 128), (160, 61))


def lines() -> Iterator[str]:
    """Return lines of WIDTH HEIGHT NEW_WIDTH NEW_HEIGHT CHECKSUM CHECKSUM, one per case.

    The first checksum is that of `fit`, the second that of `interpolate`.
    """
    for width in _SIDES:
        for height in _SIDES:
            for new_width, new_height in _TARGETS:
                image, size = Image.fromarray(noise(width, height)), (new_height, new_width)
                sums = [zlib.crc32(resize(image, size).tobytes()) for resize in (fit, interpolate)]
                yield f"{width} {height} {new_width} {new_height} {sums[0]:08x} {sums[1]:08x}\n"


def noise(width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return a noise image with full contrast from a linear congruential generator, uint8 [height, width, 3]."""
    state = width * 65536 + height
    values = []
    for _ in range(width * height):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(state >> 8)
    packed = np.array(values, np.uint32).reshape(height, width, 1)
    return (packed >> np.array([16, 8, 0], np.uint32) & 255).astype(np.uint8)


if __name__ == "__main__":
    print("".join(lines()), end="")
