"""Unknown-photo detector: nodes of a frozen graph that compute a photo's distance from the training photos.

The distance is a quadratic function of the unit-length bottleneck, minimized over the classes. If the
detector was trained with background photos, the distance is the maximum of this function and of a linear function that
separates background photos from training photos. Computing it requires only matrix products, squares, a square root and
maxima, which every interpreter supports. `poets_edge.training.mahalanobis` fits the detector and explains the formula.

A fine-tuned backbone discards information that does not help to distinguish the classes. With such a backbone, the
distance is computed from two vectors, each scaled to unit length: the bottleneck, and the averaged output of the inner
layer, a layer in the middle of the backbone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.errors import ModelError
from poets_edge.nets.graphdef import constant, constant_of, copy_of, operation, set_index_type
from poets_edge.nets.layers import BOTTLENECK
from poets_edge.tflite.distance import DISTANCE

Array = npt.NDArray[np.float32]

EPSILON = 1e-12
"""Value added to the squared length of a bottleneck, to avoid a division by zero if all of its values are zero."""

_PREFIX = "detector/"
_INNER = "detector/inner_"
"""First part of the names of the nodes that compute the projection of the inner layer."""


_WEIGHTS = ("projection", "offsets", "quadratic", "linear", "biases", "background", "background_bias")
"""Weights of a `Detector` that every graph with a detector contains."""


@dataclass(frozen=True, eq=False)
class InnerProjection:
    """Projection of the inner layer's output, averaged over height and width, with which a detector computes distances.

    Attributes:
        layer: name of the layer, in the middle of a fine-tuned backbone; its output is [height, width, channels].
        weights: float32 [channels, inner directions].
    """

    layer: str
    weights: Array


@dataclass(frozen=True, eq=False)
class Detector:
    """Weights of the unknown-photo detector, scaled so that photos with a distance above LIMIT (1.0) are unknown.

    With u = bottleneck / |bottleneck| and y = u @ projection + offsets, the distance is
    max(0, y**2 @ quadratic - max(y @ linear + biases), y @ background + background_bias).

    The detector of a fine-tuned backbone also uses the output a of an inner layer (a layer in the middle of the
    backbone), averaged over height and width. With v = a / |a|, y is then the concatenation of u @ projection and
    v @ inner.weights, plus the offsets.

    Attributes:
        projection: float32 [bottleneck_size, directions], without the directions of the inner layer.
        offsets: float32 [directions].
        quadratic: float32 [directions].
        linear: float32 [directions, classes].
        biases: float32 [classes].
        background: float32 [directions]; zeros if there were no background photos.
        background_bias: float32 [1].
        inner: projection of the output of an inner layer; None if only the bottleneck is used.
    """

    projection: Array
    offsets: Array
    quadratic: Array
    linear: Array
    biases: Array
    background: Array
    background_bias: Array
    inner: InnerProjection | None = None

    @property
    def has_background(self) -> bool:
        """Whether the detector was trained with background photos; it then also rejects photos that resemble them."""
        return bool(self.background.any())

    def distances(self, bottlenecks: Array, inner: Array | None = None) -> Array:
        """Return the distances of photos, float32 [photos]; a photo with a distance above LIMIT is unknown.

        Args:
            bottlenecks: float32 [photos, bottleneck_size].
            inner: averaged outputs of the inner layer, float32 [photos, channels]; None if there is no such layer.
        """
        projected = project(bottlenecks, self.projection)
        if self.inner is not None:
            assert inner is not None, "the detector has an inner layer"
            projected = np.hstack([projected, project(inner, self.inner.weights)])
        centered = projected + self.offsets
        nearest = (centered @ self.linear + self.biases).max(axis=1)
        distances = np.maximum(centered * centered @ self.quadratic - nearest, 0)
        if self.has_background:
            distances = np.maximum(distances, centered @ self.background + self.background_bias)
        return np.asarray(distances, np.float32)


def merged(detector: Detector, layer: str, other: Detector) -> Detector:
    """Combine the detector of the bottleneck and the detector of an inner layer, a layer in the middle of the backbone.

    The returned detector adds the two distances to each class, and takes the minimum of the sums over the classes.

    Args:
        detector: detector for the bottleneck.
        layer: name of the inner layer.
        other: detector for the averaged output of the inner layer, trained without background photos.
    """
    return Detector(
        projection=detector.projection,
        offsets=np.append(detector.offsets, other.offsets),
        quadratic=np.append(detector.quadratic, other.quadratic),
        linear=np.vstack([detector.linear, other.linear]),
        biases=detector.biases + other.biases,
        background=np.append(detector.background, other.background),
        background_bias=detector.background_bias,
        inner=InnerProjection(layer, other.projection),
    )


def project(vectors: Array, projection: Array) -> Array:
    """Scale vectors to unit length, and return their products with a projection matrix, float32 [photos, directions].

    Args:
        vectors: float32 [photos, features].
        projection: float32 [features, directions].
    """
    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True) + np.float32(EPSILON))
    return np.asarray(vectors @ projection / lengths)


def with_detector(graph: Any, detector: Detector) -> Any:
    """Return a copy of a graph with nodes that compute a photo's distance; the output DISTANCE is float32 [1, 1].

    Args:
        graph: a GraphDef with a node `bottleneck`, and a node for the detector's inner layer, if it has one.
        detector: weights of the unknown-photo detector.
    """
    extended = copy_of(graph)

    def add(name: str, op: str, *inputs: str) -> Any:
        extended.node.append(operation(name, op, list(inputs)))
        return extended.node[-1]

    weights = {name: getattr(detector, name) for name in _WEIGHTS}
    for name in ("quadratic", "background"):
        weights[name] = weights[name][:, None]
    weights["ones"] = np.ones((len(detector.projection), 1), np.float32)
    weights["epsilon"] = np.array([EPSILON], np.float32)
    weights["axis"] = np.array([1], np.int32)
    extended.node.extend(constant(f"{_PREFIX}{name}", values) for name, values in weights.items())

    def add_projection(vector: str, prefix: str) -> str:
        """Add nodes that divide a vector by its length and project it; return the name of the node with the result."""
        add(f"{prefix}squares", "Mul", vector, vector)
        add(f"{prefix}sum", "MatMul", f"{prefix}squares", f"{prefix}ones")
        add(f"{prefix}squared_length", "BiasAdd", f"{prefix}sum", "detector/epsilon")
        add(f"{prefix}length", "Sqrt", f"{prefix}squared_length")
        add(f"{prefix}projected", "MatMul", vector, f"{prefix}projection")
        add(f"{prefix}scaled", "RealDiv", f"{prefix}projected", f"{prefix}length")
        return f"{prefix}scaled"

    projected = add_projection(BOTTLENECK, _PREFIX)
    if detector.inner is not None:
        constants = {
            "projection": detector.inner.weights,
            "ones": np.ones((len(detector.inner.weights), 1), np.float32),
            "axes": np.array([1, 2], np.int32),
        }
        extended.node.extend(constant(f"{_INNER}{name}", values) for name, values in constants.items())
        set_index_type(add(f"{_INNER}mean", "Mean", detector.inner.layer, f"{_INNER}axes"), "Tidx")
        parts = projected, add_projection(f"{_INNER}mean", _INNER)
        both = add("detector/both", "ConcatV2", *parts, "detector/axis_of_both")
        both.attr["N"].i = len(parts)
        set_index_type(both, "Tidx")
        extended.node.append(constant("detector/axis_of_both", np.array(1, np.int32)))
        projected = both.name
    add("detector/centred", "BiasAdd", projected, "detector/offsets")
    add("detector/centred_squares", "Mul", "detector/centred", "detector/centred")
    add("detector/curvature", "MatMul", "detector/centred_squares", "detector/quadratic")
    add("detector/products", "MatMul", "detector/centred", "detector/linear")
    add("detector/classes", "BiasAdd", "detector/products", "detector/biases")
    nearest = add("detector/nearest", "Max", "detector/classes", "detector/axis")
    nearest.attr["keep_dims"].b = True
    set_index_type(nearest, "Tidx")
    add("detector/difference", "Sub", "detector/curvature", "detector/nearest")
    if not detector.has_background:
        add(DISTANCE, "Relu", "detector/difference")
        return extended
    add("detector/from_classes", "Relu", "detector/difference")
    add("detector/background_product", "MatMul", "detector/centred", "detector/background")
    add("detector/to_background", "BiasAdd", "detector/background_product", "detector/background_bias")
    add(DISTANCE, "Maximum", "detector/from_classes", "detector/to_background")
    return extended


def detector_of(graph: Any, source: str = "the graph") -> Detector | None:
    """Return the detector that `with_detector` stored in a graph, or None if the graph has no detector.

    Args:
        source: name of the graph in error messages.

    Raises:
        ModelError: some of the detector's weights are missing, or their shapes are inconsistent.
    """
    nodes = {node.name.removeprefix(_PREFIX): node for node in graph.node if node.name.startswith(_PREFIX)}
    if not nodes:
        return None
    if not all(name in nodes and nodes[name].op == "Const" for name in _WEIGHTS):
        raise _incomplete(source)
    found = {name: np.asarray(constant_of(nodes[name]), np.float32) for name in _WEIGHTS}
    for name in ("quadratic", "background"):
        found[name] = found[name].reshape(-1)
    detector = Detector(**found, inner=_inner_of(nodes, source))
    features, directions = detector.projection.shape if detector.projection.ndim == 2 else (0, 0)
    if detector.inner is not None:
        inner = detector.inner.weights.shape
        features, directions = (features, directions + inner[1]) if len(inner) == 2 else (0, 0)
    shapes = [getattr(detector, name).shape for name in ("offsets", "quadratic", "background", "linear")]
    classes = detector.biases.size
    if not features or not classes or shapes != [(directions,)] * 3 + [(directions, classes)]:
        raise ModelError(f"{source}: its detector of unknown photos has weights that do not fit together. Train again.")
    return detector


def _inner_of(nodes: Mapping[str, Any], source: str) -> InnerProjection | None:
    """Return the projection of the inner layer, read from the nodes of a detector; None if it has no inner layer.

    Args:
        nodes: nodes of the detector, keyed by their names without _PREFIX.
        source: name of the graph, for messages.

    Raises:
        ModelError: a node of the projection is missing or damaged.
    """
    mean, weights = (nodes.get(f"{_INNER.removeprefix(_PREFIX)}{name}") for name in ("mean", "projection"))
    if mean is None and weights is None:
        return None
    if mean is None or not mean.input or weights is None or weights.op != "Const":
        raise _incomplete(source)
    return InnerProjection(mean.input[0], np.asarray(constant_of(weights), np.float32))


def _incomplete(source: str) -> ModelError:
    return ModelError(f"{source}: its detector of unknown photos is incomplete. Train again.")
