"""GPTQ: round convolution weights to 8 bits so that the rounding errors nearly cancel in the layer's output.

A converter rounds each weight to the nearest level. GPTQ rounds the weights of one input after another, and adjusts the
weights of the remaining inputs to compensate for each rounding error. It uses the Hessian of the layer's squared error
over the calibration photos (Frantar et al., "Accurate Post-Training Quantization for Generative Pre-trained
Transformers", 2022, after Hassibi and Stork's Optimal Brain Surgeon, 1993). The rounded weights are float32 values on
the 8-bit grid of their output channel.

`benchmarks/results/quantization_accuracy.md` documents the effect on accuracy. Without GPTQ, the int8 model of
mobilenet_0.50_224 agreed with the float32 model on 96 of 100 unseen flower photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]

_POSITIONS = 128
"""Maximum number of positions in a layer's output that are sampled per photo. More samples add little information."""
_MAX_INPUTS = 1248
"""GPTQ skips layers with more inputs than this, which limits the size of the Hessian that is inverted. Of the supported
networks, only Inception V3 has larger layers; the largest one in EfficientNet-Lite2 has exactly this number."""
_LEVELS = 127
_DAMPING = 0.01
"""Damping, as in the GPTQ paper: this fraction of the mean of the Hessian's diagonal is added to the diagonal, so that
the Hessian can be inverted even if some inputs hardly vary."""
_BATCH = 64
"""Number of inputs whose rounding errors are propagated to the remaining inputs in one matrix product."""


