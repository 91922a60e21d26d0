"""Names in zip archives, which may be in any encoding.

A name is UTF-8 if it is marked so, or has a field with its UTF-8 spelling. Many programs write UTF-8 without the mark
(`zip -r` on Linux does), others the encoding of their system: GBK, Shift JIS, cp437. Windows programs write
backslashes between the parts of a name.
"""

from __future__ import annotations

import struct
import zipfile
import zlib

_MARKED_UTF8 = 0x800
_UNICODE_PATH = 0x7075
"""Tag of Info-ZIP's extra field with the UTF-8 spelling of a name."""


def zip_name(info: zipfile.ZipInfo, encoding: str = "") -> tuple[str, bool]:
    """Return the name of a member, with `/` between its parts.

    Args:
        encoding: encoding of a name that is not marked as UTF-8 and not ASCII; by default UTF-8 if it is valid, else
            cp437.

    Returns:
        The name, and whether its encoding was guessed to be cp437.

    Raises:
        UnicodeError, LookupError: the name is not in the encoding, or there is no such encoding.
    """
    text, guessed = info.orig_filename, False
    if not info.flag_bits & _MARKED_UTF8 and not text.isascii():
        raw = text.encode("cp437")
        spelled = _unicode_path(info.extra, raw)
        if spelled is not None:
            text = spelled
        elif encoding:
            text = raw.decode(encoding)
        else:
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError:
                guessed = True
    return text.replace("\\", "/"), guessed


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """Return the UTF-8 spelling of a name in its extra fields; None without one, or if it belongs to another name."""
    while len(extra) >= 4:
        tag, length = struct.unpack("<HH", extra[:4])
        value, extra = extra[4 : 4 + length], extra[4 + length :]
        if (
            tag == _UNICODE_PATH
            and len(value) > 5
            and value[0] == 1
            and value[1:5] == struct.pack("<L", zlib.crc32(raw))
        ):
            try:
                return value[5:].decode("utf-8")
            except UnicodeDecodeError:
                return None
    return None
