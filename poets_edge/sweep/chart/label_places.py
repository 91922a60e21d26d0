"""Place text labels next to the bubbles in a chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Box = tuple[float, float, float, float]
"""Rectangle: left, bottom, right and top, in pixels."""


def place_text(
    center: tuple[float, float], radius: float, size: tuple[float, float], taken: Sequence[Box],
    strokes: Sequence[tuple[float, float]], frame: Any, pixels: float,
) -> Box:  # fmt: skip
    """Return the box next to a bubble in which a text overlaps other elements least, preferably above or below.

    Args:
        center: position of the bubble, pixels.
        radius: radius of the bubble, pixels.
        size: width and height of the text, pixels.
        taken: boxes of bubbles and previously placed texts.
        strokes: positions (x, y) along the lines of the chart, pixels.
        frame: extent of the panel, pixels.
        pixels: pixels per typographic point.
    """
    width, height = size

    def place(angle: float, gap: float) -> Box:
        x = center[0] + math.cos(angle) * (radius + gap + width / 2)
        y = center[1] + math.sin(angle) * (radius + gap + height / 2)
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2

    def cost(box: Box, distance: float) -> float:
        overlaps = sum(overlap(box, other) for other in taken) / (width * height)
        crossed = sum(box[0] < x < box[2] and box[1] < y < box[3] for x, y in strokes)
        outside = bool(box[0] < frame.x0 or box[2] > frame.x1 or box[1] < frame.y0 or box[3] > frame.y1)
        return 10 * overlaps + 0.4 * crossed + 20.0 * outside + 0.1 * distance / pixels

    angles = [math.radians(degrees) for degrees in (-90, 90, -45, 45, -135, 135, 0, 180, -70, 70, -110, 110)]
    candidates = [(place(angle, gap * pixels), gap * pixels) for gap in (0, 4, 9, 15, 22, 30) for angle in angles]
    return min(candidates, key=lambda candidate: cost(*candidate))[0]


def overlap(one: Box, other: Box) -> float:
    """Return the intersection area of two boxes, in square pixels."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0
