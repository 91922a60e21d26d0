"""Normalization of pixel values (0 to 255) to the input values of a model: (pixel - mean) / std."""

from __future__ import annotations

import math
from dataclasses import dataclass

from poets_edge.errors import UsageError

_MIN_STD, _MAX_STD = 1e-6, 1e6
_PIXEL = 255.0
"""Largest pixel value."""


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation, in units of pixel values: one number each for all channels, or one per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """Input values for the pixel values 0 and 255: one (low, high) pair for all channels, or one per channel."""
        return tuple(((0 - mean) / std, (_PIXEL - mean) / std) for mean, std in zip(self.mean, self.std, strict=True))

    def __str__(self) -> str:
        low, high = zip(*self.ranges, strict=True)
        means, stds = (", ".join(f"{value:.6g}" for value in values) for values in (self.mean, self.std))
        return f"{_common(low)} to {_common(high)}: (pixel - {means}) / {stds}"

    @property
    def text(self) -> str:
        """Input range in the format of `parse_input_range`: "-1.0:1.0", or three ranges if the channels differ."""
        return ",".join(f"{float(low)!r}:{float(high)!r}" for low, high in self.ranges)

    @property
    def short(self) -> str:
        """Input range as text for messages, with values rounded to four significant digits, such as "-1:1"."""
        return ",".join(dict.fromkeys(f"{low:.4g}:{high:.4g}" for low, high in self.ranges))

    def is_close(self, other: Normalization, tolerance: float = 1.0) -> bool:
        """Return whether two normalizations give nearly the same input values.

        The result is true if, in each channel, this holds for the pixel values p = 0 and p = 255 (and therefore for all
        values between them, because the left side is convex in p):

            abs((p - mean1) / std1 - (p - mean2) / std2) * min(std1, std2) <= tolerance

        For example, (p - 127.5) / 127.5 is close to (p - 127) / 128.

        Args:
            other: normalization to compare with.
            tolerance: maximum difference, in units of pixel values.
        """
        return all(
            abs((pixel - mean) / std - (pixel - other_mean) / other_std) * min(std, other_std) <= tolerance
            for mean, std, other_mean, other_std in zip(
                self._channels(), self._stds(), other._channels(), other._stds(), strict=True
            )
            for pixel in (0, _PIXEL)
        )

    def _channels(self) -> tuple[float, ...]:
        return self.mean * (3 // len(self.mean))

    def _stds(self) -> tuple[float, ...]:
        return self.std * (3 // len(self.std))


BACKBONE = Normalization((127.5,), (127.5,))
"""Input range [-1, 1], with which all backbones of poets_edge and of the codelab were trained."""

PIXELS = Normalization((128.0,), (128.0,))
"""Normalization for which a uint8 input with scale 1/128 and zero point 128 accepts pixels unchanged."""

UNIT = Normalization((0.0,), (255.0,))
"""Input range [0, 1]."""

RAW = Normalization((0.0,), (1.0,))
"""Input range [0, 255]: pixel values are unchanged."""


def is_sound(mean: tuple[float, ...], std: tuple[float, ...]) -> bool:
    """Return whether means and standard deviations are valid.

    There must be one or three finite means, and the same number of standard deviations between 1e-6 and 1e6.
    """
    finite = len(mean) == len(std) and len(mean) in (1, 3) and all(map(math.isfinite, (*mean, *std)))
    return finite and all(_MIN_STD <= value <= _MAX_STD for value in std)


def parse_input_range(text: str) -> Normalization:
    """Convert the input range of a model to the normalization of its pixel values.

    An input range consists of the input values that correspond to the pixel values 0 and 255.

    Args:
        text: a range such as "-1:1", "0:1" or "0:255"; or three ranges for red, green and blue, separated by commas.

    Raises:
        UsageError: the text is not a range, or the range is too small or too large.
    """
    try:
        ends = [tuple(float(word) for word in part.split(":")) for part in text.split(",")]
    except ValueError:
        ends = []
    if len(ends) not in (1, 3) or any(len(pair) != 2 for pair in ends):
        raise UsageError(f"`input_range` {text}: expected the lowest and the highest value, as in -1:1.")
    if not all(math.isfinite(low) and math.isfinite(high) and low < high for low, high in ends):
        raise UsageError(f"`input_range` {text}: the first value must be below the second, as in -1:1.")
    stds = tuple(_PIXEL / (high - low) for low, high in ends)
    found = Normalization(tuple((0 - low) * std for (low, _), std in zip(ends, stds, strict=True)), stds)
    if not is_sound(found.mean, found.std):
        raise UsageError(f"`input_range` {text}: out of range; models take -1:1, 0:1 or 0:255.")
    return found


def _common(values: tuple[float, ...]) -> str:
    """Format values with four significant digits: as one number if they are equal, else separated by "/"."""
    texts = [f"{value:.4g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else "/".join(texts)
