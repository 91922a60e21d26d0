"""GPTQ: rounding of convolution weights to 8 bits so that the errors cancel in the layer's output.

A converter rounds each weight to the nearest level. GPTQ rounds the weights of one input after the other and corrects
the weights of the remaining inputs for each rounding error, using the Hessian of the layer's squared error over the
calibration photos (Frantar et al., "Accurate Post-Training Quantization for Generative Pre-trained Transformers", 2022,
after Hassibi and Stork's Optimal Brain Surgeon, 1993). The rounded weights are float32 values on the 8-bit grid of
their output channel.

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
"""Maximum number of positions of a layer's output that are sampled per photo; more positions add little information."""
_MAX_INPUTS = 1248
"""Maximum number of inputs of a layer that is rounded, which bounds the size of the Hessian to invert.
EfficientNet-Lite2's last projection has this number of inputs; only Inception V3 has layers with more."""
_LEVELS = 127
_DAMPING = 0.01
"""Fraction of the mean of the Hessian's diagonal that is added to the diagonal, as in the paper, so that the Hessian
can be inverted even if some inputs hardly vary."""
_BATCH = 64
"""Number of inputs whose rounding errors are passed on to the later inputs in one matrix product."""


@dataclass(frozen=True)
class GptqLayer:
    """Description of a convolution for GPTQ.

    Attributes:
        weights: float32 [height, width, input channels, outputs], or [height, width, channels, 1] if `depthwise`.
        depthwise: whether each output depends on one input channel only.
        strides: (vertical, horizontal).
        padding: "SAME" or "VALID".
    """

    weights: Array
    depthwise: bool
    strides: tuple[int, int]
    padding: str

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width of the kernel."""
        height, width = self.weights.shape[:2]
        return height, width

    def can_be_rounded(self) -> bool:
        """Return whether GPTQ can round the layer.

        This is the case for a depthwise layer with one output per channel, and for any other layer whose Hessian is
        small enough to be inverted.
        """
        height, width, channels, multiplier = self.weights.shape
        return bool(multiplier == 1 if self.depthwise else height * width * channels <= _MAX_INPUTS)


class Hessian:
    """Hessian of a layer's squared error, accumulated from samples of the layer's input.

    A depthwise layer has one group per channel, whose inputs are the kernel's positions. Other layers have one group.

    Attributes:
        moments: sums of the products of every two inputs over the samples, where the last input is the constant 1:
            float32 [groups, inputs + 1, inputs + 1].
    """

    def __init__(self, layer: GptqLayer) -> None:
        height, width, channels, _ = layer.weights.shape
        groups, inputs = (channels, height * width) if layer.depthwise else (1, height * width * channels)
        self.moments = np.zeros((groups, inputs + 1, inputs + 1), np.float32)
        self._layer = layer

    @property
    def sums(self) -> Array:
        """Sums of the products of every two inputs over the samples, float32 [groups, inputs, inputs]."""
        return self.moments[:, :-1, :-1]

    def add(self, pixels: Array, rng: np.random.Generator) -> None:
        """Add random samples of the layer's input for one photo, float32 [height, width, channels]."""
        self.moments += self.products([self.samples(pixels, self.positions(pixels.shape, rng))])

    def positions(self, shape: Sequence[int], rng: np.random.Generator) -> Positions:
        """Draw random positions in the layer's output, as indices into the flattened output, int64 [samples].

        Args:
            shape: (height, width, channels) of the layer's input.
        """
        rows, columns = (count for count, _ in _outputs(shape, self._layer))
        return rng.permutation(rows * columns)[:_POSITIONS]

    def samples(self, pixels: Array, positions: Positions) -> Array:
        """Return samples of the layer's input for one photo, to be passed to `products`.

        Args:
            pixels: input of the layer, float32 [height, width, channels].
            positions: result of `positions`.

        Returns:
            The inputs of the output positions, float32 [samples, inputs]. For a depthwise layer, their contribution to
            `moments`, which takes less memory: float32 [groups, inputs + 1, inputs + 1].
        """
        patches = _patches(pixels, self._layer, positions)
        return _channel_products(patches) if self._layer.depthwise else patches.reshape(len(patches), -1)

    def products(self, samples: Sequence[Array]) -> Array:
        """Return the contribution of several photos to `moments`, float32 [groups, inputs + 1, inputs + 1].

        One matrix product over the samples of several photos takes half the time of one product per photo.

        Args:
            samples: results of `samples`, one per photo.
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
        """Return the mean error of each output that rounding of the weights causes, float32 [outputs].

        Added to the bias, it makes the mean of each output over the samples equal to the mean before rounding (Nagel
        et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019).

        Args:
            rounded: result of `round_weights`.
        """
        means = self.moments[:, -1, :-1] / np.maximum(self.moments[:, -1, -1:], 1)
        errors = self._grouped(self._layer.weights - rounded)
        return np.asarray(np.einsum("gi,gio->go", means, errors).reshape(-1), np.float32)

    def _grouped(self, weights: Array) -> Array:
        """Return weights of the layer as [groups, inputs, outputs]."""
        if self._layer.depthwise:
            height, width, channels, _ = weights.shape
            return np.asarray(weights.reshape(height * width, channels).T[:, :, None])
        return weights.reshape(1, -1, weights.shape[3])

    def round_weights(self) -> Array:
        """Return the layer's weights rounded to the 8-bit grid, float32 in their original shape."""
        weights = self._layer.weights
        rounded = _round(self._grouped(weights), self.sums)
        return np.reshape(rounded[:, :, 0].T if self._layer.depthwise else rounded, weights.shape)


def _round(weights: Array, hessian: Array) -> Array:
    """Round weights to the 8-bit grid with error feedback.

    The largest weight of each output keeps its value, which is the end of the grid. The grid can therefore be derived
    from the rounded weights.

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
    """Return the inputs of some output positions, float32 [samples, kernel positions, channels]; 0 for padding."""
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
    """Sum the products of every two kernel positions, and of the constant 1, over all samples of each channel.

    All channels are multiplied at once, in their order in memory. A matrix product for each channel would need the
    channel's values next to each other, and moving them takes several times as long.

    Args:
        patches: [samples, kernel positions, channels].

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
    """Return (number of outputs, number of zeros padded in front), vertically and horizontally, as in TensorFlow."""
    found = []
    for length, inside, stride in zip(shape[:2], layer.kernel, layer.strides, strict=True):
        if layer.padding == "SAME":
            count = -(-length // stride)
            found.append((count, max((count - 1) * stride + inside - length, 0) // 2))
        else:
            found.append(((length - inside) // stride + 1, 0))
    return found
