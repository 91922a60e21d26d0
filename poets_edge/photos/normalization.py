"""Normalization of pixels from 0 to 255 to the input values of a model: (pixel - mean) / std."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation in pixel units: one number for all channels, or one per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


BACKBONE = Normalization((127.5,), (127.5,))
"""Range [-1, 1], with which all backbones here and the codelab's were trained."""

PIXELS = Normalization((128.0,), (128.0,))
"""Normalization under which a uint8 input of scale 1/128 and zero point 128 takes pixels unchanged."""
