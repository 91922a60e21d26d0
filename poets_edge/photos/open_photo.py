"""Read and decode photos in a photo folder, and verify their checksums."""

from __future__ import annotations

import hashlib

from PIL import Image

from poets_edge.errors import PhotoError
from poets_edge.photos.contents import contents_at
from poets_edge.photos.image import read_photo
from poets_edge.photos.table import Photo


def read_contents(photo: Photo) -> bytes:
    """Return the bytes of a photo.

    Raises:
        PhotoError: the photo cannot be read, is not a regular file, has more than 256 MiB (LARGEST_PHOTO), or does not
            have the checksum that `photo.sha256` requires.
    """
    contents = contents_at(photo.path)
    if photo.sha256 and hashlib.sha256(contents).hexdigest() != photo.sha256:
        raise PhotoError(f"{photo.path}: a different photo than the model was trained on.")
    return contents


def open_photo(photo: Photo) -> Image.Image:
    """Decode a photo in a photo folder with `read_photo`.

    Raises:
        PhotoError: the photo cannot be read or decoded, or does not have the checksum that `photo.sha256` requires.
    """
    return read_photo(read_contents(photo), name=str(photo.path))
