"""Check and convert the photos and arrays that callers pass to a classifier."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from poets_edge.errors import UsageError, WrongTypeError
from poets_edge.photos.image import PhotoSource

PhotoInput: TypeAlias = "PhotoSource | os.PathLike[str] | npt.NDArray[np.uint8]"
"""Types of photos that a classifier accepts: path, bytes of a file, open binary file, PIL image, or RGB pixels as a
uint8 array [height, width, 3]."""

_MOST_MEGAPIXELS = 178
"""Maximum number of megapixels in an array. Pillow's limit for files is the same."""


def photo_source(photo: PhotoInput) -> PhotoSource:
    """Check a photo that a caller passed to a classifier, and convert it to a type that `read_photo` accepts.

    Raises:
        UsageError: an array does not have the shape [height, width, 3], or is too large.
        WrongTypeError: the photo has an unsupported type, or an array is not uint8.
    """
    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8:
            raise WrongTypeError(f"`photo` as an array must be of uint8, 0 to 255, not {photo.dtype}.")
        check_unmasked("photo", photo)
        if photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
            raise UsageError(f"`photo` as an array must have the shape [height, width, 3], not {list(photo.shape)}.")
        if (megapixels := photo.size / 3e6) > _MOST_MEGAPIXELS:
            raise UsageError(
                f"`photo` has {megapixels:,.0f} megapixels; {_MOST_MEGAPIXELS} are the most. Scale it down first."
            )
        return Image.fromarray(photo)
    if isinstance(photo, os.PathLike):
        return Path(photo)
    if isinstance(photo, (str, bytes, Image.Image)) or hasattr(photo, "read"):
        return photo
    raise WrongTypeError(f"`photo` must be a path, bytes, an open file, a PIL image or an array, not {type_of(photo)}.")


def check_unmasked(name: str, pixels: npt.NDArray[Any]) -> None:
    """Raise WrongTypeError for a masked array, whose mask would be ignored."""
    if hasattr(pixels, "mask"):  # not isinstance, which would import numpy.ma
        raise WrongTypeError(f"`{name}` is a masked array, whose mask would be ignored. Fill it: {name}.filled(0).")


def type_of(value: object) -> str:
    """Return the name of a value's type, or of an array's dtype, for messages."""
    return f"{value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
