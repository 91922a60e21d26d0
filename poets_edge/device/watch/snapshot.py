"""Encode camera frames as JPEG images of limited size."""

from __future__ import annotations

import io

from PIL import Image

_MAX_SIZE = (1024, 1024)
_QUALITY = 90


def snapshot_jpeg(image: Image.Image) -> bytes:
    """Return an image as a JPEG file, after reducing the image to at most 1024 x 1024 pixels."""
    image = image.copy()
    image.thumbnail(_MAX_SIZE, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
