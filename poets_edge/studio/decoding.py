"""Decoding of photos in helper processes, so that a malicious image can crash a helper process but not the server."""

from __future__ import annotations

import errno
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from poets_edge.errors import PhotoError
from poets_edge.photos.contents import LARGEST_PHOTO
from poets_edge.photos.image import read_photo
from poets_edge.studio import messages

_QUALITY = 82


@dataclass(frozen=True)
class DecodeRequest:
    """A photo to decode.

    Attributes:
        path: path of the photo.
        name: name of the photo in messages.
        side: maximum length of the longer side of the result, in pixels.
        target: path of the JPEG to write; None to return its content.
    """

    path: Path
    name: str
    side: int
    target: Path | None = None


@dataclass(frozen=True)
class Decoded:
    """Result of decoding a photo.

    Attributes:
        jpeg: the scaled-down photo as a JPEG; empty if it was written to a file or could not be decoded.
        problem: reason why the photo cannot be decoded; empty if it can.
        gone: whether the photo no longer exists.
    """

    jpeg: bytes = b""
    problem: str = ""
    gone: bool = False


def decode(request: DecodeRequest) -> Decoded:
    """Decode a photo, scale it down, and return it as a JPEG or write it to a file.

    The photo is decoded by the same function as in the `label` and `train` commands, so the same photos are readable.
    If the file cannot be written, for example because the disk is full, the JPEG is returned instead.
    """
    try:
        image = read_photo(_contents(request.path), name=request.name, smallest=request.side)
    except PhotoError as error:
        return Decoded(problem=str(error))
    except (FileNotFoundError, NotADirectoryError):
        return Decoded(problem=messages.PHOTO_GONE.format(name=request.name), gone=True)
    except OSError as error:
        return Decoded(problem=messages.FILE_FAILED.format(name=request.name, reason=error.strerror or error))
    image = _reduced(image, request.side)
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=_QUALITY)
    if request.target is None:
        return Decoded(encoded.getvalue())
    temporary = request.target.with_suffix(f".{os.getpid()}.tmp")
    try:
        temporary.write_bytes(encoded.getvalue())
        temporary.replace(request.target)
    except OSError:  # a full disk: the thumbnail is still shown, but not kept
        temporary.unlink(missing_ok=True)
        return Decoded(encoded.getvalue())
    return Decoded()


def _reduced(image: Image.Image, side: int) -> Image.Image:
    """Return an image scaled down so that its longer side has at most `side` pixels; return a small image as it is.

    This takes less time than Pillow's `thumbnail`.
    """
    scale = side / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.5)


def _contents(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: the file cannot be read, is a symbolic link, is not a regular file, or is too large.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, messages.NOT_A_FILE, str(path))
        if status.st_size > LARGEST_PHOTO:
            raise OSError(errno.EFBIG, messages.PHOTO_TOO_LARGE.format(megabytes=LARGEST_PHOTO / 1e6), str(path))
        return file.read(LARGEST_PHOTO)
