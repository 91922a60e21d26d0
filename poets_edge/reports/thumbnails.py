"""Thumbnails of photos as `data:` URLs, which an HTML page can contain."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable

from PIL import Image

from poets_edge.core.parallel import run_parallel
from poets_edge.errors import PhotoError
from poets_edge.photos.address import Location
from poets_edge.photos.contents import contents_at
from poets_edge.photos.image import read_photo

_SIDE = 220
"""Length of a thumbnail's longer side in pixels: twice the displayed size, for high-density screens."""
_QUALITY = 72


def thumbnails(photos: Iterable[Location]) -> dict[Location, str]:
    """Return a dictionary from the path or address of each photo to its thumbnail.

    A thumbnail is a JPEG in a `data:` URL, or "" if the photo cannot be read.
    """
    return dict(run_parallel(dict.fromkeys(photos), lambda: None, lambda path, _: _thumbnail(path)))


def _thumbnail(path: Location) -> str:
    try:
        image = read_photo(contents_at(path))
    except PhotoError:
        return ""
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
