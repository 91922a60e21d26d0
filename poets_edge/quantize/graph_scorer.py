"""Classify photos with frozen graphs (`.pb`).

Graphs of supported architectures, such as those that `train` writes, run in the TensorFlow Lite interpreter. All other
graphs run in TensorFlow.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from poets_edge.device.scorer import ModelOutput, Scores
from poets_edge.errors import ModelError
from poets_edge.nets.frozen import FrozenGraph
from poets_edge.nets.graph_input import graph_input_range
from poets_edge.nets.read_graph import known_network
from poets_edge.nets.tensorflow import load_tensorflow
from poets_edge.nets.trained_graph import read_trained
from poets_edge.photos.image import PhotoSource, fit, normalizer, read_photo
from poets_edge.quantize.write_model import write_float_model
from poets_edge.tflite.distance import DISTANCE
from poets_edge.tflite.input_range import InputRange
from poets_edge.tflite.interpreter import silent_stderr
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session

_Function: TypeAlias = Callable[[npt.NDArray[np.float32]], list[npt.NDArray[np.float32]]]

_TRACES = ("Graph execution error", "Detected at node", "Node: ", "Original stack trace")


class FrozenGraphScorer:
    """Scorer that classifies photos with a frozen graph, as `poets_edge.Classifier` does with a `.tflite`.

    Attributes:
        path: path of the graph.
        labels: class names, in the order of the output.
        size: (height, width) of the input, pixels.
        nodes: names of the nodes, by the keys "input" and "output".
        facts: content of the training record, a JSON file next to the graph. If there is no such file, the only key is
            "photo_sets", with the digests of the training run's photos that the graph contains, or None.
        input_range: normalization of the input, with the evidence for it.
    """

    def __init__(
        self, path: Path, labels: Path | None = None, *, threads: int = 1, input_range: str | None = None
    ) -> None:
        """Load a frozen graph.

        Args:
            labels: labels file; by default the one next to the graph, `retrained_labels.txt` for `retrained_graph.pb`.
            input_range: input values for the pixel values 0 and 255, such as "-1:1", for graphs that do not specify
                them.
            threads: number of CPU threads for one inference; ignored if the graph runs in TensorFlow.

        Raises:
            ModelError: the graph or its labels are missing or damaged, or do not match each other.
            RuntimeMissingError: the graph needs TensorFlow, which is not installed.
        """
        trained = read_trained(path, labels)
        frozen = trained.frozen
        self.path = path
        self.labels: tuple[str, ...] = trained.labels
        self.size = frozen.size
        self.nodes: Mapping[str, str] = {"input": frozen.input_name, "output": frozen.output_name}
        self.facts: Mapping[str, Any] = trained.record or {"photo_sets": frozen.photo_sets}
        self.input_range: InputRange = graph_input_range(trained, input_range)
        self._arguments: dict[str, Any] = {"labels": labels, "threads": threads, "input_range": input_range}
        self._normalize = normalizer(self.input_range.normalization)
        self._has_detector = frozen.has_detector
        self._function = _load(frozen, threads)
        outputs = len(self._run(np.zeros((*self.size, 3), np.uint8)).scores)
        if len(self.labels) != outputs:
            raise ModelError(f"{labels or path}: {len(self.labels)} labels, but {path} has {outputs} outputs.")

    def clone(self) -> FrozenGraphScorer:
        """Load the graph again, and return a new scorer that another thread can use."""
        return FrozenGraphScorer(self.path, **self._arguments)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Messages that tell users what was inferred about the graph's input; empty if nothing was inferred."""
        return (f"{self.path}: pixels as {self.input_range}",) if self.input_range.inferred else ()

    @property
    def has_detector(self) -> bool:
        """Whether the graph detects photos unlike its training photos."""
        return self._has_detector

    def predict(self, photo: PhotoSource) -> ModelOutput:
        """Return a photo's scores and distance from the training photos. Raises PhotoError if it cannot be read."""
        return self._run(fit(read_photo(photo), self.size))

    def scores(self, photo: PhotoSource) -> Scores:
        """Return the scores of a photo, float32 [labels]. Raises PhotoError if the photo cannot be read."""
        return self.predict(photo).scores

    def _run(self, pixels: npt.NDArray[np.uint8]) -> ModelOutput:
        values = np.empty((1, *pixels.shape), np.float32)
        self._normalize(pixels, values[0])
        answer, *distance = self._function(values)
        if answer.ndim != 2 or len(answer) != 1:
            raise ModelError(f"{self.path}: its output has the shape {list(answer.shape)} instead of [1, labels].")
        scores = np.asarray(answer[0], np.float32)
        if not np.isfinite(scores).all():
            raise ModelError(f"{self.path}: its scores contain NaN or infinity: its weights are damaged. Train again.")
        return ModelOutput(scores, float(distance[0].reshape(-1)[0]) if distance else None)


def _load(frozen: FrozenGraph, threads: int) -> _Function:
    """Return a function that runs a graph and returns scores and, if the graph has a detector, the distance."""
    network = known_network(frozen.graph, frozen.input_name, frozen.output_name, frozen.size)
    if network is None:
        return _in_tensorflow(frozen)
    session = Session(ModelFile(frozen.path, write_float_model(network)), threads)
    return partial(session.run_some, outputs=range(len(session.outputs)))


def _in_tensorflow(frozen: FrozenGraph) -> _Function:
    tf = load_tensorflow("running a frozen graph (.pb)")
    graph = tf.compat.v1.GraphDef.FromString(frozen.graph.SerializeToString())
    with silent_stderr(), _tensorflow_errors(frozen.path, "load"):
        wrapped = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph, name=""), [])
        outputs = [frozen.output_name, *([DISTANCE] if frozen.has_detector else [])]
        function = wrapped.prune(f"{frozen.input_name}:0", [f"{name}:0" for name in outputs])

    def run(pixels: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        with _tensorflow_errors(frozen.path, "run"):
            return [np.asarray(found, np.float32) for found in function(tf.constant(pixels))]

    return run


@contextlib.contextmanager
def _tensorflow_errors(path: Path, what: str) -> Iterator[None]:
    """Context manager that converts exceptions from TensorFlow to a ModelError with a one-line message."""
    try:
        yield
    except Exception as error:
        raise ModelError(f"{path}: TensorFlow cannot {what} it ({_reason(error)}).") from None


def _reason(error: Exception) -> str:
    """Return the message of a TensorFlow exception in one line, without stack traces."""
    lines = str(error).splitlines()
    said = [line for line in lines if line and not line[0].isspace() and not line.startswith(_TRACES)]
    return " ".join(" ".join(said or lines).split())[:200] or type(error).__name__
