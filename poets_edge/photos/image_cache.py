"""A cache of decoded photos that are resized to the input sizes of models."""

from __future__ import annotations

from collections.abc import Iterable

from PIL import Image

from poets_edge.photos.image import Pixels, fit
from poets_edge.photos.interpolation import interpolate
from poets_edge.photos.open_photo import open_photo
from poets_edge.photos.table import Photo

Size = tuple[int, int]
"""(height, width) in pixels."""


class ImageCache:
    """Cache that decodes photos, resizes them, and keeps the results in memory up to a size limit."""

    def __init__(self, most_bytes: int = 0) -> None:
        """Create an empty cache.

        Args:
            most_bytes: maximum number of bytes of cached pixels; photos beyond this limit are decoded each time.
                By default, nothing is cached.
        """
        self._free_bytes = most_bytes
        self._images: dict[tuple[Photo, Size, bool], Pixels] = {}

    def at(self, photo: Photo, sizes: Iterable[Size], *, antialias: bool = True) -> dict[Size, Pixels]:
        """Return a photo resized to each of several sizes; it is decoded, at most once, if the cache lacks a size.

        Args:
            photo: photo to read.
            sizes: (height, width) pairs, in pixels.
            antialias: whether to resize with antialiasing (`poets_edge.photos.image.fit`) or without
                (`poets_edge.photos.interpolation.interpolate`).

        Returns:
            Dictionary from each size to the pixels, uint8 [height, width, 3].

        Raises:
            PhotoError: the photo cannot be read, or has changed since it was hashed.
        """
        pictures: dict[Size, Pixels] = {}
        image: Image.Image | None = None
        for size in sizes:
            pixels = self._images.get((photo, size, antialias))
            if pixels is None:
                if image is None:
                    image = open_photo(photo)
                pixels = fit(image, size) if antialias else interpolate(image, size)
                self._keep((photo, size, antialias), pixels)
            pictures[size] = pixels
        return pictures

    def _keep(self, key: tuple[Photo, Size, bool], pixels: Pixels) -> None:
        if pixels.nbytes <= self._free_bytes:
            self._free_bytes -= pixels.nbytes
            self._images[key] = pixels
