"""Image statistics (size, brightness, colorfulness, sharpness and a gray thumbnail), cached by the photo's digest.

The statistics occupy about 1 kB per photo, so those of 100,000 photos fit into memory. Near-duplicates
and outliers are detected from statistics and bottlenecks, without decoding the photos again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from poets_edge.core.parallel import run_parallel
from poets_edge.errors import PhotoError
from poets_edge.photos.image import PREPROCESSING, photo_size, read_photo
from poets_edge.photos.open_photo import read_contents
from poets_edge.progress import Reporter
from poets_edge.training.bottleneck_cache import BottleneckCache, Vector, cache_key
from poets_edge.training.bottlenecks import HashedPhoto
from poets_edge.training.vectors import Vectors

SIDE = 32
"""Width and height of a thumbnail, in pixels."""

CACHE_FILE = "looks.sqlite"
"""Name of the cache file for image statistics, in the bottleneck folder."""

_VARIANT = f"look-1 {PREPROCESSING}"
"""Version of the statistics, which is part of the cache keys. It must be changed whenever the computation changes."""
_SCALARS = 7
_SHARPNESS_SIDE = 192
_FILL_GRAYS = (126, 130)
"""Minimum and maximum value of the gray pixels with which decoders fill the missing part of a truncated JPEG."""


@dataclass(frozen=True, kw_only=True)
class ImageStats:
    """Statistics of one photo.

    Attributes:
        width, height: size of the image in the file, pixels.
        brightness: mean gray value, 0 to 255.
        contrast: standard deviation of the gray values, 0 to 127.5.
        colorfulness: mean difference between a pixel's largest and smallest channel, 0 to 255.
        sharpness: mean absolute Laplacian at 192 x 192 pixels, divided by the contrast plus 1.
        truncated_fraction: fraction of the rows that form a uniform mid-gray area at the bottom edge, 0 to 1.
        thumbnail: gray values, uint8 [32, 32].
    """

    width: int
    height: int
    brightness: float
    contrast: float
    colorfulness: float
    sharpness: float
    truncated_fraction: float
    thumbnail: npt.NDArray[np.uint8]


class PackedThumbnails:
    """Thumbnails packed into a table of float32 vectors, one per photo; indexing with row numbers unpacks them.

    The result of indexing is uint8 [rows, 32, 32].
    """

    def __init__(self, packed: Vectors) -> None:
        """Store a table of thumbnails, float32 [photos, 256]; each value consists of the bytes of four pixels."""
        self._packed = packed

    def __getitem__(self, rows: Any) -> npt.NDArray[np.uint8]:
        return self._packed[rows].view(np.uint8).reshape(-1, SIDE, SIDE)


Thumbnails: TypeAlias = "PackedThumbnails | npt.NDArray[np.uint8]"


def read_stats(
    photos: Sequence[HashedPhoto], cache: BottleneckCache, reporter: Reporter
) -> Iterator[tuple[HashedPhoto, ImageStats | PhotoError]]:
    """Yield each photo with its statistics, cached or newly computed, in the order of the photos.

    If a photo cannot be read or has changed since it was hashed, a PhotoError is yielded in place of its statistics.

    Raises:
        OutputError: the cache cannot be written.
    """
    known = [cache.get(cache_key(photo.digest, _VARIANT)) for photo in photos]
    missing = [photo for photo, packed in zip(photos, known, strict=True) if packed is None]
    with reporter.progress("computing image statistics", len(missing)) as advance:
        computed = run_parallel(missing, lambda: None, lambda photo, _: _read_one(photo))
        for photo, packed in zip(photos, known, strict=True):
            if packed is not None:
                yield photo, _unpack(packed)
                continue
            _, stats = next(computed)
            if not isinstance(stats, PhotoError):
                cache.put(cache_key(photo.digest, _VARIANT), _pack(stats))
            advance(1)
            yield photo, stats


def _read_one(photo: HashedPhoto) -> ImageStats | PhotoError:
    path = photo.photo.path
    try:
        data = read_contents(photo.photo)
        if hashlib.sha256(data).digest() != photo.digest:
            return PhotoError(f"{path}: changed while it was read. Run again.")
        return compute_stats(read_photo(data), *photo_size(data))
    except PhotoError as error:
        return PhotoError(str(error).replace("picture:", f"{path}:", 1))
    except OSError as error:
        return PhotoError(f"{path}: {error.strerror or error}.")


def compute_stats(image: Image.Image, width: int, height: int) -> ImageStats:
    """Compute the statistics of an upright RGB image.

    Args:
        width, height: size of the image in the file, pixels.
    """
    small = np.asarray(image.resize((_SHARPNESS_SIDE, _SHARPNESS_SIDE), Image.Resampling.BILINEAR))
    gray = small.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
    contrast = float(gray.std())
    inner = gray[1:-1, 1:-1]
    laplacian = 4 * inner - gray[:-2, 1:-1] - gray[2:, 1:-1] - gray[1:-1, :-2] - gray[1:-1, 2:]
    thumbnail = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return ImageStats(
        width=width,
        height=height,
        brightness=float(gray.mean()),
        contrast=contrast,
        colorfulness=float((small.max(axis=2).astype(np.int16) - small.min(axis=2)).mean()),
        sharpness=float(np.abs(laplacian).mean()) / (contrast + 1.0),
        truncated_fraction=_truncated_fraction(small),
        thumbnail=thumbnail,
    )


def _truncated_fraction(pixels: npt.NDArray[np.uint8]) -> float:
    low, high = _FILL_GRAYS
    filled = np.asarray(((pixels >= low) & (pixels <= high)).all(axis=(1, 2)))[::-1]
    return float(len(filled) if filled.all() else filled.argmin()) / len(filled)


def _pack(stats: ImageStats) -> Vector:
    """Return statistics as a vector for the cache, float32 [263]."""
    scalars = (
        stats.width, stats.height, stats.brightness, stats.contrast, stats.colorfulness, stats.sharpness,
        stats.truncated_fraction,
    )  # fmt: skip
    return np.frombuffer(np.array(scalars, np.float32).tobytes() + stats.thumbnail.tobytes(), np.float32)


def _unpack(packed: Vector) -> ImageStats:
    """Return the statistics that `_pack` stored in a vector."""
    width, height, brightness, contrast, colorfulness, sharpness, truncated = map(float, packed[:_SCALARS])
    return ImageStats(
        width=int(width),
        height=int(height),
        brightness=brightness,
        contrast=contrast,
        colorfulness=colorfulness,
        sharpness=sharpness,
        truncated_fraction=truncated,
        thumbnail=packed[_SCALARS:].view(np.uint8).reshape(SIDE, SIDE),
    )
