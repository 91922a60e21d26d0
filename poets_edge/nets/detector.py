"""Unknown-photo detector: nodes of a frozen graph that compute a photo's distance from the training photos.

The distance is a quadratic function of the unit-length bottleneck, minimized over the classes. If the
detector was trained with background photos, the distance is the maximum of this function and of a linear function that
separates background photos from training photos. Computing it requires only matrix products, squares, a square root and
maxima, which every interpreter supports. `poets_edge.training.mahalanobis` fits the detector and explains the formula.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
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


@dataclass(frozen=True, eq=False)
class Detector:
    """Weights of the unknown-photo detector, scaled so that photos with a distance above LIMIT are unknown.

    With u = bottleneck / |bottleneck| and y = u @ projection + offsets, the distance is
    max(0, y**2 @ quadratic - max(y @ linear + biases), y @ background + background_bias).

    Attributes:
        projection: float32 [bottleneck_size, directions].
        offsets: float32 [directions].
        quadratic: float32 [directions].
        linear: float32 [directions, classes].
        biases: float32 [classes].
        background: float32 [directions]; zeros if there were no background photos.
        background_bias: float32 [1].
    """

    projection: Array
    offsets: Array
    quadratic: Array
    linear: Array
    biases: Array
    background: Array
    background_bias: Array

    @property
    def has_background(self) -> bool:
        """Whether the detector was trained with background photos; it then also rejects photos that resemble them."""
        return bool(self.background.any())

    def distances(self, bottlenecks: Array) -> Array:
        """Return the distances of photos, float32 [photos]; a photo with a distance above LIMIT is unknown.

        Args:
            bottlenecks: float32 [photos, bottleneck_size].
        """
        lengths = np.sqrt((bottlenecks * bottlenecks).sum(axis=1, keepdims=True) + np.float32(EPSILON))
        centered = bottlenecks @ self.projection / lengths + self.offsets
        nearest = (centered @ self.linear + self.biases).max(axis=1)
        distances = np.maximum(centered * centered @ self.quadratic - nearest, 0)
        if self.has_background:
            distances = np.maximum(distances, centered @ self.background + self.background_bias)
        return np.asarray(distances, np.float32)


def with_detector(graph: Any, detector: Detector) -> Any:
    """Return a copy of a graph that also computes the detector's output DISTANCE, float32 [1, 1].

    Args:
        graph: a GraphDef with a node `bottleneck`.
    """
    extended = copy_of(graph)

    def add(name: str, op: str, *inputs: str) -> Any:
        extended.node.append(operation(name, op, list(inputs)))
        return extended.node[-1]

    weights = {field.name: getattr(detector, field.name) for field in fields(detector)}
    for name in ("quadratic", "background"):
        weights[name] = weights[name][:, None]
    weights["ones"] = np.ones((len(detector.projection), 1), np.float32)
    weights["epsilon"] = np.array([EPSILON], np.float32)
    weights["axis"] = np.array([1], np.int32)
    extended.node.extend(constant(f"{_PREFIX}{name}", values) for name, values in weights.items())
    add("detector/squares", "Mul", BOTTLENECK, BOTTLENECK)
    add("detector/sum", "MatMul", "detector/squares", "detector/ones")
    add("detector/squared_length", "BiasAdd", "detector/sum", "detector/epsilon")
    add("detector/length", "Sqrt", "detector/squared_length")
    add("detector/projected", "MatMul", BOTTLENECK, "detector/projection")
    add("detector/scaled", "RealDiv", "detector/projected", "detector/length")
    add("detector/centred", "BiasAdd", "detector/scaled", "detector/offsets")
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
    wanted = [field.name for field in fields(Detector)]
    nodes = {node.name.removeprefix(_PREFIX): node for node in graph.node if node.name.startswith(_PREFIX)}
    if not nodes:
        return None
    if not all(name in nodes and nodes[name].op == "Const" for name in wanted):
        raise ModelError(f"{source}: its detector of unknown photos is incomplete. Train again.")
    found = {name: np.asarray(constant_of(nodes[name]), np.float32) for name in wanted}
    for name in ("quadratic", "background"):
        found[name] = found[name].reshape(-1)
    detector = Detector(**found)
    features, directions = detector.projection.shape if detector.projection.ndim == 2 else (0, 0)
    shapes = [getattr(detector, name).shape for name in ("offsets", "quadratic", "background", "linear")]
    classes = detector.biases.size
    if not features or not classes or shapes != [(directions,)] * 3 + [(directions, classes)]:
        raise ModelError(f"{source}: its detector of unknown photos has weights that do not fit together. Train again.")
    return detector
