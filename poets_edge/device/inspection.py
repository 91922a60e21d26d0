"""Description of a `.tflite` model for `inspect`: tensors, operators, labels, metadata."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from poets_edge.errors import ModelError
from poets_edge.tflite.input_range import InputRange, decide_input_range
from poets_edge.tflite.interpreter import is_accelerated, operator_names
from poets_edge.tflite.metadata import Metadata, read_metadata
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.read_model import read_model
from poets_edge.tflite.scores import known_format
from poets_edge.tflite.session import Session, TensorInfo


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """Description of a model file.

    Attributes:
        kind: "TensorFlow Lite" or "frozen graph".
        size: size of the file, bytes.
        operators: names of the operators with their numbers of uses, most frequent first.
        accelerated: whether XNNPACK, TensorFlow Lite's library of fast CPU operators, runs the model on this machine;
            None for frozen graphs and full-int8 files.
        input_range: normalization of the input, and how it was determined; None if it is unknown.
        scores: meaning of the output's values, such as "probabilities" or "logits"; "" if it is unknown.
        facts: quantization, training options and test result, as stored in the model or, for a frozen graph, in the
            JSON file next to it.
    """

    path: Path
    kind: str
    description: str
    size: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: dict[str, int]
    accelerated: bool | None
    input_range: InputRange | None
    scores: str
    labels: tuple[str, ...]
    facts: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the description of the model as JSON-compatible dictionaries, lists, strings and numbers."""
        normalization = self.input_range.normalization if self.input_range else None
        named = asdict(self)
        del named["input_range"]
        return {
            **named,
            "path": str(self.path),
            "mean": list(normalization.mean) if normalization else [],
            "std": list(normalization.std) if normalization else [],
            "normalization_from": self.input_range.evidence if self.input_range else None,
            "inputs": [_tensor(tensor) for tensor in self.inputs],
            "outputs": [_tensor(tensor) for tensor in self.outputs],
        }


def inspect_tflite(model: Path) -> Inspection:
    """Describe a `.tflite` model.

    Raises:
        ModelError: the model is missing, damaged, or cannot be loaded.
        RuntimeMissingError: no interpreter is installed.
    """
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
        accelerated=None if metadata.full_int8 else is_accelerated(Session(file).interpreter),
        input_range=_input_range(file, metadata, plain.inputs[0]),
        scores=_score_kind(file, metadata),
        labels=metadata.labels,
        facts=metadata.facts,
    )


def _input_range(file: ModelFile, metadata: Metadata, tensor: TensorInfo) -> InputRange | None:
    try:
        return decide_input_range(file, metadata, tensor)
    except ModelError:
        return None


def _score_kind(file: ModelFile, metadata: Metadata) -> str:
    try:
        found = known_format(file, metadata, metadata.score_output or 0)
    except ModelError:
        return ""
    return found.kind if found else ""


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype.name,
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }
