"""Comparison of the outputs of commands with stored outputs ("golden texts").

The two texts must be equal, or differ by no more than is allowed for outputs from different machines.
"""

from __future__ import annotations

import difflib
import math
import re
from enum import Enum

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.])")
_HASH = re.compile(r"\b[0-9a-f]{12,64}\b")
_FILE = re.compile(r'^\d+ bytes, sha256 .*|"size": \d+')
"""Pattern for the size and the hash of a file in a golden text. Both depend on the version numbers in its metadata."""
_TOLERANCE = 0.02
"""Maximum absolute or relative difference between numbers that are considered equal: five steps of an int8 score."""


class Promise(Enum):
    """Degree to which the outputs of a command on two machines must agree, from every character to similar numbers."""

    BITS = "every character"
    VALUES = "everything but the size and hash of files"
    NEAR = "everything but hashes and small differences of numbers"


def golden_differences(stored: str, made: str, promise: Promise) -> list[str]:
    """Return a unified diff of two golden texts as lines; [] if they agree as closely as required.

    Args:
        stored: the stored text.
        made: the new text.
        promise: required degree of agreement.
    """
    old, new = stored.splitlines(), made.splitlines()
    if len(old) == len(new):
        new = [one if _agree(one, other, promise) else other for one, other in zip(old, new, strict=True)]
    return list(difflib.unified_diff(old, new, "stored", "made", lineterm="", n=2))


def _agree(old: str, new: str, promise: Promise) -> bool:
    if old == new or promise is Promise.BITS:
        return old == new
    old, new = (_FILE.sub("FILE", line) for line in (old, new))
    if promise is Promise.VALUES:
        return old == new
    old, new = (_HASH.sub("HASH", line) for line in (old, new))
    return _NUMBER.sub("#", old) == _NUMBER.sub("#", new) and all(
        math.isclose(float(one), float(other), rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
        for one, other in zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True)
    )
