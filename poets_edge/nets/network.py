"""Networks: layers with their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from poets_edge.errors import WeightsError
from poets_edge.nets.detector import Detector
from poets_edge.nets.layers import BOTTLENECK, Layer, Shape, shapes

Array = npt.NDArray[np.float32]

NORM_EPSILON = np.float32(1e-3)
"""Epsilon of the batch norms of MobileNet V1 and Inception V3, in Keras and in the codelab."""


@dataclass(frozen=True)
class Parameters:
    """Weights of one layer, with its batch norm folded in.

    Attributes:
        kernel: float32, with shape [height, width, inputs, outputs] for a convolution, [height, width, channels, 1] for
            a depthwise convolution, and [inputs, outputs] for a dense layer.
        bias: float32 [outputs].
    """

    kernel: Array
    bias: Array

    def scaled(self, factors: Array, depthwise: bool) -> Parameters:
        """Return the weights with each output multiplied by its factor in `factors`, float32 [outputs]."""
        columns = factors[:, None] if depthwise else factors
        return Parameters(self.kernel * columns, self.bias * factors)


@dataclass(frozen=True)
class Norm:
    """A batch norm at inference: (x - mean) / sqrt(variance + epsilon) * gamma + beta.

    Attributes:
        beta, mean, variance: float32 [channels].
        gamma: float32 [channels]; None if the norm has no scaling factor.
    """

    beta: Array
    mean: Array
    variance: Array
    gamma: Array | None = None
    epsilon: np.float32 = NORM_EPSILON

    def factors_and_offsets(self) -> tuple[Array, Array]:
        """Return factors and offsets, both float32 [channels], that express the batch norm as x * factor + offset.

        TensorFlow's converter computes them in the same way, but its square root has an error of one or two units in
        the last place. Here the square root is correctly rounded, so the result is the same on every processor.
        """
        root = np.sqrt((self.variance + self.epsilon).astype(np.float64))
        factors = np.asarray(1 / root, np.float32)
        if self.gamma is not None:
            factors = factors * self.gamma
        return factors, self.beta - self.mean * factors


@dataclass(frozen=True)
class Network:
    """A neural network: its layers and their weights.

    Attributes:
        size: (height, width) of the input, pixels.
        layers: all layers, each listed after its sources; the output of the last layer is the output of the network.
        parameters: weights, keyed by layer name; only for layers that have weights.
        detector: the unknown-photo detector, whose input is the layer BOTTLENECK; None if the network has no detector.
    """

    size: tuple[int, int]
    layers: tuple[Layer, ...]
    parameters: Mapping[str, Parameters]
    detector: Detector | None = None

    @property
    def output(self) -> str:
        """Name of the last layer."""
        return self.layers[-1].name

    def shapes(self) -> dict[str, Shape]:
        """Return the shapes of the network's input, named INPUT, and of the outputs of all layers, by name."""
        return shapes(self.layers, self.size)

    def with_head(self, weights: Array, biases: Array, final_name: str) -> Network:
        """Return a copy of the network with an added last layer, softmax(bottleneck @ weights + biases).

        Args:
            weights: float32 [bottleneck_size, classes].
            biases: float32 [classes].
            final_name: name of the softmax layer.
        """
        dense = Layer("head/logits", "dense", (BOTTLENECK,), len(biases))
        softmax = Layer(final_name, "softmax", (dense.name,))
        head = Parameters(np.asarray(weights, np.float32), np.asarray(biases, np.float32))
        return replace(self, layers=(*self.layers, dense, softmax), parameters={**self.parameters, dense.name: head})


def checked(size: tuple[int, int], layers: Sequence[Layer], parameters: Mapping[str, Parameters]) -> Network:
    """Return a network with the given layers and weights, after checking the shapes and values of the weights.

    Raises:
        WeightsError: weights do not have the shape that their layer requires, or are not finite; the message names the
            layer.
    """
    known = shapes(layers, size)
    for layer in layers:
        if not layer.has_weights():
            continue
        weights = parameters.get(layer.name)
        if weights is None:
            raise WeightsError(f"no numbers for layer {layer.name}")
        expected = layer.kernel_shape(known[layer.sources[0]][-1])
        if weights.kernel.shape != expected or weights.bias.shape != known[layer.name][-1:]:
            raise WeightsError(f"{layer.name} is {list(weights.kernel.shape)}, wanted {list(expected)}")
        if not (np.isfinite(weights.kernel).all() and np.isfinite(weights.bias).all()):
            raise WeightsError(f"{layer.name} holds numbers that are not finite")
    return Network(size, tuple(layers), dict(parameters))
