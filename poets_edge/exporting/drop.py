"""Significance test for the accuracy that a quantized file loses compared with the float32 file on the same photos.

With 49 test photos, each photo amounts to 2 percentage points, so that a single photo could exceed the limit. A file
therefore fails only if its loss exceeds the limit and the excess is statistically significant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from poets_edge.device.paired import SIGNIFICANCE, Paired, mcnemar


def drop_is_significant(paired: Paired, allowed: float) -> bool:
    """Return whether the loss of accuracy significantly exceeds the limit, by an exact McNemar test.

    The allowed number of photos is subtracted from the number of photos that only the float32 file labels correctly;
    the difference is tested against the number of photos that only the quantized file labels correctly.

    Args:
        paired: comparison of the quantized file with the float32 file.
        allowed: maximum loss of accuracy, in percentage points.
    """
    lost = paired.worse - allowed_photos(paired, allowed)
    return lost > paired.better and mcnemar(lost, paired.better) <= SIGNIFICANCE


def exceeds(paired: Paired, allowed: float) -> bool:
    """Return whether the measured loss of accuracy is larger than `allowed` percentage points."""
    return paired.worse - paired.better > allowed_photos(paired, allowed)


def allowed_photos(paired: Paired, allowed: float) -> int:
    """Return the number of photos that corresponds to `allowed` percentage points of accuracy, rounded down."""
    return math.floor(allowed * paired.photos / 100 + 1e-9)


def verdict(losses: Mapping[Any, Paired], allowed: float) -> str:
    """Return a phrase on the loss of each file, such as `int8 loses 6.1 points (...), more than the 2 allowed`."""
    parts = [
        f"{quantization} loses {-paired.gain:.1f} points ({paired.worse} photos worse and {paired.better} better of"
        f" {paired.photos} test photos)"
        for quantization, paired in losses.items()
    ]
    return f"{'; '.join(parts)}, more than the {allowed:g} allowed"
