"""Read the bytes of a photo: from a file, from an archive or from an address."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from poets_edge.core.files import read_bytes
from poets_edge.core.turns import take_turn
from poets_edge.errors import PhotoError
from poets_edge.photos.address import Location

LARGEST_PHOTO = 256 << 20
"""Maximum size of a photo file in bytes, about three times the size of a JPEG with 200 megapixels."""
_LARGE_PHOTO = 32 << 20
"""Size in bytes above which photo files are read one at a time, to limit memory use."""


def contents_at(path: Location) -> bytes:
    """Return the bytes of a photo, given its address or its path.

    The path of a photo in an archive contains that of the archive, as in `photos.zip/daisy/1.jpg`.

    Raises:
        PhotoError: the photo cannot be read, is not a regular file, or has more than 256 MiB (LARGEST_PHOTO).
    """
    try:
        return _read(path)
    except OSError as error:
        raise PhotoError(f"{path}: {error.strerror or error}.") from None


def _read(path: Location) -> bytes:
    """Return the bytes of a photo.

    To limit memory use, only one thread at a time processes a photo of more than 32 MiB: if this function is called in
    a thread of `poets_edge.core.parallel.run_parallel`, it waits until no other thread is processing such a photo.
    """
    try:
        return _read_up_to(path, _LARGE_PHOTO)
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
    take_turn()
    return _read_up_to(path, LARGEST_PHOTO)


def _read_up_to(path: Location, most: int) -> bytes:
    if isinstance(path, Path):
        try:
            return read_bytes(path, most)
        except NotADirectoryError:  # it may be the path of a photo in an archive
            pass
        except FileNotFoundError:  # also raised by Windows for a directory, and for `photos.zip@gbk`
            if os.name != "nt" and ".zip@" not in str(path).lower():
                raise
    from poets_edge.photos.sources import read

    return read(str(path), most)
