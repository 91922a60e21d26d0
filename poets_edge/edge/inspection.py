"""`inspect`: what a model file is, read from the file itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from poets_edge.edge.classifier import TensorInfo, tensor_info
from poets_edge.edge.interpreter import is_accelerated, open_model, operator_names
from poets_edge.edge.metadata import read_metadata
from poets_edge.edge.model_file import read_model
from poets_edge.edge.models import is_frozen_graph
from poets_edge.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The description of one model.

    Attributes:
        kind: "TensorFlow Lite" or "frozen graph".
        size: bytes.
        operators: name -> how many, most frequent first.
        accelerated: whether XNNPACK takes the model on this machine; None for a frozen graph.
        mean, std: normalization in pixel units; empty where the file does not say.
        facts: what poets_edge or its record wrote: quantization, training, test result.
    """

    path: Path
    kind: str
    description: str
    size: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: dict[str, int]
    accelerated: bool | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    labels: tuple[str, ...]
    facts: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **asdict(self),
            "path": str(self.path),
            "inputs": [_tensor(tensor) for tensor in self.inputs],
            "outputs": [_tensor(tensor) for tensor in self.outputs],
        }


def inspect(model: Path) -> Inspection:
    """Read a `.tflite`, or a `.pb` where the `[train]` extra is installed. Raises ModelError, RuntimeMissingError."""
    return _inspect_graph(model) if is_frozen_graph(model) else _inspect_tflite(model)


def write_tensorboard_graph(model: Path, folder: Path) -> None:
    """Write a frozen graph as an event file, for TensorBoard's Graphs page.

    Raises:
        ModelError: it is no frozen graph, which is all that TensorBoard can draw.
    """
    if not is_frozen_graph(model):
        raise ModelError(f"{model}: TensorBoard draws frozen graphs only. Give the .pb it was exported from.")
    from poets_edge.graphs.frozen import read_frozen_graph
    from poets_edge.graphs.graphdef import without_large_constants
    from poets_edge.training.events import event_file

    graph = read_frozen_graph(model).graph
    with event_file(folder) as events:
        events.add_graph(without_large_constants(graph))


def _inspect_tflite(model: Path) -> Inspection:
    file = read_model(model)
    metadata = read_metadata(file)
    interpreter = open_model(file, accelerate=False)
    return Inspection(
        path=model,
        kind="TensorFlow Lite",
        description=metadata.description,
        size=len(file.content),
        inputs=tuple(tensor_info(details) for details in interpreter.get_input_details()),
        outputs=tuple(tensor_info(details) for details in interpreter.get_output_details()),
        operators=dict(Counter(operator_names(interpreter)).most_common()),
        accelerated=is_accelerated(open_model(file)),
        mean=metadata.mean,
        std=metadata.std,
        labels=metadata.labels,
        facts=metadata.facts,
    )


def _inspect_graph(model: Path) -> Inspection:
    import numpy as np

    from poets_edge.graphs.beside import read_trained

    trained = read_trained(model, labels_needed=False)
    frozen, labels, record = trained.frozen, trained.labels, trained.record or {}
    float32 = np.dtype(np.float32)
    return Inspection(
        path=model,
        kind="frozen graph",
        description=record.get("architecture", ""),
        size=model.stat().st_size,
        inputs=(TensorInfo(0, frozen.input_name, (1, *frozen.size, 3), float32, 0.0, 0),),
        outputs=(TensorInfo(0, frozen.output_name, (1, len(labels)) if labels else (), float32, 0.0, 0),),
        operators=dict(Counter(node.op for node in frozen.graph.node if node.op != "Const").most_common()),
        accelerated=None,
        mean=(),
        std=(),
        labels=labels,
        facts={key: value for key, value in record.items() if key not in ("steps", "sets", "photos")},
    )


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype.name,
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }
