"""Description of a `.tflite` for `inspect`: tensors, operators, labels, metadata."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from poets_edge.tflite.interpreter import is_accelerated, operator_names
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.read_model import read_model
from poets_edge.tflite.session import Session, TensorInfo


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """Description of a model file.

    Attributes:
        kind: "TensorFlow Lite" or "frozen graph".
        size: size of the file, bytes.
        operators: number of uses of each operator, most frequent first.
        accelerated: whether XNNPACK runs the model on this machine; None for a frozen graph.
        mean, std: normalization in pixel units; empty if the file does not have it.
        facts: quantization, training and test result, from the model or the training record.
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

    def to_json(self) -> dict[str, Any]:
        """Return the description as JSON-compatible dictionaries, lists, strings and numbers."""
        return {
            **asdict(self),
            "path": str(self.path),
            "inputs": [_tensor(tensor) for tensor in self.inputs],
            "outputs": [_tensor(tensor) for tensor in self.outputs],
        }


def inspect_tflite(model: Path) -> Inspection:
    """Describe a `.tflite`. Raises ModelError, RuntimeMissingError."""
    file = read_model(model)
    metadata = read_metadata(file)
    plain = Session(file, accelerate=False)  # XNNPACK replaces the model's own operators
    return Inspection(
        path=model,
        kind="TensorFlow Lite",
        description=metadata.description,
        size=len(file.content),
        inputs=plain.inputs,
        outputs=plain.outputs,
        operators=dict(Counter(operator_names(plain.interpreter)).most_common()),
        accelerated=is_accelerated(Session(file).interpreter),
        mean=metadata.mean,
        std=metadata.std,
        labels=metadata.labels,
        facts=metadata.facts,
    )


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype.name,
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }
