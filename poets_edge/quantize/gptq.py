"""Rounding convolution weights to 8 bits so that the errors cancel in the layer's output.

The converter rounds each weight by itself. Here weights are rounded one input after the other, and the error each
makes is spread over those still to come, as the Hessian of the layer's squared error over the calibration photos says
(GPTQ: Frantar et al., "Accurate Post-Training Quantization for Generative Pre-trained Transformers", 2022, after
Hassibi and Stork's Optimal Brain Surgeon, 1993). The result is again a float graph, whose weights now lie on the grid
that the converter will choose for each output channel, so it changes nothing more.

Without this, int8 answered 96 of 100 unseen flower photos as float does at 0.50_224; with it, see
`benchmarks/results/quantization_accuracy.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.nets.graphdef import attribute, constant_of, copy_of, set_constant

Array = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

# A layer's inputs are sampled, at most so many places in each photo: neighbours say nearly the same.
_PLACES = 128
# Correlations of more inputs than this are too large to hold and invert in a moment (only Inception has such layers).
_MOST_INPUTS = 1152
_LEVELS = 127
# Share of the mean diagonal added to the diagonal, for inputs that hardly vary (the paper's value).
_DAMPING = 0.01
_BLOCK = 64


@dataclass(frozen=True)
class Convolution:
    """A convolution whose weights can be rounded.

    Attributes:
        source: name of what gives its input.
        depthwise: each output sees one input channel.
        weights: float32 [height, width, input channels, outputs], or [height, width, channels, 1] of a depthwise one.
        strides: (down, right).
        padding: "SAME" or "VALID".
    """

    source: str
    depthwise: bool
    weights: Array
    strides: tuple[int, int]
    padding: str

    @property
    def kernel(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.weights.shape[:2]
        return height, width

    def can_be_rounded(self) -> bool:
        """Whether the correlations of its inputs can be held."""
        height, width, channels, multiplier = self.weights.shape
        return bool(multiplier == 1 if self.depthwise else height * width * channels <= _MOST_INPUTS)


class Hessian:
    """Sums, over photos, products of every two inputs of one output: [groups, inputs, inputs].

    A depthwise layer has a group for each channel, with the kernel's places as inputs; an ordinary one has one group.
    """

    def __init__(self, layer: Convolution) -> None:
        height, width, channels, _ = layer.weights.shape
        groups, inputs = (channels, height * width) if layer.depthwise else (1, height * width * channels)
        self.sums = np.zeros((groups, inputs, inputs), np.float32)
        self._layer = layer

    def add(self, pixels: Array, rng: np.random.Generator) -> None:
        """Add one photo's input of the layer, float32 [height, width, channels]."""
        self.sums += self.products([self.taken(pixels, self.places(pixels.shape, rng))])

    def places(self, shape: Sequence[int], rng: np.random.Generator) -> Places:
        """Choose places in the layer's output, int64 [samples]; `shape` is its input's (height, width, channels)."""
        rows, columns = (count for count, _ in _outputs(shape, self._layer))
        return rng.permutation(rows * columns)[:_PLACES]

    def taken(self, pixels: Array, places: Places) -> Array:
        """The share of one photo's input in `products`, float32.

        The samples of an ordinary layer, [samples, inputs]; of a depthwise one already their products, which are small:
        [groups, inputs, inputs].
        """
        patches = _patches(pixels, self._layer, places)
        return _channel_products(patches) if self._layer.depthwise else patches.reshape(len(patches), -1)

    def products(self, taken: Sequence[Array]) -> Array:
        """The summands of some photos, float32 [groups, inputs, inputs].

        One matrix product over the samples of several photos takes half the time of one for each, and of adding them.
        """
        if self._layer.depthwise:
            return np.asarray(sum(taken[1:], start=taken[0]))
        samples = np.concatenate(taken)
        return np.asarray(samples.T @ samples)[None]

    def rounded(self) -> Array:
        """The layer's weights on the 8-bit grid."""
        weights = self._layer.weights
        if self._layer.depthwise:
            inputs, channels = weights.shape[0] * weights.shape[1], weights.shape[2]
            by_channel = weights.reshape(inputs, channels).T[:, :, None]  # [channels, places, 1]
            return np.reshape(_round(by_channel, self.sums)[:, :, 0].T, weights.shape)
        return _round(weights.reshape(1, -1, weights.shape[3]), self.sums).reshape(weights.shape)


def round_weights(graph: Any, activations: Iterable[dict[str, Array]]) -> Any:
    """A copy of a frozen graph with the weights of its convolutions rounded to 8 bits.

    Args:
        activations: for each calibration photo the outputs of the nodes in `sources(graph)`, each
            float32 [1, height, width, channels].
    """
    rounded = copy_of(graph)
    layers = _convolutions(rounded)
    hessians = [(Hessian(layer), layer, node) for layer, node in layers]
    rng = np.random.default_rng(0)
    for outputs in activations:
        for hessian, layer, _ in hessians:
            hessian.add(outputs[layer.source][0], rng)
    for hessian, _, node in hessians:
        set_constant(node, hessian.rounded())
    return rounded


def sources(graph: Any) -> list[str]:
    """The nodes whose outputs `round_weights` wants to see."""
    return list(dict.fromkeys(layer.source for layer, _ in _convolutions(graph)))


def _convolutions(graph: Any) -> list[tuple[Convolution, Any]]:
    """Those of a frozen graph whose weights are constants, in the graph's order, each with its weights' node."""
    nodes = {node.name: node for node in graph.node}
    found = []
    for node in graph.node:
        if node.op not in ("Conv2D", "DepthwiseConv2dNative"):
            continue
        source, weights = (name.partition(":")[0] for name in node.input[:2])
        constant = nodes[weights]
        while constant.op == "Identity":
            constant = nodes[constant.input[0].partition(":")[0]]
        plain = set(attribute(node, "dilations").list.i) <= {1} and attribute(node, "data_format").s in (b"", b"NHWC")
        if constant.op == "Const" and plain:
            _, down, right, _ = attribute(node, "strides").list.i
            depthwise, padding = node.op != "Conv2D", attribute(node, "padding").s.decode()
            layer = Convolution(source, depthwise, constant_of(constant), (down, right), padding)
            found += [(layer, constant)] if layer.can_be_rounded() else []
    return found


def _round(weights: Array, hessian: Array) -> Array:
    """Round [groups, inputs, outputs] with error feedback, given [groups, inputs, inputs].

    Every output's largest weight stays at its place, the grid's end, so that the converter finds the same grid.
    """
    groups, inputs, _ = weights.shape
    left = weights.astype(np.float64)
    largest = np.abs(left).argmax(axis=1)
    step = np.maximum(np.abs(left).max(axis=1), 1e-12) / _LEVELS
    hessian = hessian.astype(np.float64)
    diagonal = np.einsum("gii->gi", hessian)  # a view
    diagonal += np.maximum(_DAMPING * diagonal.mean(axis=1, keepdims=True), 1e-9)
    # Row i of this upper factor says how the inputs after i make up for an error in input i.
    feedback = np.linalg.cholesky(np.linalg.inv(hessian)).transpose(0, 2, 1)
    rounded = np.empty_like(left)
    for start in range(0, inputs, _BLOCK):
        end = min(start + _BLOCK, inputs)
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


def _patches(pixels: Array, layer: Convolution, places: Places) -> Array:
    """The inputs under the kernel at some places of the output: [samples, places in the kernel, channels]."""
    height, width = pixels.shape[:2]
    kernel_height, kernel_width = layer.kernel
    (_, above), (columns, before) = _outputs(pixels.shape, layer)
    inside_kernel = np.arange(kernel_height * kernel_width)
    rows = (places // columns * layer.strides[0] - above)[:, None] + inside_kernel // kernel_width
    across = (places % columns * layer.strides[1] - before)[:, None] + inside_kernel % kernel_width
    nearest = np.clip(rows, 0, height - 1) * width + np.clip(across, 0, width - 1)
    patches: Array = pixels.reshape(height * width, -1).take(nearest, axis=0)
    patches[(rows < 0) | (rows >= height) | (across < 0) | (across >= width)] = 0
    return patches


def _channel_products(patches: Array) -> Array:
    """[samples, places in the kernel, channels] -> for each channel the products of every two places, over all samples.

    Channels are multiplied side by side, as they lie: a matrix of each channel would have to be moved together first,
    which takes several times as long as all of this.
    """
    _, places, channels = patches.shape
    products = np.empty((places, places, channels), np.float32)
    for place in range(places):
        upto = slice(place + 1)
        products[place, upto] = np.einsum("sc,sjc->jc", patches[:, place], patches[:, upto])
        products[upto, place] = products[place, upto]
    return np.asarray(products.transpose(2, 0, 1))


def _outputs(shape: Sequence[int], layer: Convolution) -> list[tuple[int, int]]:
    """Down and across: how many outputs there are, and how many zeros come before (TensorFlow's SAME and VALID)."""
    found = []
    for length, inside, stride in zip(shape[:2], layer.kernel, layer.strides, strict=True):
        if layer.padding == "SAME":
            count = -(-length // stride)
            found.append((count, max((count - 1) * stride + inside - length, 0) // 2))
        else:
            found.append(((length - inside) // stride + 1, 0))
    return found
