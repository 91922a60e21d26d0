"""Decode file names in zip archives, which may be in any encoding.

A name is UTF-8 if a flag marks it as such, or if an extra field contains its UTF-8 spelling. Many programs write UTF-8
without the flag (such as `zip -r` on Linux), and others use the encoding of their system: GBK, Shift JIS or cp437.
Windows programs may use backslashes as separators.
"""

from __future__ import annotations

import struct
import zipfile
import zlib

_MARKED_UTF8 = 0x800
_UNICODE_PATH = 0x7075
"""Tag of the extra field that contains the UTF-8 spelling of a name, as defined by Info-ZIP."""


def zip_name(info: zipfile.ZipInfo, encoding: str = "") -> tuple[str, bool]:
    """Return the name of a zip member, with `/` as the separator, and whether its encoding was guessed.

    Args:
        encoding: encoding of a name that is neither ASCII nor marked as UTF-8; by default UTF-8 if the name is valid
            UTF-8, otherwise cp437.

    Returns:
        The name, and whether it was decoded as cp437 although nothing shows that this is its encoding.

    Raises:
        UnicodeError: the name is not valid in the encoding.
        LookupError: Python does not support the encoding.
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
    """Return the UTF-8 spelling of a name from the extra fields of its zip member.

    The result is None if no field contains one, or if the field is invalid or was written for a different name.

    Args:
        extra: extra fields of the member.
        raw: undecoded bytes of the name.
    """
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
