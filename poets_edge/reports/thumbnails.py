"""Photos -> small pictures that lie inside a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from poets_edge.core.parallel import run_parallel
from poets_edge.errors import PhotoError
from poets_edge.photos.folder import contents_at
from poets_edge.photos.image import read_photo

_SIDE = 220
"""Pixels, at most; twice what most screens show."""
_QUALITY = 72


def thumbnails(photos: Iterable[Path]) -> dict[Path, str]:
    """Each photo as a `data:` address; an empty text where it can no longer be read."""
    return dict(run_parallel(dict.fromkeys(photos), lambda: None, lambda path, _: _thumbnail(path)))


def _thumbnail(path: Path) -> str:
    try:
        image = read_photo(contents_at(path))
    except PhotoError:
        return ""
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
