"""Photos at the sizes of models, kept in memory where several models in turn are shown the same ones."""

from __future__ import annotations

from collections.abc import Iterable

from PIL import Image

from poets_edge.photos.image import Pixels, fit, open_photo
from poets_edge.photos.table import Photo

Size = tuple[int, int]
"""(height, width)."""


class Pictures:
    """Decodes and resizes photos, and remembers the first ones."""

    def __init__(self, most_bytes: int = 0) -> None:
        """Args: most_bytes: of pixels to keep; of what comes when these are full nothing is kept."""
        self._room = most_bytes
        self._kept: dict[tuple[Photo, Size], Pixels] = {}

    def at(self, photo: Photo, sizes: Iterable[Size]) -> dict[Size, Pixels]:
        """A photo at some sizes, each uint8 [height, width, 3], decoded at most once.

        Raises:
            PhotoError: it cannot be read, or is not what it was.
        """
        pictures: dict[Size, Pixels] = {}
        image: Image.Image | None = None
        for size in sizes:
            pixels = self._kept.get((photo, size))
            if pixels is None:
                if image is None:
                    image = open_photo(photo)
                pixels = fit(image, size)
                self._keep(photo, size, pixels)
            pictures[size] = pixels
        return pictures

    def _keep(self, photo: Photo, size: Size, pixels: Pixels) -> None:
        if pixels.nbytes <= self._room:
            self._room -= pixels.nbytes
            self._kept[photo, size] = pixels
