"""Write the unknown-photo detector as int8 operators of a full-int8 `.tflite`.

The formula is that of `poets_edge.nets.detector.Detector`, arranged for 8 bits:

- The bottleneck is divided by its length as a product with the output of RSQRT, an operator that microcontrollers and
  NPUs support, unlike a division.
- Before the projections are rounded, the layer that computes them centers them with its bias, and scales them so that
  an error of one step has about the same effect on the distance in all directions.
- The biases of the layers are corrected for the mean effect of rounding their weights, which would otherwise change all
  distances by up to three hundredths.
- Squares and projections share one quantization, so that one layer adds all terms of the distance in 32 bits. Only the
  sum, which is between 0 and 4, is rounded to 8 bits.

No output is negative, because interpreters round negative ties differently (see `write_full_int8`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.nets.detector import Detector
from poets_edge.quantize.int8_operators import Int8Writer
from poets_edge.quantize.write_detector import UINT8_SCALE
from poets_edge.quantize.write_int8 import QuantParams
from poets_edge.tflite.distance import DISTANCE

_PREFIX = "detector/"

_PROJECTION = QuantParams(np.float32(1 / 64), -128)
"""Quantization with a range from 0 to 4, for the projections and for the squares of their differences from _CENTER."""
_CENTER = 2.0
_DISTANCE = QuantParams(UINT8_SCALE, -128)
_FARTHEST = 255 * float(UINT8_SCALE)
"""Largest distance that the quantization _DISTANCE can represent."""
_HEADROOM = 1.3
"""Ratio of the largest value that an 8-bit tensor can represent to the largest value for a calibration photo. It
exceeds 1 because unknown photos have larger values."""
_PROJECTION_HEADROOM = 1.7
"""Like _HEADROOM, but for the projections. With 1.3, a model of surface defects accepted one in 18 everyday photos,
because their projections were clipped, and so were their distances; with 2, the verdicts of the full-int8 and float32
files differ for more photos close to the limit."""
_SMALLEST = 1e-6

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Scaling:
    """Factor and shift for each direction: the int8 model computes y * factors + shifts, with y as in `Detector`.

    Attributes:
        factors: float64 [directions].
        shifts: float64 [directions]; _CENTER for directions whose squared projections are terms of the distance from
            the training photos.
    """

    factors: Array
    shifts: Array

    @classmethod
    def over(cls, detector: Detector, projected: Array) -> _Scaling:
        """Return the scaling that makes full use of 8 bits, given the projections of calibration photos.

        Args:
            projected: projections of the calibration photos, y in `Detector`, float64 [photos, directions].
        """
        square = detector.quadratic != 0
        slopes = np.maximum(np.abs(detector.linear).max(axis=1), np.abs(detector.background))
        weights = np.maximum(np.sqrt(np.abs(detector.quadratic)), slopes)
        centers = np.where(square, 0, projected.mean(axis=0))
        largest = float(np.abs((projected - centers) * weights).max())
        factors = np.maximum(weights, _SMALLEST) * _CENTER / max(_PROJECTION_HEADROOM * largest, _SMALLEST)
        return cls(factors, _CENTER - centers * factors)


def add_int8_detector(model: Any, bottleneck: int, detector: Detector, bottlenecks: npt.NDArray[np.float32]) -> int:
    """Append the operators that compute the distance from the training photos; return the index of the output tensor.

    Args:
        model: a `ModelT`, changed in place.
        bottleneck: index of the int8 tensor with the bottleneck, [1, bottleneck_size].
        bottlenecks: bottlenecks of calibration photos, float32 [photos, bottleneck_size].

    Returns:
        The index of the tensor DISTANCE, int8 [1, 1].
    """
    write = Int8Writer(model, _PREFIX)
    write.read(bottleneck)
    directions = len(detector.offsets)
    unit = _add_unit_vector(write, bottleneck, bottlenecks.astype(np.float64))
    units = bottlenecks / np.maximum(np.linalg.norm(bottlenecks, axis=1, keepdims=True), _SMALLEST).astype(np.float64)
    projected = units @ detector.projection + detector.offsets
    scaling = _Scaling.over(detector, projected)
    factors, shifts = scaling.factors, scaling.shifts
    kernel, bias = detector.projection * factors, detector.offsets * factors + shifts
    projections = write.dense("projections", unit, kernel, bias, _PROJECTION, mean_input=units.mean(axis=0))
    scaled = projected * factors + shifts
    means = np.concatenate([scaled.mean(axis=0), ((scaled - _CENTER) ** 2).mean(axis=0)])
    center = write.constant("center", _CENTER, _PROJECTION)
    squares = write.append("SQUARED_DIFFERENCE", "squares", [projections, center], directions, _PROJECTION)
    terms = write.append("CONCATENATION", "terms", [projections, squares], 2 * directions, _PROJECTION, axis=1)
    # Subtracted from the largest distance, because only the maximum over classes is supported everywhere.
    quadratic = np.repeat((detector.quadratic / factors**2)[:, None], len(detector.biases), axis=1)
    linear = detector.linear / factors[:, None]
    constants = _FARTHEST + detector.biases - shifts @ linear
    weights = np.vstack([linear, -quadratic])
    classes = write.dense("classes", terms, weights, constants, _DISTANCE, mean_input=means)
    nearness = write.maximum("nearest", classes)
    if detector.has_background:
        away = -detector.background[:, None] / factors[:, None]
        constant = _FARTHEST - detector.background_bias - shifts @ away
        mean = means[:directions]
        to_background = write.dense("to_background", projections, away, constant, _DISTANCE, mean_input=mean)
        nearness = write.append("MINIMUM", "nearness", [nearness, to_background], 1, _DISTANCE)
    distance = write.tensor(DISTANCE, 1, _DISTANCE)
    return write.dense_into(distance, nearness, np.array([[-1]]), [_FARTHEST])


def _add_unit_vector(write: Int8Writer, bottleneck: int, bottlenecks: Array) -> int:
    """Append the operators that divide a bottleneck by its Euclidean length; return the index of the result.

    Args:
        bottlenecks: bottlenecks of calibration photos, float64 [photos, bottleneck_size].
    """
    step = float(write.params[bottleneck].scale)
    rounded = np.rint(bottlenecks / step) * step
    size, squares = bottlenecks.shape[1], rounded * rounded
    square_params = QuantParams.over(0, float(squares.max()))
    sums = squares.sum(axis=1)
    length_params = QuantParams.over(0, _HEADROOM * float(sums.max()))
    inverse_params = QuantParams.over(0, _HEADROOM / max(float(np.sqrt(sums.min())), step))
    units = rounded / np.sqrt(np.maximum(sums, step * step))[:, None]
    squared = write.append("MUL", "squared_bottleneck", [bottleneck, bottleneck], size, square_params)
    slope, offset = _sum_of_rounded(squares, square_params)
    length = write.dense("squared_length", squared, np.full((size, 1), slope), [offset], length_params)
    inverse = write.append("RSQRT", "inverse_length", [length], 1, inverse_params)
    unit_params = QuantParams.over(float(units.min()), float(units.max()))
    return write.append("MUL", "unit_vector", [bottleneck, inverse], size, unit_params)


def _sum_of_rounded(squares: Array, params: QuantParams) -> tuple[float, float]:
    """Return the slope and the offset of the line that predicts the sum of squares from the sum of rounded squares.

    This corrects the effect of rounding, which is noticeable because most squares are only a few quantization steps.
    """
    rounded = (np.rint(squares / params.scale) * params.scale).sum(axis=1)
    spread = float(rounded.var())
    if spread < _SMALLEST:
        return 1.0, 0.0
    sums = squares.sum(axis=1)
    slope = float(((rounded - rounded.mean()) * (sums - sums.mean())).mean()) / spread
    return slope, float(sums.mean() - slope * rounded.mean())
