"""Names of photo files and of classes."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable

from poets_edge.errors import DatasetError

PHOTO_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp", ".png", ".apng", ".webp", ".bmp", ".dib",
        ".gif", ".tif", ".tiff", ".heic", ".heif", ".heics", ".heifs", ".hif", ".avif", ".avifs",
    }
)  # fmt: skip
"""Suffixes of photos. A file with another suffix is a photo if its content is one (`poets_edge.photos.formats`)."""


def class_name(folder: str) -> str:
    """Return the class of a folder: its name, decoded as UTF-8 in any locale, with accents composed (NFC).

    Raises:
        DatasetError: the name is not UTF-8, or has more than one line.
    """
    try:
        name = folder if folder.isascii() else os.fsencode(folder).decode("utf-8")
    except UnicodeError:
        raise DatasetError(f"{folder}: the name of this class is not UTF-8. Rename the folder.") from None
    if len(name.splitlines()) > 1:
        raise DatasetError(f"{folder}: the name of this class has more than one line. Rename the folder.")
    return composed(name)


def composed(label: str) -> str:
    """Return a class name with composed accents (NFC): macOS and zips of it may spell é as e and an accent."""
    return label if label.isascii() else unicodedata.normalize("NFC", label)


def folded(label: str) -> str:
    """Return a key that is equal for class names that denote one folder on macOS and Windows."""
    return composed(label).lower()


def check_distinct(labels: Iterable[str], place: object) -> None:
    """Raise DatasetError if two class names differ only in case or in Unicode normalization."""
    known: dict[str, str] = {}
    for label in labels:
        other = known.setdefault(folded(label), label)
        if other != label:
            same = unicodedata.normalize("NFC", label) == unicodedata.normalize("NFC", other)
            how = "the encoding of their accents" if same else "upper and lower case"
            raise DatasetError(
                f"{place}: the classes {other!r} and {label!r} differ only in {how}. Rename one, or move its photos."
            )


def has_controls(text: str) -> bool:
    """Return whether a text has control characters or line separators."""
    return not text.isprintable() and any(
        ord(one) < 32 or 127 <= ord(one) < 160 or one in "\u2028\u2029" for one in text
    )
