"""Names of classes and files: Unicode normalization and validation."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable

from poets_edge.errors import DatasetError


def class_name(folder: str) -> str:
    """Return the class name for a folder: its name, decoded as UTF-8 in any locale and normalized to NFC.

    Raises:
        DatasetError: the name is not UTF-8, or contains a line break.
    """
    try:
        name = folder if folder.isascii() else os.fsencode(folder).decode("utf-8")
    except UnicodeError:
        raise DatasetError(f"{folder}: the name of this class is not UTF-8. Rename the folder.") from None
    if len(f"{name}.".splitlines()) > 1:  # the period makes a line break at the end count
        raise DatasetError(f"{folder!r}: the name of this class contains a line break. Rename the folder.")
    return composed(name)


def composed(label: str) -> str:
    """Return a class name normalized to NFC, because macOS may store é as two characters, e and a combining accent."""
    return label if label.isascii() else unicodedata.normalize("NFC", label)


def folded(label: str) -> str:
    """Return a key for comparing class names without regard to case, Unicode normalization and surrounding spaces.

    The file systems of macOS and Windows ignore some of these differences, too.
    """
    return composed(label).lower().strip()


def check_distinct(labels: Iterable[str], place: object) -> None:
    """Raise DatasetError if two class names differ only in case, in Unicode normalization or in spaces around them."""
    known: dict[str, str] = {}
    for label in labels:
        other = known.setdefault(folded(label), label)
        if other != label:
            same = unicodedata.normalize("NFC", label) == unicodedata.normalize("NFC", other)
            how = "the encoding of their accents" if same else "case or spaces"
            raise DatasetError(
                f"{place}: the classes {other!r} and {label!r} differ only in {how}. Rename one, or move its photos."
            )


def has_controls(text: str) -> bool:
    """Return whether a string contains control characters or line separators."""
    return not text.isprintable() and any(
        ord(one) < 32 or 127 <= ord(one) < 160 or one in "\u2028\u2029" for one in text
    )
