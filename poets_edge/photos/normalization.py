"""From pixels of 0 to 255 to the values a model's input expects: (pixel - mean) / std."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation in pixel units: one number for all colours, or one for each."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


BACKBONE = Normalization((127.5,), (127.5,))
"""[-1, 1]: what every backbone here, and the codelab's, was trained with."""

PIXELS = Normalization((128.0,), (128.0,))
"""With this a uint8 input of scale 1/128 and zero point 128 takes pixels as they are."""
