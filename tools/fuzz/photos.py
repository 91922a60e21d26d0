"""Mutated pictures in all formats, and pictures with wrong sizes in their headers."""

from __future__ import annotations

import io
import struct
import zlib
from random import Random

from PIL import Image

FORMATS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}
_STRANGERS = (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"%PDF-1.4\n", b"P6 9 9 255\n", b"")
_MODES = ("RGB", "L", "P", "1", "RGBA", "LA", "CMYK", "I;16")


def make(rng: Random) -> tuple[str, bytes]:
    """Return a picture file that is damaged or has the suffix of another format, as its suffix and its bytes."""
    kind = rng.random()
    if kind < 0.08:
        return ".png", _promising_png(rng)
    if kind < 0.12:
        return ".jpg", rng.choice(
            (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"%PDF-1.4\n", b"P6 9 9 255\n", b"")
        )
    name = rng.choice(list(FORMATS))
    picture = _picture(rng, name)
    if kind < 0.2:
        return rng.choice(list(FORMATS.values())), picture  # a format that does not match the name
    return FORMATS[name], _broken(picture, rng)


def _picture(rng: Random, name: str) -> bytes:
    size = rng.choice(((1, 1), (7, 5), (64, 48), (500, 375), (3, 2000)))
    mode = rng.choice(_MODES)
    image = Image.frombytes("L", size, rng.randbytes(size[0] * size[1]))
    if mode == "I;16":
        image = Image.frombytes("I;16", size, rng.randbytes(2 * size[0] * size[1]))
    elif mode != "L":
        image = image.convert(mode)
    file = io.BytesIO()
    try:
        image.save(file, name, **({"progressive": True} if name == "JPEG" and rng.random() < 0.5 else {}))
    except (OSError, ValueError, KeyError):  # some formats lack some modes
        file = io.BytesIO()
        Image.new("RGB", size, "red").save(file, name)
    return file.getvalue()


def _broken(picture: bytes, rng: Random) -> bytes:
    changed = bytearray(picture)
    kind = rng.randrange(5)
    if kind == 0:
        return bytes(changed[: rng.randrange(len(changed))])
    if kind == 1:
        start = rng.randrange(len(changed))
        changed[start : start + rng.randrange(1, 200)] = rng.randbytes(rng.randrange(1, 200))
        return bytes(changed)
    reach = min(len(changed), 64 if kind == 2 else len(changed))  # sizes are in the headers
    for _ in range(rng.randrange(1, 12)):
        changed[rng.randrange(reach)] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(changed)


def _promising_png(rng: Random) -> bytes:
    width, height = (rng.choice((1, 9, 3000, 9000, 13_000, 60_000, 1 << 30)) for _ in range(2))
    depth, color = rng.choice(((1, 0), (8, 2), (8, 3), (8, 6), (16, 2), (16, 6), (16, 0)))
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    pixels = zlib.compress(bytes(rng.choice((0, 1000, 4_000_000))))
    chunks = [(b"IHDR", header), (b"PLTE", bytes(768)), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
