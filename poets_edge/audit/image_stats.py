"""Photo -> its look: size, brightness, colour, sharpness and a thumbnail in gray, cached by the photo's content.

A look is about a kilobyte, so those of 100,000 photos fit into memory; near-duplicates and odd photos are found from
looks and bottlenecks, without decoding a photo again.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from poets_edge.core.parallel import run_parallel
from poets_edge.errors import PhotoError
from poets_edge.photos.folder import read_contents
from poets_edge.photos.image import PREPROCESSING, read_photo
from poets_edge.progress import Reporter
from poets_edge.train.bottleneck_cache import BottleneckCache, Vector, cache_key
from poets_edge.train.bottlenecks import HashedPhoto
from poets_edge.train.vectors import Vectors

SIDE = 32
"""Pixels, of the thumbnail's width and height."""

CACHE_FILE = "looks.sqlite"

# Raise when a look of the same photo comes out differently.
_VARIANT = f"look-1 {PREPROCESSING}"
_FACTS = 7
_SHARPNESS_SIDE = 192
_UNSENT = (126, 130)
"""The colour that decoders fill in where a JPEG's data are missing: mid-gray."""


@dataclass(frozen=True)
class Look:
    """How a photo looks.

    Attributes:
        width, height: of the file, pixels.
        brightness: mean of gray, 0 to 255.
        contrast: standard deviation of gray.
        colour: mean distance between a pixel's largest and smallest channel, 0 to 255.
        sharpness: mean absolute Laplacian at 192 x 192 pixels, in standard deviations of gray.
        unsent: share of the rows, from below, that are mid-gray throughout.
        thumbnail: gray, uint8 [32, 32].
    """

    width: int
    height: int
    brightness: float
    contrast: float
    colour: float
    sharpness: float
    unsent: float
    thumbnail: npt.NDArray[np.uint8]


class Thumbnails:
    """Thumbnails of many photos, which lie where vectors do: `table[rows]` gives them as uint8 [rows, 32, 32]."""

    def __init__(self, packed: Vectors) -> None:
        """Args: packed: the bytes of each, float32 [photos, 256]."""
        self._packed = packed

    def __getitem__(self, rows: Any) -> npt.NDArray[np.uint8]:
        return self._packed[rows].view(np.uint8).reshape(-1, SIDE, SIDE)


Pictures: TypeAlias = "Thumbnails | npt.NDArray[np.uint8]"


def looks(
    photos: Sequence[HashedPhoto], cache: BottleneckCache, reporter: Reporter
) -> Iterator[tuple[HashedPhoto, Look | PhotoError]]:
    """The look of each photo, from the cache where it is known, in order.

    A photo that has changed since it was hashed is a PhotoError.

    Raises:
        OutputError: the cache cannot be written.
    """
    known = [cache.get(cache_key(photo.digest, _VARIANT)) for photo in photos]
    missing = [photo for photo, packed in zip(photos, known, strict=True) if packed is None]
    with reporter.progress("looking at photos", len(missing)) as advance:
        computed = run_parallel(missing, lambda: None, lambda photo, _: _look_at(photo))
        for photo, packed in zip(photos, known, strict=True):
            if packed is not None:
                yield photo, _unpack(packed)
                continue
            _, found = next(computed)
            if not isinstance(found, PhotoError):
                cache.put(cache_key(photo.digest, _VARIANT), _pack(found))
            advance(1)
            yield photo, found


def _look_at(photo: HashedPhoto) -> Look | PhotoError:
    path = photo.photo.path
    try:
        data = read_contents(photo.photo)
        if hashlib.sha256(data).digest() != photo.digest:
            return PhotoError(f"{path}: changed while it was looked at. Run again.")
        with Image.open(io.BytesIO(data)) as header:
            width, height = header.size
        return look_of(read_photo(data), width, height)
    except PhotoError as error:
        return PhotoError(str(error).replace("picture:", f"{path}:", 1))
    except OSError as error:
        return PhotoError(f"{path}: {error.strerror or error}.")


def look_of(image: Image.Image, width: int, height: int) -> Look:
    """The look of an upright RGB picture whose file has this size."""
    small = np.asarray(image.resize((_SHARPNESS_SIDE, _SHARPNESS_SIDE), Image.Resampling.BILINEAR))
    gray = small.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
    contrast = float(gray.std())
    inner = gray[1:-1, 1:-1]
    laplacian = 4 * inner - gray[:-2, 1:-1] - gray[2:, 1:-1] - gray[1:-1, :-2] - gray[1:-1, 2:]
    thumbnail = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return Look(
        width,
        height,
        float(gray.mean()),
        contrast,
        float((small.max(axis=2).astype(np.int16) - small.min(axis=2)).mean()),
        float(np.abs(laplacian).mean()) / (contrast + 1.0),
        _unsent_share(small),
        thumbnail,
    )


def _unsent_share(pixels: npt.NDArray[np.uint8]) -> float:
    low, high = _UNSENT
    flat = np.asarray(((pixels >= low) & (pixels <= high)).all(axis=(1, 2)))[::-1]
    return float(len(flat) if flat.all() else flat.argmin()) / len(flat)


def _pack(look: Look) -> Vector:
    facts = [look.width, look.height, look.brightness, look.contrast, look.colour, look.sharpness, look.unsent]
    return np.frombuffer(np.array(facts, np.float32).tobytes() + look.thumbnail.tobytes(), np.float32)


def _unpack(packed: Vector) -> Look:
    width, height, brightness, contrast, colour, sharpness, unsent = (float(value) for value in packed[:_FACTS])
    thumbnail = packed[_FACTS:].view(np.uint8).reshape(SIDE, SIDE)
    return Look(int(width), int(height), brightness, contrast, colour, sharpness, unsent, thumbnail)
