"""A network: its layers with their numbers. What the writers write, and what reading weights or a graph gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from poets_edge.errors import WeightsError
from poets_edge.nets.layers import BOTTLENECK, Layer, Shape, shapes

Array = npt.NDArray[np.float32]

NORM_EPSILON = np.float32(1e-3)
"""Added to variances by the norms of MobileNet V1 and Inception V3, in Keras and in the codelab."""


@dataclass(frozen=True)
class Parameters:
    """The numbers of one layer, its norm folded in.

    Attributes:
        kernel: float32, of a convolution [height, width, inputs, outputs], of a depthwise one [height, width,
            channels, 1], of a dense layer [inputs, outputs].
        bias: float32 [outputs].
    """

    kernel: Array
    bias: Array

    def scaled(self, factors: Array, depthwise: bool) -> Parameters:
        """The numbers of the same layer with each output multiplied by its factor, float32 [outputs]."""
        columns = factors[:, None] if depthwise else factors
        return Parameters(self.kernel * columns, self.bias * factors)


@dataclass(frozen=True)
class Norm:
    """A batch norm at inference: (x - mean) / sqrt(variance + epsilon) * gamma + beta; each float32 [channels]."""

    beta: Array
    mean: Array
    variance: Array
    gamma: Array | None = None
    epsilon: np.float32 = NORM_EPSILON

    def factors_and_offsets(self) -> tuple[Array, Array]:
        """The factors it multiplies by, and the offsets it then adds.

        TensorFlow's converter does the same but for the root, which it takes from the processor's approximation,
        right to one or two last places; here it is rounded correctly, and so the same everywhere.
        """
        root = np.sqrt((self.variance + self.epsilon).astype(np.float64))
        factors = np.asarray(1 / root, np.float32)
        if self.gamma is not None:
            factors = factors * self.gamma
        return factors, self.beta - self.mean * factors


@dataclass(frozen=True)
class Network:
    """Layers and their numbers.

    Attributes:
        size: (height, width) of the picture, pixels.
        layers: in an order in which they can be computed; the last one's output is the network's.
        parameters: of every layer that has any, by its name.
    """

    size: tuple[int, int]
    layers: tuple[Layer, ...]
    parameters: Mapping[str, Parameters]

    @property
    def output(self) -> str:
        """Name of its last layer."""
        return self.layers[-1].name

    def shapes(self) -> dict[str, Shape]:
        """Of every layer's output, and of the input."""
        return shapes(self.layers, self.size)

    def with_head(self, weights: Array, biases: Array, final_name: str) -> Network:
        """The network followed by softmax(bottleneck @ weights + biases).

        Args:
            weights: float32 [bottleneck_size, classes].
            biases: float32 [classes].
        """
        dense = Layer("head/logits", "dense", (BOTTLENECK,), len(biases))
        softmax = Layer(final_name, "softmax", (dense.name,))
        numbers = Parameters(np.asarray(weights, np.float32), np.asarray(biases, np.float32))
        return replace(self, layers=(*self.layers, dense, softmax), parameters={**self.parameters, dense.name: numbers})


def checked(size: tuple[int, int], layers: Sequence[Layer], parameters: Mapping[str, Parameters]) -> Network:
    """A network whose numbers have the shapes its layers ask for, and are finite.

    Raises:
        WeightsError: they do not, or are not; the message names the layer, not the file.
    """
    known = shapes(layers, size)
    for layer in layers:
        if not layer.has_weights():
            continue
        numbers = parameters.get(layer.name)
        if numbers is None:
            raise WeightsError(f"no numbers for layer {layer.name}")
        wanted = layer.kernel_shape(known[layer.sources[0]][-1])
        if numbers.kernel.shape != wanted or numbers.bias.shape != known[layer.name][-1:]:
            raise WeightsError(f"{layer.name} is {list(numbers.kernel.shape)}, wanted {list(wanted)}")
        if not (np.isfinite(numbers.kernel).all() and np.isfinite(numbers.bias).all()):
            raise WeightsError(f"{layer.name} holds numbers that are not finite")
    return Network(size, tuple(layers), dict(parameters))
