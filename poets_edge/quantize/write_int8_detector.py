"""Write the unknown-photo detector as int8 operators of a full-int8 `.tflite`.

The formula is that of `poets_edge.nets.detector.Detector`, rearranged for 8-bit arithmetic:

- The bottleneck is not divided by its length but multiplied by the output of RSQRT, because microcontrollers and NPUs
  support this operator, unlike a division.
- Before the projections are rounded, the layer that computes them centers them with its bias, and scales them so that
  an error of one step has about the same effect on the distance in all directions.
- The biases of the layers are corrected for the mean effect of rounding their weights, which would otherwise change all
  distances by up to 0.03.
- Squares and projections share one quantization, so that one layer adds all terms of the distance in 32 bits. Only the
  sum, which is between 0 and 4, is rounded to 8 bits.

No output is negative, because interpreters differ in how they round negative values halfway between two integers (see
`write_full_int8`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
_LENGTH = 50.0
"""Factor by which deviations of the squared length of a unit vector from 1 are scaled."""
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
        largest = np.abs((projected - centers) * weights).max(axis=0)
        if detector.inner is None:
            largest = np.full_like(largest, largest.max())
        else:  # the linear terms of an inner layer are so large that squares would otherwise be rounded to zero
            largest = np.where(square, largest[square].max(), largest)
        factors = np.maximum(weights, _SMALLEST) * _CENTER / np.maximum(_PROJECTION_HEADROOM * largest, _SMALLEST)
        return cls(factors, _CENTER - centers * factors)


def add_int8_detector(
    model: Any,
    bottleneck: int,
    detector: Detector,
    bottlenecks: npt.NDArray[np.float32],
    *,
    inner: tuple[int, npt.NDArray[np.float32]] | None = None,
) -> int:
    """Append the operators that compute the distance from the training photos; return the index of the output tensor.

    Args:
        model: a `ModelT`, changed in place.
        detector: weights of the unknown-photo detector.
        bottleneck: index of the int8 tensor with the bottleneck, [1, bottleneck_size].
        bottlenecks: bottlenecks of calibration photos, float32 [photos, bottleneck_size].
        inner: index of the int8 tensor with the output of the inner layer that the detector reads (a layer in the
            middle of a fine-tuned backbone), [1, height, width, channels], and for each calibration photo, this output
            averaged over height and width, float32 [photos, channels]; None if the detector reads only the bottleneck.

    Returns:
        The index of the tensor DISTANCE, int8 [1, 1].
    """
    write = Int8Writer(model, _PREFIX)
    directions = len(detector.offsets)
    parts = [_Part("", write.read(bottleneck), bottlenecks, detector.projection)]
    if detector.inner is not None:
        assert inner is not None, "the detector has an inner layer"
        parts.append(_Part("inner_", _add_mean(write, *inner), inner[1], detector.inner.weights))
    projected = np.hstack([part.units @ part.projection for part in parts]) + detector.offsets
    scaling = _Scaling.over(detector, projected)
    factors, shifts = scaling.factors, scaling.shifts
    found = _add_projections(write, parts, factors, detector.offsets * factors + shifts)
    scaled = projected * factors + shifts
    if detector.inner is not None:
        found.append(_add_length(write, parts[-1]))
        detector, factors, shifts = (
            _with_length(detector, parts[-1]),
            np.append(factors, _LENGTH),
            np.append(shifts, _CENTER),
        )
        scaled = np.column_stack([scaled, np.full(len(scaled), _CENTER)])
        directions += 1
    projections = found[0]
    if len(found) > 1:
        projections = write.append("CONCATENATION", "both", found, directions, _PROJECTION, axis=1)
    means = np.concatenate([scaled.mean(axis=0), ((scaled - _CENTER) ** 2).mean(axis=0)])
    center = write.constant("center", _CENTER, _PROJECTION)
    squares = write.append("SQUARED_DIFFERENCE", "squares", [projections, center], directions, _PROJECTION)
    terms = write.append("CONCATENATION", "terms", [projections, squares], 2 * directions, _PROJECTION, axis=1)
    # Subtracted from the largest distance, because only the maximum over classes is supported everywhere.
    quadratic = np.repeat((detector.quadratic / factors**2)[:, None], len(detector.biases), axis=1)
    linear = detector.linear / factors[:, None]
    constants = _FARTHEST + detector.biases - shifts @ linear
    if detector.inner is not None:
        constants = constants - _mean_rounding_error(scaled) @ quadratic
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


def _mean_rounding_error(scaled: Array) -> Array:
    """Return the mean difference between the squares of projections and their 8-bit values, float64 [directions].

    Small squares are rounded to zero.

    Args:
        scaled: scaled projections of the calibration photos, float64 [photos, directions].
    """
    step = float(_PROJECTION.scale)
    rounded = np.rint((np.rint(scaled / step) * step - _CENTER) ** 2 / step) * step
    return np.asarray(((scaled - _CENTER) ** 2 - rounded).mean(axis=0))


@dataclass(frozen=True, eq=False)
class _Part:
    """Vector that the detector scales to unit length and projects: the bottleneck, or the inner layer's mean output.

    Attributes:
        prefix: first part of the names of the tensors that are written for this vector.
        tensor: index of the int8 tensor with the vector, [1, size].
        vectors: values of that vector for the calibration photos, float32 [photos, size].
        projection: float32 [size, directions].
    """

    prefix: str
    tensor: int
    vectors: npt.NDArray[np.float32]
    projection: npt.NDArray[np.float32]

    @property
    def units(self) -> Array:
        """The vectors scaled to unit length, float64 [photos, size]."""
        lengths = np.maximum(np.linalg.norm(self.vectors, axis=1, keepdims=True), _SMALLEST)
        return np.asarray(self.vectors / lengths.astype(np.float64))


def _add_projections(write: Int8Writer, parts: list[_Part], factors: Array, biases: Array) -> list[int]:
    """Append the operators that scale one or two vectors to unit length and project them.

    Args:
        factors, biases: factor and bias of each direction, float64 [directions]; the directions of the first vector
            precede those of the second.

    Returns:
        The indices of the tensors with the projections, [1, directions of the vector], one per vector.
    """
    found, start = [], 0
    for part in parts:
        some = slice(start, start + part.projection.shape[1])
        unit = _add_unit_vector(write, part)
        kernel, mean = part.projection * factors[some], part.units.mean(axis=0)
        name = f"{part.prefix}projections"
        found.append(write.dense(name, unit, kernel, biases[some], _PROJECTION, mean_input=mean))
        start = some.stop
    return found


def _with_length(detector: Detector, part: _Part) -> Detector:
    """Return a detector with an additional direction: the squared length of the inner layer's vector v, minus 1.

    Without this direction, the formula assumes that v has unit length. In 8 bits, however, its length has an error of
    up to one percent, because the factor that scales v has 8 bits. The distance contains a multiple of

        |v - mean|^2 = |v|^2 - 2 v'mean + |mean|^2

    An error in the length of v hardly changes this sum, but it changes the linear term -2 v'mean, so |v|^2 must be
    computed too.
    """
    slope = detector.linear[-1] / (2 * float(np.linalg.norm(part.units.mean(axis=0))))
    return replace(
        detector,
        quadratic=np.append(detector.quadratic, np.float32(0)),
        linear=np.vstack([detector.linear, np.asarray(slope, np.float32)]),
        background=np.append(detector.background, np.float32(0)),
    )


def _add_length(write: Int8Writer, part: _Part) -> int:
    """Append the operators that compute _CENTER + _LENGTH * (|u|^2 - 1), where u is the unit vector of a part.

    Returns:
        The index of the tensor with the result, [1, 1].
    """
    unit, size = write.find(f"{part.prefix}unit_vector"), part.units.shape[1]
    step = float(write.params[unit].scale)
    squares = (np.rint(part.units / step) * step) ** 2
    params = QuantParams.over(0, _HEADROOM * float(squares.max()))
    mean = float((np.rint(squares / params.scale) * params.scale).sum(axis=1).mean())
    squared = write.append("MUL", f"{part.prefix}unit_squares", [unit, unit], size, params)
    name = f"{part.prefix}unit_length"
    return write.dense(name, squared, np.full((size, 1), _LENGTH), [_CENTER - _LENGTH * mean], _PROJECTION)


def _add_mean(write: Int8Writer, layer: int, averages: npt.NDArray[np.float32]) -> int:
    """Append the operator that averages the output of a layer over height and width; return the index of the result.

    Args:
        layer: index of the int8 tensor with the layer's output, [1, height, width, channels].
        averages: expected results for the calibration photos, float32 [photos, channels], which determine the
            quantization range.
    """
    write.read(layer)
    params = QuantParams.over(float(averages.min()), _HEADROOM * float(averages.max()))
    return write.mean("inner_mean", layer, averages.shape[1], params)


def _add_unit_vector(write: Int8Writer, part: _Part) -> int:
    """Append the operators that divide a vector by its Euclidean length; return the index of the result."""
    prefix, tensor = part.prefix, part.tensor
    step = float(write.params[tensor].scale)
    rounded = np.rint(part.vectors.astype(np.float64) / step) * step
    size, squares = rounded.shape[1], rounded * rounded
    square_params = QuantParams.over(0, float(squares.max()))
    sums = squares.sum(axis=1)
    length_params = QuantParams.over(0, _HEADROOM * float(sums.max()))
    inverse_params = QuantParams.over(0, _HEADROOM / max(float(np.sqrt(sums.min())), step))
    units = rounded / np.sqrt(np.maximum(sums, step * step))[:, None]
    squared = write.append("MUL", f"{prefix}squared_bottleneck", [tensor, tensor], size, square_params)
    slope, offset = _sum_of_rounded(squares, square_params)
    length = write.dense(f"{prefix}squared_length", squared, np.full((size, 1), slope), [offset], length_params)
    inverse = write.append("RSQRT", f"{prefix}inverse_length", [length], 1, inverse_params)
    unit_params = QuantParams.over(float(units.min()), float(units.max()))
    return write.append("MUL", f"{prefix}unit_vector", [tensor, inverse], size, unit_params)


def _sum_of_rounded(squares: Array, params: QuantParams) -> tuple[float, float]:
    """Fit a line that predicts the sum of squares from the sum of rounded squares; return its slope and offset.

    The line corrects the effect of rounding, which is noticeable because most squares are only a few quantization
    steps.
    """
    rounded = (np.rint(squares / params.scale) * params.scale).sum(axis=1)
    spread = float(rounded.var())
    if spread < _SMALLEST:
        return 1.0, 0.0
    sums = squares.sum(axis=1)
    slope = float(((rounded - rounded.mean()) * (sums - sums.mean())).mean()) / spread
    return slope, float(sums.mean() - slope * rounded.mean())
