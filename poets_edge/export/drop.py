"""Whether a quantized file loses more accuracy than was allowed, judged on the photos that both files answered.

One test photo of 49 is 2 points, so a limit in points alone would fail over a single photo that could as well have
fallen the other way. A file fails where it loses more than was allowed, and more than chance explains.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from poets_edge.device.paired import SIGNIFICANCE, Paired, mcnemar


def too_much(paired: Paired, allowed: float) -> bool:
    """Whether the loss beyond what is allowed is unlikely to be chance.

    As many of the lost photos as are allowed are forgiven; the others must outnumber those won (exact McNemar test).

    Args:
        paired: the quantized file beside the float32 one.
        allowed: points (percent) of accuracy.
    """
    lost = paired.worse - forgiven(paired, allowed)
    return lost > paired.better and mcnemar(lost, paired.better) <= SIGNIFICANCE


def exceeds(paired: Paired, allowed: float) -> bool:
    """Whether the loss as counted is larger than is allowed, by chance or not."""
    return paired.worse - paired.better > forgiven(paired, allowed)


def forgiven(paired: Paired, allowed: float) -> int:
    """The photos that so many points of accuracy are."""
    return math.floor(allowed * paired.photos / 100 + 1e-9)


def verdict(losses: Mapping[Any, Paired], allowed: float) -> str:
    """`int8 loses 6.1 points (14 photos worse, 8 better of 98)`, for each."""
    parts = [
        f"{quantization} loses {-paired.gain:.1f} points ({paired.worse} photos worse and {paired.better} better of"
        f" {paired.photos} test photos)"
        for quantization, paired in losses.items()
    ]
    return f"{'; '.join(parts)}, more than the {allowed:g} allowed"
