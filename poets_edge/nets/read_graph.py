"""Convert frozen GraphDefs to networks.

Graphs written by any version of `train`, and the backbones of the codelab "TensorFlow for Poets", are supported; other
graphs require TensorFlow's converter. Arithmetic on constants is evaluated. Factors and offsets that are applied to the
outputs of a convolution (a batch norm, in any of TensorFlow's forms) are folded into its kernel and bias, with the
order of operations and the rounding of TensorFlow's converter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.errors import ModelError, WeightsError
from poets_edge.nets.detector import detector_of
from poets_edge.nets.graphdef import attribute, constant_of
from poets_edge.nets.layers import BOTTLENECK, INPUT, Kind, Layer, Padding, shapes
from poets_edge.nets.network import Network, Norm, Parameters, checked

Array = npt.NDArray[Any]


class UnknownNetworkError(Exception):
    """Raised for a graph with a layer that `poets_edge.nets.layers` does not support; the message describes it."""


@dataclass(frozen=True)
class _Padded:
    """A tensor padded with zeros, which can only be the input of a convolution.

    Attributes:
        zeros: number of rows or columns of zeros, (top, bottom, left, right).
    """

    source: str
    zeros: tuple[int, int, int, int]


@dataclass(frozen=True)
class _Window:
    """Stride and padding of a convolution or a pool."""

    stride: int
    padding: Padding


def read_network(graph: Any, input_name: str, output: str, size: tuple[int, int]) -> Network:
    """Convert a graph to a network that ends with the node `output` and has the graph's unknown-photo detector.

    Args:
        size: (height, width) of the input, pixels.

    Raises:
        UnknownNetworkError: the graph contains unsupported layers.
    """
    reader = _Reader(graph, input_name, size)
    try:
        with np.errstate(all="ignore"):
            reader.read(output)
        network = checked(size, tuple(reader.layers.values()), reader.parameters)
        detector = detector_of(graph)
        known = network.shapes()
        if detector is not None and known.get(BOTTLENECK) != detector.projection.shape[:1]:
            raise UnknownNetworkError("a detector of unknown photos for another bottleneck")
        if detector is not None and detector.inner is not None:
            layer = reader.layer_of(detector.inner.layer)
            if len(known[layer]) != 3 or known[layer][2:] != detector.inner.weights.shape[:1]:
                raise UnknownNetworkError("a detector of unknown photos for another inner layer")
            detector = replace(detector, inner=replace(detector.inner, layer=layer))
        return replace(network, detector=detector)
    except (WeightsError, ModelError) as error:
        raise UnknownNetworkError(str(error)) from None
    except (IndexError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise UnknownNetworkError(f"a malformed node ({type(error).__name__}: {error})") from None


def known_network(graph: Any, input_name: str, output: str, size: tuple[int, int]) -> Network | None:
    """Convert a graph as `read_network` does, or return None if it contains unsupported layers."""
    try:
        return read_network(graph, input_name, output, size)
    except UnknownNetworkError:
        return None


class _Reader:
    def __init__(self, graph: Any, input_name: str, size: tuple[int, int]) -> None:
        self._nodes = {node.name: node for node in graph.node}
        self._uses = Counter(_name(source) for node in graph.node for source in node.input)
        self._size = size
        self._found: dict[str, str | Array | _Padded] = {input_name: INPUT}
        """Output of each node that was read: the name of a layer, constant values, or a padded tensor."""
        self.layers: dict[str, Layer] = {}
        self.parameters: dict[str, Parameters] = {}

    def read(self, output: str) -> None:
        """Read a node and all nodes that it depends on, and add their layers to `layers`, each after its sources."""
        for name in self._in_order(output):
            node = self._nodes[name]
            handler = _HANDLERS.get(node.op)
            if handler is None:
                raise UnknownNetworkError(f"operator {node.op}")
            self._found[name] = handler(self, node)
        last = self._found[output]
        if not isinstance(last, str) or last not in self.layers or last != next(reversed(self.layers)):
            raise UnknownNetworkError(f"{output} is not the output of its last layer")
        layer = self.layers.pop(last)
        self.layers[output] = replace(layer, name=output)
        if last in self.parameters:
            self.parameters[output] = self.parameters.pop(last)

    def layer_of(self, node: str) -> str:
        """Return the name of the layer whose output a node computes. Raises UnknownNetworkError if there is none."""
        found = self._found.get(node)
        if not isinstance(found, str):
            raise UnknownNetworkError("a detector of unknown photos for an unknown layer")
        return found

    def _in_order(self, output: str) -> Iterator[str]:
        waiting, done = [output], set(self._found)
        while waiting:
            name = waiting[-1]
            missing = [source for source in map(_name, self._nodes[name].input) if source not in done]
            if len(waiting) > len(self._nodes):
                raise UnknownNetworkError("a circle")
            if missing:
                waiting.append(missing[0])
                continue
            waiting.pop()
            if name not in done:
                done.add(name)
                yield name

    def constant(self, node: Any) -> Array:
        return constant_of(node)

    def alias(self, node: Any) -> Any:
        return self._found[_name(node.input[0])]

    def arithmetic(self, node: Any) -> str | Array:
        left, right = (self._found[_name(source)] for source in node.input[:2])
        if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
            return np.asarray(_ARITHMETIC[node.op](left, right), np.float32)
        if isinstance(left, str) and isinstance(right, str) and node.op in ("Add", "AddV2"):
            return self._sum(node.name, left, right)
        if isinstance(right, str) and node.op in ("Mul", "Add", "AddV2"):
            left, right = right, left
        if not isinstance(left, str) or not isinstance(right, np.ndarray):
            raise UnknownNetworkError(f"{node.op} of two pictures")
        return self._fold(left, node, **({"factors": right} if node.op == "Mul" else {"offsets": right}))

    def _sum(self, name: str, left: str, right: str) -> str:
        known = shapes(self.layers.values(), self._size)
        if known[left] != known[right]:
            raise UnknownNetworkError(f"a sum of shapes {list(known[left])} and {list(known[right])}")
        return self._add(Layer(name, "add", (left, right)))

    def inverse_root(self, node: Any) -> Array:
        return np.asarray(1 / np.sqrt(self._values(node, 0).astype(np.float64)), np.float32)

    def norm(self, node: Any) -> str:
        if attribute(node, "is_training").b:
            raise UnknownNetworkError("a norm that is being trained")
        gamma, beta, mean, variance = (self._values(node, index) for index in range(1, 5))
        epsilon = np.float32(attribute(node, "epsilon").f or 1e-4)
        factors, offsets = Norm(beta, mean, variance, gamma, epsilon).factors_and_offsets()
        folded = self._fold(self._layer(node), node, factors=factors)
        return self._fold(folded, node, offsets=offsets)

    def activation(self, node: Any) -> str:
        layer = self._open(self._layer(node), node)
        self.layers[layer.name] = replace(layer, activation="relu6" if node.op == "Relu6" else "relu")
        return layer.name

    def padded(self, node: Any) -> _Padded:
        sides = self._values(node, 1)
        if sides.shape != (4, 2) or sides[[0, 3]].any():
            raise UnknownNetworkError("padding of something else than height and width")
        (top, bottom), (left, right) = sides[1:3].tolist()
        return _Padded(self._layer(node), (top, bottom, left, right))

    def convolution(self, node: Any) -> str:
        kernel = self._values(node, 1)
        window, depthwise = _window(node), node.op != "Conv2D"
        if kernel.ndim != 4 or (depthwise and kernel.shape[3] != 1):
            raise UnknownNetworkError("a depthwise convolution with more than one output a channel")
        source = self._found[_name(node.input[0])]
        if isinstance(source, _Padded):
            window = self._with_zeros(source, kernel.shape[:2], window)
            source = source.source
        if not isinstance(source, str):
            raise UnknownNetworkError("a convolution of numbers")
        outputs = kernel.shape[2] if depthwise else kernel.shape[3]
        kind: Kind = "depthwise" if depthwise else "convolution"
        layer = Layer(node.name, kind, (source,), outputs, kernel.shape[:2], window.stride, window.padding)
        return self._add(layer, Parameters(kernel, np.zeros(outputs, np.float32)))

    def dense(self, node: Any) -> str:
        weights = self._values(node, 1)
        if attribute(node, "transpose_a").b or attribute(node, "transpose_b").b or weights.ndim != 2:
            raise UnknownNetworkError("a transposed MatMul")
        layer = Layer(node.name, "dense", (self._layer(node),), weights.shape[1])
        return self._add(layer, Parameters(weights, np.zeros(weights.shape[1], np.float32)))

    def pool(self, node: Any) -> str:
        window, (one, height, width, last) = _window(node), attribute(node, "ksize").list.i
        if (one, last) != (1, 1):
            raise UnknownNetworkError("a pool over channels")
        kind: Kind = "max_pool" if node.op == "MaxPool" else "average_pool"
        return self._add(
            Layer(node.name, kind, (self._layer(node),), 0, (height, width), window.stride, window.padding)
        )

    def concatenate(self, node: Any) -> str:
        *pictures, axis = (self._found[_name(source)] for source in node.input)
        if not isinstance(axis, np.ndarray) or axis.item() not in (3, -1):
            raise UnknownNetworkError("a concatenation of something else than channels")
        names = tuple(picture for picture in pictures if isinstance(picture, str))
        if len(names) != len(pictures):
            raise UnknownNetworkError("a concatenation of numbers")
        return self._add(Layer(node.name, "concatenate", names))

    def mean(self, node: Any) -> str:
        if sorted(self._values(node, 1).tolist()) != [1, 2] or attribute(node, "keep_dims").b:
            raise UnknownNetworkError("a mean over something else than height and width")
        return self._add(Layer(node.name, "mean", (self._layer(node),)))

    def reshaped(self, node: Any) -> str | Array:
        """Read a Reshape node, and return the reshaped constant or the name of the layer that the node belongs to.

        An average pool over the whole image, followed by the Reshape node, becomes a single layer: a mean.

        Raises:
            UnknownNetworkError: the node reshapes anything else.
        """
        values = self._found[_name(node.input[0])]
        if isinstance(values, np.ndarray):
            return values.reshape(self._values(node, 1))
        pool = self.layers[self._layer(node)]
        known = shapes(self.layers.values(), self._size)
        whole = known[pool.source] if pool.kind == "average_pool" else ()
        if pool.kernel != whole[:2] or pool.padding != "VALID" or self._uses[pool.name] != 1:
            raise UnknownNetworkError(f"operator {node.op}")
        if self._values(node, 1).tolist() not in ([1, whole[2]], [-1, whole[2]]):
            raise UnknownNetworkError(f"operator {node.op}")
        del self.layers[pool.name]
        return self._add(Layer(node.name, "mean", (pool.source,)))

    def softmax(self, node: Any) -> str:
        return self._add(Layer(node.name, "softmax", (self._layer(node),)))

    def _add(self, layer: Layer, parameters: Parameters | None = None) -> str:
        self.layers[layer.name] = layer
        if parameters is not None:
            self.parameters[layer.name] = parameters
        return layer.name

    def _layer(self, node: Any) -> str:
        found = self._found[_name(node.input[0])]
        if not isinstance(found, str):
            raise UnknownNetworkError(f"{node.op} of numbers, or of a padded picture")
        return found

    def _values(self, node: Any, index: int) -> Array:
        found = self._found[_name(node.input[index])]
        if not isinstance(found, np.ndarray):
            raise UnknownNetworkError(f"{node.op} of something that is computed from the picture")
        return found

    def _open(self, name: str, node: Any) -> Layer:
        """Return the layer with the given name if the arithmetic of a node can be folded into its weights.

        Args:
            node: node that reads the output of the layer, such as a batch norm.

        Raises:
            UnknownNetworkError: the layer has no weights, already has an activation, or is also read by other nodes.
        """
        layer = self.layers.get(name)
        if layer is None or not layer.has_weights() or layer.activation != "none":
            raise UnknownNetworkError(f"{node.op} behind something else than a convolution")
        sources = [source for source in map(_name, node.input) if isinstance(self._found[source], str)]
        if any(self._uses[source] != 1 for source in sources):
            raise UnknownNetworkError(f"{node.op} behind a layer that others read too")
        return layer

    def _fold(self, name: str, node: Any, factors: Array | None = None, offsets: Array | None = None) -> str:
        layer = self._open(name, node)
        weights = self.parameters[name]
        given = factors if factors is not None else offsets
        assert given is not None
        each = np.broadcast_to(np.squeeze(given), (layer.outputs,)).astype(np.float32)
        if factors is not None:
            weights = weights.scaled(each, layer.kind == "depthwise")
        else:
            weights = replace(weights, bias=weights.bias - each if node.op == "Sub" else weights.bias + each)
        self.parameters[name] = weights
        return name

    def _with_zeros(self, padded: _Padded, kernel: tuple[int, int], window: _Window) -> _Window:
        """Return the window with SAME padding, which replaces the explicit zeros around the tensor.

        Keras's MobileNet, for example, pads tensors with zeros before VALID convolutions.

        Raises:
            UnknownNetworkError: the padding cannot be expressed as SAME.
        """
        known = shapes(self.layers.values(), self._size)[padded.source]
        wanted: list[int] = []
        for length, side in zip(known[:2], kernel, strict=True):
            total = max((-(-length // window.stride) - 1) * window.stride + side - length, 0)
            wanted += [total // 2, total - total // 2]
        if window.padding != "VALID" or padded.zeros != tuple(wanted):
            raise UnknownNetworkError("padding that is not SAME")
        return replace(window, padding="SAME")


_ARITHMETIC: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "AddV2": np.add,
    "BiasAdd": np.add,
    "Mul": np.multiply,
    "Sub": np.subtract,
}

_HANDLERS: dict[str, Callable[[_Reader, Any], Any]] = {
    "Const": _Reader.constant,
    "Identity": _Reader.alias,
    **dict.fromkeys(_ARITHMETIC, _Reader.arithmetic),
    "Rsqrt": _Reader.inverse_root,
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), _Reader.norm),
    "Relu": _Reader.activation,
    "Relu6": _Reader.activation,
    "Pad": _Reader.padded,
    "Conv2D": _Reader.convolution,
    "DepthwiseConv2dNative": _Reader.convolution,
    "MatMul": _Reader.dense,
    "MaxPool": _Reader.pool,
    "AvgPool": _Reader.pool,
    "ConcatV2": _Reader.concatenate,
    "Mean": _Reader.mean,
    "Reshape": _Reader.reshaped,
    "Softmax": _Reader.softmax,
}


def _window(node: Any) -> _Window:
    first, down, right, last = attribute(node, "strides").list.i
    padding = attribute(node, "padding").s.decode()
    plain = attribute(node, "data_format").s in (b"", b"NHWC") and set(attribute(node, "dilations").list.i) <= {1}
    if (first, last) != (1, 1) or down != right or padding not in ("SAME", "VALID") or not plain:
        raise UnknownNetworkError(f"{node.op} with strides, dilations, padding or a data format unlike the others'")
    return _Window(down, "SAME" if padding == "SAME" else "VALID")


def _name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]
