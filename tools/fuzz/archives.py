"""Hostile files: archives of photos with wrong headers, and files that list photos to exclude."""

from __future__ import annotations

import io
import json
import re
import struct
import tarfile
import zipfile
import zlib
from random import Random
from typing import Any

_NAMES = (
    "daisy/0.png", "../x.png", "/etc/x.png", "a/../../x.png", "daisy/\x1b[2J.png", "daisy/\ud800.png", "x.png",
    "Daisy/1.png",
    "daisy/" * 50 + "x.png", "./daisy/0.png", "daisy//0.png", "daisy/0.cls", "daisy/0.a.cls", "", "\0", "daisy/.x.png",
)  # fmt: skip
_BOMB_BYTES = 70 << 20
_PNG_HEADER_BYTES = 33
"""Number of bytes in a PNG up to the end of its first chunk."""
_SIZES = (-1, -1024, 0, 1, 511, 513, 1 << 20, 12 << 30, 1 << 40, (1 << 62) + 1, (8 << 30) - 1)
_TAR_KINDS = b"0\x0017234569LKxgSVMDA"
_PAX = ("size", "path", "linkpath", "mtime", "GNU.sparse.map", "GNU.sparse.major", "GNU.sparse.realsize", "hdrcharset")
_VALUES: tuple[Any, ...] = (
    *(
        "daisy/0.png",
        "daisy/",
        "no/such.png",
        "",
        "\ud800",
        "\udcff/x.png",
        "a\0b",
        "\x1b[2J",
        "one\ntwo",
        "x" * 70_000,
    ),
    *("roses", "Roses", "tulips", "cafe\u0301", "..", "/", "{", "#", None, 3, True, [], {}, 1e300),
)


def make_archive(photos: dict[str, bytes], rng: Random) -> tuple[str, bytes]:
    """Return a damaged or inconsistent archive of photos, as its file name suffix (".zip" or ".tar") and its bytes."""
    if rng.random() < 0.5:
        return ".zip", _cut(_lying_zip(photos, rng), rng)
    return ".tar", _cut(_lying_tar(photos, rng), rng)


def _cut(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)] if rng.random() < 0.1 else data


def _lying_tar(photos: dict[str, bytes], rng: Random) -> bytes:
    parts = []
    for name, content in photos.items():
        info = tarfile.TarInfo(name)
        info.size = len(content)
        block = info.tobuf(tarfile.GNU_FORMAT)
        if rng.random() < 0.4:
            block = _lying_header(name, content, rng)
        parts += [block, content, bytes(-len(content) % 512)]
    return b"".join(parts) + bytes(1024 if rng.random() < 0.9 else 0)


def _lying_header(name: str, content: bytes, rng: Random) -> bytes:
    info = tarfile.TarInfo(rng.choice((name, rng.choice(_NAMES))))
    info.size = len(content)
    kind = rng.randrange(4)
    if kind == 0:
        info.pax_headers = {rng.choice(_PAX): rng.choice((*map(str, _SIZES), "x", "1,2,3", *_NAMES)) for _ in range(3)}
        try:
            return info.tobuf(tarfile.PAX_FORMAT, errors="surrogatepass")
        except (ValueError, UnicodeError):
            return info.tobuf(tarfile.GNU_FORMAT, errors="replace")
    if kind == 1:
        info.type = bytes([rng.choice(_TAR_KINDS)])
        info.linkname = rng.choice(("", "/etc/passwd", name))
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT, errors="replace")[-512:])
    if kind == 2:
        size = rng.choice(_SIZES)
        header[124:136] = (
            b"\x80" + (size % (1 << 88)).to_bytes(11, "big") if rng.random() < 0.5 else b"%011o\0" % (size % (1 << 33))
        )
    elif kind == 3:
        header[rng.randrange(512)] = rng.randrange(256)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)  # a correct checksum, so that the rest is read
    repeat = rng.choice((1, 1, 1, 3, 3000))
    return bytes(header) * repeat


def _lying_zip(photos: dict[str, bytes], rng: Random) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in photos.items():
            entry = zipfile.ZipInfo(name) if rng.random() < 0.9 else rng.choice(_NAMES[:4])
            archive.writestr(entry, _bomb(content, rng) if rng.random() < 0.03 else content)
    data = bytearray(file.getvalue())
    starts = [found.start() for found in re.finditer(rb"PK(?:\x01\x02|\x03\x04|\x05\x06)", data)]
    for _ in range(rng.randint(1, 3)):
        start, field = rng.choice(starts), rng.choice((4, 6, 8, 10, 12, 16, 20, 24, 28, 30, 32, 38, 42))
        value = struct.pack("<I", rng.choice((0, 1, 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF, rng.getrandbits(32))))
        width = rng.choice((2, 4))
        data[start + field : start + field + width] = value[:width]
    return bytes(data)


def _bomb(photo: bytes, rng: Random) -> bytes:
    """Return 70 MiB as the content of a photo: only zeros, a PNG with a chunk of zeros, or a PNG followed by zeros."""
    if rng.random() < 0.4:
        return bytes(_BOMB_BYTES)
    kind = rng.choice((b"abCd", b"eXIf", b"tEXt", b"zTXt", b"iCCP", b"IDAT", b"tRNS", b"PLTE", b"fdAT", b""))
    if not kind:
        return photo + bytes(_BOMB_BYTES)
    data = b"x" + bytes(_BOMB_BYTES)
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return photo[:_PNG_HEADER_BYTES] + chunk + photo[_PNG_HEADER_BYTES:]


def make_list(rng: Random) -> bytes:
    """Return the bytes of a file that lists photos to exclude, with arbitrary content."""
    if rng.random() < 0.25:
        lines = [str(rng.choice(_VALUES)) for _ in range(rng.randrange(6))]
        return "\n".join(lines).encode("utf-8", "surrogatepass")
    value: dict[str, Any] = {
        "leave_out": [rng.choice(_VALUES) for _ in range(rng.randrange(4))],
        "belongs_to": {str(rng.choice(_VALUES)): rng.choice(_VALUES) for _ in range(rng.randrange(4))},
    }
    for name in ("leave_out", "belongs_to"):
        if rng.random() < 0.2:
            value[name] = rng.choice(_VALUES)
        elif rng.random() < 0.4:
            texts = [text for text in _VALUES if isinstance(text, str)]
            value[name] = [rng.choice(texts)] if name == "leave_out" else {"daisy/0.png": rng.choice(texts)}
    text = json.dumps(value).encode()
    if rng.random() < 0.15:
        text = rng.choice(
            (text[: rng.randrange(len(text))], b"{" * 100_000, b'{"leave_out": NaN}', b"\xff" + text, b"\0")
        )
    return text
