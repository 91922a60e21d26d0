"""Infer a network's input range from the arithmetic and the weights in its first layers.

Networks that rescale their input accept pixels from 0 to 255 and map them to a small range around zero, either with a
multiplication and an addition or with both folded into the weights of the first convolution. Both forms can be
recognized in the graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.errors import ModelError
from poets_edge.photos.normalization import BACKBONE, RAW, UNIT, Normalization

_Array = npt.NDArray[np.float64]

_PIXEL_SCALES = (0.003, 0.05)
"""Range of the factors by which networks rescale pixels, 1/333 to 1/20. Examples: 1/255, 1/127.5, 1/57 (ImageNet)."""
_MAX_PIXEL_MEAN = 180.0
_UNIT_SCALES, _UNIT_MEANS = (0.8, 12.0), (0.2, 0.8)
"""Ranges of the factors and of the means with which networks standardize inputs from 0 to 1. Examples: 2 and 0.5, or
1/0.226 and 0.45 (ImageNet)."""
_MIN_UNIT_FACTOR = 3.3
"""If a network standardizes its input, as (x - mean) * factor with factor = 1 / standard deviation, a factor of this
value or more implies the range 0 to 1. A smaller factor is inconclusive, because it also occurs for inputs from -1 to
1: their standard deviation is twice as large, and their mean is positive if the photos are bright. A mean of 0.5
implies the range 0 to 1 for any factor."""
_MIDDLE = 0.005
"""Maximum difference from 0.5 at which a mean counts as 0.5, the middle of the range from 0 to 1."""
_SUBTRACTED_PIXELS = (90.0, 140.0)
"""Range of the channel means that Caffe networks subtract from pixels."""
_BLUE_FIRST = (3.0, 30.0)
"""Range of the third channel mean minus the first, in pixel values, for which the channels are assumed to be in the
order blue, green, red. The ImageNet means are 103.5 to 103.9 for blue and 123.7 for red."""
_IMAGENET = Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""ImageNet normalization of PyTorch's networks, in pixel values."""
_ROUNDING = 0.03
"""Tolerance for recognizing a quantized range as a common input range: maximum difference of either limit, as a
fraction of the width of the common range."""
_NEGLIGIBLE = 0.02
"""Inputs are assumed to be from 0 to 255 if inputs from -1 to 1 would change the results of the first convolution by
less than this, relative to its bias. The ratio is 0.003 for a MobileNet with rescaling folded into its first
convolution, and at least 0.6 for other networks."""


@dataclass(frozen=True)
class InferredNormalization:
    """A normalization of the input that was inferred from a network's first layers, and the reason.

    Attributes:
        normalization: how pixel values are converted to input values of the network.
        reason: what shows this, a clause for messages such as "it quantizes its input as values from -1 to 1".
    """

    normalization: Normalization
    reason: str


class BlueFirstError(ModelError):
    """Raised for a network whose first input channel is blue, as in OpenCV and Caffe."""


def check_channel_order(scale: npt.ArrayLike, offset: npt.ArrayLike) -> None:
    """Raise BlueFirstError if input * scale + offset subtracts channel means in the order blue, green, red.

    Args:
        scale, offset: one number, or one per channel.
    """
    factors, terms = np.broadcast_arrays(np.asarray(scale, np.float64).ravel(), np.asarray(offset, np.float64).ravel())
    if len(factors) != 3 or (factors <= 0).any() or not np.isfinite([factors, terms]).all():
        return
    means = 0.0 - terms / factors
    pixels = means * 255 if _within(means, _UNIT_MEANS) else means
    if _within(pixels, _SUBTRACTED_PIXELS) and _BLUE_FIRST[0] <= pixels[2] - pixels[0] <= _BLUE_FIRST[1]:
        raise BlueFirstError(
            f"its first layers subtract {_numbers(means)}, the means of blue, green and red, but photos are passed as"
            " red, green and blue. Reverse the channels in the model, as with x[..., ::-1]. If these means are of red,"
            " green and blue after all, specify the range: `input_range`=0:255 or 0:1"
        )


def evidence_of_arithmetic(scale: npt.ArrayLike, offset: npt.ArrayLike) -> InferredNormalization | None:
    """Infer the input range of a network that starts with input * scale + offset; None if the range is ambiguous.

    Args:
        scale, offset: one number, or one per channel.
    """
    factors, terms = np.broadcast_arrays(np.asarray(scale, np.float64).ravel(), np.asarray(offset, np.float64).ravel())
    if (factors <= 0).any() or not np.isfinite([factors, terms]).all():
        return None
    means = 0.0 - terms / factors
    what = f"its first layers compute (input - {_numbers(means)}) * {_numbers(factors)}"
    for normalization, scales, centers in (
        (RAW, _PIXEL_SCALES, (-1.0, _MAX_PIXEL_MEAN)),
        (RAW, (0.99, 1.01), _SUBTRACTED_PIXELS),
        (UNIT, _UNIT_SCALES, _UNIT_MEANS),
        (UNIT, (200.0, 300.0), (-0.01, 0.01)),
        (BACKBONE, (100.0, 150.0), (-1.1, -0.9)),
        (BACKBONE, (0.45, 0.55), (-1.1, -0.9)),
    ):
        if _within(factors, scales) and _within(means, centers):
            middle = bool((np.abs(means - 0.5) <= _MIDDLE).all())
            if scales is _UNIT_SCALES and not middle and factors.min() < _MIN_UNIT_FACTOR:
                return None
            return InferredNormalization(normalization, what)
    return None


def evidence_of_quantization(lowest: float, highest: float) -> InferredNormalization | None:
    """Infer the input range of a network that first quantizes its input; return None for an uncommon range.

    Args:
        lowest, highest: smallest and largest real number that the quantized values represent.
    """
    for normalization in (BACKBONE, UNIT, RAW, _IMAGENET):
        lows, highs = zip(*normalization.ranges, strict=True)
        low, high = min(lows), max(highs)
        if max(abs(lowest - low), abs(highest - high)) <= _ROUNDING * (high - low):
            return InferredNormalization(
                normalization, f"it quantizes its input as values from {lowest:.4g} to {highest:.4g}"
            )
    return None


def evidence_of_weights(weights: _Array, bias: _Array) -> InferredNormalization | None:
    """Infer that inputs are pixels from 0 to 255 if smaller inputs would hardly affect the first convolution's outputs.

    Networks with rescaling folded into the first convolution have such small weights. None is returned if the weights
    are larger, or if the biases, with which they are compared, are close to zero.

    Args:
        weights: kernel of the convolution, [outputs, ...].
        bias: biases of the convolution, [outputs].
    """
    typical = float(np.sqrt(np.mean(np.square(bias)))) if bias.size else 0.0
    if typical < 1e-3:
        return None
    effect = float(np.median(np.abs(weights).reshape(len(weights), -1).sum(axis=1))) / typical
    if not 0 < effect < _NEGLIGIBLE:
        return None
    return InferredNormalization(
        RAW,
        f"inputs from -1 to 1 would change the results of its first convolution by only {100 * effect:.1g} % of their"
        " bias",
    )


def _within(values: _Array, limits: tuple[float, float]) -> bool:
    return bool((values >= limits[0]).all() and (values <= limits[1]).all())


def _numbers(values: _Array) -> str:
    return ", ".join(dict.fromkeys(f"{value:.4g}" for value in values))
