"""Decode and preprocess photos: orientation, RGB, resize, normalization.

Training, calibration, evaluation and labeling call these functions, so a model always receives photos that are
preprocessed like those it was trained on (no train/serve skew).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import PIL
from PIL import ExifTags, Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from poets_edge.core.files import read_bytes
from poets_edge.core.turns import take_turn
from poets_edge.errors import PhotoError
from poets_edge.photos.contents import LARGEST_PHOTO
from poets_edge.photos.decode_budget import (
    BUDGET,
    LARGE,
    MissingDecoderError,
    bytes_needed,
    format_of,
    most_megapixels,
)
from poets_edge.photos.deep import (
    DEEP_MODES,
    check_deep_color,
    check_range,
    is_deep_color,
    to_gray,
    white_value,
)
from poets_edge.photos.formats import HEADER_BYTES
from poets_edge.photos.normalization import Normalization
from poets_edge.photos.png_chunks import without_metadata
from poets_edge.photos.structure import check_scans, checked

Pixels: TypeAlias = npt.NDArray[np.uint8]
PhotoSource: TypeAlias = "Path | str | bytes | BinaryIO | Image.Image"

_Result = TypeVar("_Result")

PREPROCESSING = f"poets_edge-2/pillow-{PIL.__version__}"
"""Version of the code that determines pixel values (this module and Pillow). Cache keys include it, so that a
different version does not read old entries."""

# A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size in a fraction of the time, as long as both sides stay at least
# twice the largest MobileNet input, so that the resize below averages over several pixels. The limit does not depend
# on the input size of a model: a photo is decoded to one image.
_SMALLEST_DECODE = 448

_LONGEST_SIDE = 100_000
"""Maximum width or height in pixels. Resizing a strip of 1 x 17 million pixels would need gigabytes of memory."""
_LARGE = 1 << 24
"""Images with more pixels than this are converted to RGB in strips, to limit memory use."""


def read_photo(source: PhotoSource, *, name: str = "", smallest: int = _SMALLEST_DECODE) -> Image.Image:
    """Decode a photo to an upright 8-bit RGB image.

    EXIF orientation is applied, transparency is composited over white, gray with more than 8 bits is scaled by the
    range of its data type (`poets_edge.photos.deep`), CMYK is converted, and the first frame of an animation is used.
    Large JPEGs are decoded at reduced size; all of their bytes are decoded, so that damage is detected.

    Args:
        source: a path, the bytes of a file, an open binary file, or a decoded image.
        name: name of the photo in error messages; by default the path or file name of the source.
        smallest: minimum length, in pixels, of the shorter side of a JPEG that is decoded at reduced size. Photos for a
            model are decoded with the default; a smaller value is faster, and suffices for thumbnails.

    Raises:
        PhotoError: the photo is missing, unreadable, not an image, truncated, or too large to decode safely.
    """
    name = name or _name_of(source)
    try:
        if isinstance(source, Image.Image):
            if 0 in source.size:
                raise PhotoError(f"{name}: an image without pixels.")
            return _to_rgb(source, white_value(source))
        if isinstance(source, (str, Path)):
            source = read_bytes(Path(source), LARGEST_PHOTO)
        elif not isinstance(source, bytes):
            source = source.read(LARGEST_PHOTO + 1)
        if len(source) > LARGEST_PHOTO:
            raise PhotoError(f"{name}: larger than {LARGEST_PHOTO / 1e6:,.0f} MB.")
        return _without_text_limit(lambda contents: _decode(contents, name, smallest), source)
    except FileNotFoundError:
        raise PhotoError(f"{name}: no such file.") from None
    except MissingDecoderError as error:
        raise PhotoError(f"{name}: {error}") from None
    except PIL.UnidentifiedImageError:
        raise PhotoError(f"{name}: not a picture that can be read.") from None
    except Image.DecompressionBombError:
        raise PhotoError(f"{name}: more than 178 megapixels; make it smaller first.") from None
    except PhotoError as error:
        raise (error if str(error).startswith(f"{name}:") else PhotoError(f"{name}: {error}")) from None
    except Exception as error:  # Pillow's decoders raise a dozen kinds of exceptions for damaged files
        detail = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
        raise PhotoError(f"{name}: cannot be decoded ({detail}).") from None


def photo_size(contents: bytes) -> tuple[int, int]:
    """Return (width, height) as stored in a photo file, before EXIF orientation is applied.

    Raises:
        OSError, ValueError, PhotoError: the contents are not a photo, or would take too long to decode.
    """

    def size_of(contents: bytes) -> tuple[int, int]:
        with _open(contents) as image:
            return (image.width, image.height)

    return _without_text_limit(size_of, contents)


def _without_text_limit(read: Callable[[bytes], _Result], contents: bytes) -> _Result:
    """Return `read(contents)`, without the metadata of a PNG if Pillow rejects it because of long texts.

    Args:
        read: function that decodes a photo or its header.
        contents: bytes of the file.
    """
    try:
        return read(contents)
    except ValueError as error:
        if "PngImagePlugin" not in str(error):
            raise
        return read(without_metadata(contents, 0))


def _decode(contents: bytes, name: str, smallest: int) -> Image.Image:
    with _open(contents) as image:
        full = image.size
        if max(full) > _LONGEST_SIDE:
            raise PhotoError(
                f"{name}: {full[0]} x {full[1]} pixels, and no side may have more than {_LONGEST_SIDE}."
                " Scale it down first."
            )
        image.draft("RGB", (smallest, smallest))
        needed = bytes_needed(image, full)
        if needed > BUDGET:
            raise PhotoError(
                f"{name}: {full[0] * full[1] / 1e6:.0f} megapixels, and a picture of its kind ({image.format},"
                f" {image.mode}) may have {most_megapixels(image, full):.0f}. Scale it down first."
            )
        if needed > LARGE:
            take_turn()
        deep_color = is_deep_color(image)
        upright = _upright(image)
        if deep_color:
            check_deep_color(upright)
        return _to_rgb(upright, white_value(image) if image.mode in DEEP_MODES else 0)


def _open(contents: bytes) -> Image.Image:
    kind = format_of(contents[:HEADER_BYTES])
    file = io.BytesIO(checked(kind, contents))
    if kind != "JPEG":
        return Image.open(file, formats=[kind])
    # Image.open is not used, because it first loads the plug-ins of five formats, and refuses images of 178 megapixels
    # or more. That limit is meant for images that are decoded in full; a large JPEG is decoded at an eighth of its
    # size, in a 64th of the memory.
    try:
        image = JpegImageFile(file)
    except SyntaxError:
        raise PIL.UnidentifiedImageError(kind) from None
    if image.info.get("progressive"):
        check_scans(contents)
    return image


def fit(image: Image.Image, size: tuple[int, int], crop: tuple[float, float, float, float] | None = None) -> Pixels:
    """Resize an image to a model's input size, without keeping the aspect ratio.

    The TensorFlow for Poets codelab resizes photos in this way, too.

    Args:
        image: RGB image.
        size: (height, width) in pixels.
        crop: (left, top, right, bottom) of the part to resize, in pixels of `image`, not necessarily whole numbers; by
            default the whole image.

    Returns:
        uint8 array of shape [height, width, 3].
    """
    height, width = size
    if crop is None and image.size == (width, height):
        return np.asarray(image)
    left, top, right, bottom = crop or (0, 0, *image.size)
    # Rows, then columns, in two calls. In one call, Pillow 13 resizes the columns of tall photos first, which changes
    # pixel values by 1: results would differ from an older Pillow on a Raspberry Pi and from the Android app.
    narrowed = image.resize((width, image.height), Image.Resampling.BILINEAR, box=(left, 0, right, image.height))
    return np.asarray(narrowed.resize((width, height), Image.Resampling.BILINEAR, box=(0, top, width, bottom)))


def normalizer(normalization: Normalization) -> Callable[[Pixels, npt.NDArray[np.float32]], None]:
    """Return a function that writes (pixels - mean) / std into a float32 array with the shape of `pixels`.

    The function computes pixels * (1 / std) - mean / std, which does not need a temporary array.
    """
    mean, std = np.asarray(normalization.mean, np.float64), np.asarray(normalization.std, np.float64)
    scale, offset = _scalar_if_one(1.0 / std), _scalar_if_one(mean / std)

    def normalize(pixels: Pixels, out: npt.NDArray[np.float32]) -> None:
        np.multiply(pixels, scale, out=out)
        np.subtract(out, offset, out=out)

    return normalize


def _scalar_if_one(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    narrow = values.astype(np.float32)
    return narrow.reshape(()) if narrow.size == 1 else narrow


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # first: in some formats, the orientation is stored after the pixels
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata; other programs also ignore the orientation then
        return image
    # Checked here, because exif_transpose also copies upright images, which takes a quarter of the time for a small
    # JPEG.
    return image if orientation == 1 else ImageOps.exif_transpose(image)


def _to_rgb(image: Image.Image, white: float) -> Image.Image:
    """Convert an image to RGB. `white` is the pixel value of white in an image with more than 8 bits per pixel."""
    if image.mode == "RGB" and "transparency" not in image.info:
        image.load()
        return image
    if image.mode in DEEP_MODES:
        image.load()
        check_range(image, white)
    if image.width * image.height > _LARGE:
        return _in_strips(image, white)
    return _strip_to_rgb(image, white)


def _strip_to_rgb(image: Image.Image, white: float) -> Image.Image:
    if image.mode in DEEP_MODES:
        return to_gray(image, white).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        background = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(background, rgba).convert("RGB")
    return image.convert("RGB")


def _in_strips(image: Image.Image, white: float) -> Image.Image:
    """Convert a large image to RGB a few rows at a time, so that intermediate images need little memory."""
    image.load()
    whole = Image.new("RGB", image.size)
    rows = max(1, _LARGE // 16 // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(image.height, top + rows)))
        whole.paste(_strip_to_rgb(strip, white), (0, top))
    return whole


def _name_of(source: PhotoSource) -> str:
    if isinstance(source, (str, Path)):
        return str(source)
    name = getattr(source, "filename", None) or getattr(source, "name", None)
    return str(name) if name else "picture"