@dataclass(frozen=True)
class GptqLayer:
    """Convolution whose weights GPTQ rounds.

    Attributes:
        weights: float32 [height, width, input channels, outputs], or [height, width, channels, 1] if `depthwise`.
        depthwise: whether each output depends on one input channel only.
        strides: (vertical, horizontal) stride.
        padding: "SAME" or "VALID", as in TensorFlow.
    """

    weights: Array
    depthwise: bool
    strides: tuple[int, int]
    padding: str

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width of the convolution kernel."""
        height, width = self.weights.shape[:2]
        return height, width

    def can_be_rounded(self) -> bool:
        """Return whether GPTQ can round the layer.

        GPTQ supports depthwise layers with one output per channel, and other layers whose Hessian is small enough to
        be inverted.
        """
        height, width, channels, multiplier = self.weights.shape
        return bool(multiplier == 1 if self.depthwise else height * width * channels <= _MAX_INPUTS)


class Hessian:
    """Hessian of a layer's squared error, accumulated from input values at random output positions of photos (samples).

    Inputs are divided into groups. In a depthwise layer, each channel is a group, with one input per kernel position.
    In other layers, all inputs are in one group.

    Attributes:
        moments: for each pair of inputs, the sum of their products over all random positions of all photos; an input
            that is always 1 is added as the last one. float32 [groups, inputs + 1, inputs + 1].
    """

    def __init__(self, layer: GptqLayer) -> None:
        height, width, channels, _ = layer.weights.shape
        groups, inputs = (channels, height * width) if layer.depthwise else (1, height * width * channels)
        self.moments = np.zeros((groups, inputs + 1, inputs + 1), np.float32)
        self._layer = layer

    @property
    def sums(self) -> Array:
        """Sum of the products of each pair of inputs over all positions, float32 [groups, inputs, inputs]."""
        return self.moments[:, :-1, :-1]

    def add(self, pixels: Array, rng: np.random.Generator) -> None:
        """Add the products of the layer's input values for one photo, at random positions, to `moments`.

        Args:
            pixels: the layer's input, float32 [height, width, channels].
        """
        self.moments += self.products([self.samples(pixels, self.positions(pixels.shape, rng))])

    def positions(self, shape: Sequence[int], rng: np.random.Generator) -> Positions:
        """Choose random positions in the layer's output; return their indices in the flattened output, int64 [samples].

        Args:
            shape: (height, width, channels) of the layer's input.
        """
        rows, columns = (count for count, _ in _outputs(shape, self._layer))
        return rng.permutation(rows * columns)[:_POSITIONS]

    def samples(self, pixels: Array, positions: Positions) -> Array:
        """Return the input values of the layer for one photo at some positions, as required by `products`.

        Args:
            pixels: input of the layer, float32 [height, width, channels].
            positions: output positions that the method `positions` has chosen.

        Returns:
            The input values from which each output position is computed, float32 [positions, inputs]. For a depthwise
            layer, the terms that these values add to `moments` are returned instead, float32 [groups, inputs + 1,
            inputs + 1], because they need less memory.
        """
        patches = _patches(pixels, self._layer, positions)
        return _channel_products(patches) if self._layer.depthwise else patches.reshape(len(patches), -1)

    def products(self, samples: Sequence[Array]) -> Array:
        """Return the contribution of several photos to `moments`, float32 [groups, inputs + 1, inputs + 1].

        One matrix product for several photos takes half as long as one product per photo.

        Args:
            samples: for each photo, the value that the method `samples` returned.
        """
        if self._layer.depthwise:
            return np.asarray(sum(samples[1:], start=samples[0]))
        stacked = np.concatenate(samples)
        moments = np.empty_like(self.moments)
        moments[0, :-1, :-1] = stacked.T @ stacked
        moments[0, :-1, -1] = moments[0, -1, :-1] = stacked.sum(axis=0)
        moments[0, -1, -1] = len(stacked)
        return moments

    def bias_correction(self, rounded: Array) -> Array:
        """Return the mean error that rounding the weights causes in each output, float32 [outputs].

        Adding it to the bias restores the mean of each output over the samples (Nagel et al., "Data-Free Quantization
        Through Weight Equalization and Bias Correction", 2019).

        Args:
            rounded: weights that `round_weights` returned.
        """
        means = self.moments[:, -1, :-1] / np.maximum(self.moments[:, -1, -1:], 1)
        errors = self._grouped(self._layer.weights - rounded)
        return np.asarray(np.einsum("gi,gio->go", means, errors).reshape(-1), np.float32)

    def _grouped(self, weights: Array) -> Array:
        """Reshape weights of the layer to [groups, inputs, outputs]."""
        if self._layer.depthwise:
            height, width, channels, _ = weights.shape
            return np.asarray(weights.reshape(height * width, channels).T[:, :, None])
        return weights.reshape(1, -1, weights.shape[3])

    def round_weights(self) -> Array:
        """Return the layer's weights, rounded with GPTQ to multiples of each output's step size, as float32."""
        weights = self._layer.weights
        rounded = _round(self._grouped(weights), self.sums)
        return np.reshape(rounded[:, :, 0].T if self._layer.depthwise else rounded, weights.shape)


def _round(weights: Array, hessian: Array) -> Array:
    """Round weights to 8 bits with GPTQ; return them as float32 in the same shape.

    The weight of largest magnitude in each output defines the scale of the output and is not changed, so the scale can
    be computed again from the rounded weights.

    Args:
        weights: float32 [groups, inputs, outputs].
        hessian: float32 [groups, inputs, inputs].
    """
    groups, inputs, _ = weights.shape
    left = weights.astype(np.float64)
    largest = np.abs(left).argmax(axis=1)
    step = np.maximum(np.abs(left).max(axis=1), 1e-12) / _LEVELS
    hessian = hessian.astype(np.float64)
    diagonal = np.einsum("gii->gi", hessian)  # a view
    diagonal += np.maximum(_DAMPING * diagonal.mean(axis=1, keepdims=True), 1e-9)
    # Row i of this upper factor holds the corrections of the inputs after i for an error in input i.
    feedback = np.linalg.cholesky(np.linalg.inv(hessian)).transpose(0, 2, 1)
    rounded = np.empty_like(left)
    for start in range(0, inputs, _BATCH):
        end = min(start + _BATCH, inputs)
        errors = np.empty((groups, end - start, left.shape[2]))
        for i in range(start, end):
            value = left[:, i]
            level = np.clip(np.rint(value / step), -_LEVELS, _LEVELS)
            level = np.where(largest == i, np.sign(weights[:, i]) * _LEVELS, level)
            rounded[:, i] = level * step
            error = (value - rounded[:, i]) / feedback[:, i, i, None]
            errors[:, i - start] = error
            left[:, i + 1 : end] -= feedback[:, i, i + 1 : end, None] * error[:, None, :]
        left[:, end:] -= feedback[:, start:end, end:].transpose(0, 2, 1) @ errors
    return rounded.astype(np.float32)


def _patches(pixels: Array, layer: GptqLayer, positions: Positions) -> Array:
    """Return the input values that the given output positions depend on, with 0 for padding.

    The result has the shape [output positions, kernel positions, channels].
    """
    height, width = pixels.shape[:2]
    kernel_height, kernel_width = layer.kernel
    (_, above), (columns, before) = _outputs(pixels.shape, layer)
    inside_kernel = np.arange(kernel_height * kernel_width)
    rows = (positions // columns * layer.strides[0] - above)[:, None] + inside_kernel // kernel_width
    across = (positions % columns * layer.strides[1] - before)[:, None] + inside_kernel % kernel_width
    nearest = np.clip(rows, 0, height - 1) * width + np.clip(across, 0, width - 1)
    patches: Array = pixels.reshape(height * width, -1).take(nearest, axis=0)
    patches[(rows < 0) | (rows >= height) | (across < 0) | (across >= width)] = 0
    return patches


def _channel_products(patches: Array) -> Array:
    """Return what the input values of a depthwise layer for one photo add to `Hessian.moments`.

    For each channel, the products of the values at each pair of kernel positions are summed over output positions. All
    channels are processed at once. A matrix product per channel would require transposing the values, which takes
    several times as long.

    Args:
        patches: result of `_patches`, float32 [output positions, kernel positions, channels].

    Returns:
        float32 [channels, kernel positions + 1, kernel positions + 1].
    """
    samples, positions, channels = patches.shape
    products = np.empty((positions + 1, positions + 1, channels), np.float32)
    products[-1, :-1] = products[:-1, -1] = patches.sum(axis=0)
    products[-1, -1] = samples
    for position in range(positions):
        upto = slice(position + 1)
        products[position, upto] = np.einsum("sc,sjc->jc", patches[:, position], patches[:, upto])
        products[upto, position] = products[position, upto]
    return np.asarray(products.transpose(2, 0, 1))


def _outputs(shape: Sequence[int], layer: GptqLayer) -> list[tuple[int, int]]:
    """Return the output length and the leading padding along each axis, as TensorFlow computes them.

    Returns:
        (length, padding) for the vertical axis, and (length, padding) for the horizontal axis.
    """
    found = []
    for length, inside, stride in zip(shape[:2], layer.kernel, layer.strides, strict=True):
        if layer.padding == "SAME":
            count = -(-length // stride)
            found.append((count, max((count - 1) * stride + inside - length, 0) // 2))
        else:
            found.append(((length - inside) // stride + 1, 0))
    return found
