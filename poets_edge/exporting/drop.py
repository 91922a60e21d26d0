"""Significance test for the loss of accuracy of a quantized file, compared with the float32 file on the same photos.

With 49 test photos, one photo amounts to 2 percentage points, so a single photo could exceed a limit of 1 point. An
export therefore fails only if a loss exceeds the limit and the excess is statistically significant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from poets_edge.device.paired import SIGNIFICANCE, Paired, mcnemar


def drop_is_significant(paired: Paired, allowed: float) -> bool:
    """Return whether a loss of accuracy exceeds the limit significantly, according to an exact McNemar test.

    The number of photos that only the float32 file labels correctly, reduced by the number that the limit allows, is
    compared with the number of photos that only the quantized file labels correctly.

    Args:
        paired: comparison of the quantized file with the float32 file.
        allowed: maximum loss of accuracy, in percentage points.
    """
    lost = paired.worse - allowed_photos(paired, allowed)
    return lost > paired.better and mcnemar(lost, paired.better) <= SIGNIFICANCE


def exceeds(paired: Paired, allowed: float) -> bool:
    """Return whether a quantized file loses more than `allowed` percentage points of accuracy on the test photos."""
    return paired.worse - paired.better > allowed_photos(paired, allowed)


def allowed_photos(paired: Paired, allowed: float) -> int:
    """Convert an accuracy loss in percentage points to a number of test photos, rounded down."""
    return math.floor(allowed * paired.photos / 100 + 1e-9)


def verdict(losses: Mapping[Any, Paired], allowed: float) -> str:
    """Return a phrase for messages about files that lose more accuracy than allowed.

    An example is `int8 loses 6.1 points (...), more than the 2 allowed`.

    Args:
        losses: comparison of each of these files with the float32 file, by quantization.
        allowed: maximum loss of accuracy, in percentage points.
    """
    parts = [
        f"{quantization} loses {-paired.gain:.1f} points ({paired.worse} photos worse and {paired.better} better of"
        f" {paired.photos} test photos)"
        for quantization, paired in losses.items()
    ]
    return f"{'; '.join(parts)}, more than the {allowed:g} allowed"
