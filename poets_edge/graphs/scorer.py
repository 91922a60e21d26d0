"""Labelling with a frozen graph (`.pb`), ours or the original codelab's, where TensorFlow is installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.edge.classifier import Scores, read_labels
from poets_edge.edge.image import PhotoSource, fit, normaliser, read_photo
from poets_edge.edge.interpreter import silent_stderr
from poets_edge.edge.normalization import BACKBONE
from poets_edge.errors import ModelError
from poets_edge.graphs.graphdef import parse_graph, placeholder_shape
from poets_edge.graphs.tensorflow import load_tensorflow

# The codelab's Inception graph is fed behind its own decoding and scaling, at node `Mul`.
_INPUTS = ("input", "Mul")
_OUTPUT = "final_result"


@dataclass(frozen=True)
class FrozenGraph:
    """A classifier's GraphDef and its two ends.

    Attributes:
        size: (height, width) of its input, pixels.
    """

    path: Path
    graph: Any
    input_name: str
    output_name: str
    size: tuple[int, int]


def read_frozen_graph(path: Path) -> FrozenGraph:
    """Read a frozen graph and find its input (`input` or `Mul`) and output (`final_result`, else its last Softmax).

    Raises:
        ModelError: missing, damaged, or not an image classifier.
    """
    try:
        graph = parse_graph(path.read_bytes(), str(path))
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}.") from None
    placeholders = {node.name for node in graph.node if node.op == "Placeholder"}
    inputs = [name for name in _INPUTS if name in placeholders]
    outputs = sorted((node.name for node in graph.node if node.op == "Softmax"), key=lambda name: name == _OUTPUT)
    if not inputs or not outputs:
        raise ModelError(f"{path}: not a retrained graph (no placeholder {' or '.join(_INPUTS)}, or no Softmax).")
    shape = placeholder_shape(graph, inputs[0])
    if len(shape) != 4 or shape[1] < 1 or shape[2] < 1 or shape[3] != 3:
        raise ModelError(f"{path}: input shape {shape} is not a picture of known size.")
    return FrozenGraph(path, graph, inputs[0], outputs[-1], (shape[1], shape[2]))


class FrozenGraphScorer:
    """Runs a frozen graph with TensorFlow; answers like `poets_edge.Classifier`."""

    def __init__(self, path: Path, labels: Path | None = None) -> None:
        """Load a graph.

        Args:
            labels: a labels file; by default the one beside the graph, `retrained_graph.pb` ->
                `retrained_labels.txt`.

        Raises:
            ModelError: the graph or its labels are missing or damaged, or do not fit each other.
            RuntimeMissingError: TensorFlow is not installed.
        """
        frozen = read_frozen_graph(path)
        self.labels: tuple[str, ...] = read_labels(labels or labels_beside(path))
        self.size = frozen.size
        self._normalise = normaliser(BACKBONE)
        self._function = _load(frozen)
        outputs = len(self._run(np.zeros((*self.size, 3), np.uint8)))
        if len(self.labels) != outputs:
            source = labels or labels_beside(path)
            raise ModelError(f"{source}: {len(self.labels)} labels, but {path} has {outputs} outputs.")

    def scores(self, photo: PhotoSource) -> Scores:
        """Scores of one photo: float32 [labels]. Raises PhotoError."""
        return self._run(fit(read_photo(photo), self.size))

    def _run(self, pixels: npt.NDArray[np.uint8]) -> Scores:
        values = np.empty((1, *pixels.shape), np.float32)
        self._normalise(pixels, values[0])
        return np.asarray(self._function(values)[0], np.float32)


def labels_beside(graph: Path) -> Path:
    """Where a graph's labels lie: `retrained_graph.pb` -> `retrained_labels.txt`, `x.pb` -> `x_labels.txt`."""
    return graph.with_name(f"{graph.stem.removesuffix('_graph')}_labels.txt")


def _load(frozen: FrozenGraph) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    tf = load_tensorflow("running a frozen graph (.pb)")
    graph = tf.compat.v1.GraphDef.FromString(frozen.graph.SerializeToString())
    with silent_stderr():
        try:
            wrapped = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph, name=""), [])
            function = wrapped.prune(f"{frozen.input_name}:0", f"{frozen.output_name}:0")
            return lambda pixels: np.asarray(function(tf.constant(pixels)))
        except Exception as error:  # a foreign graph can break TensorFlow's importer in many ways
            reason = " ".join(str(error).split())[:200]
    raise ModelError(f"{frozen.path}: TensorFlow cannot load it ({reason}).")
