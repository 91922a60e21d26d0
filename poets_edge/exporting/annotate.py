"""Add labels and normalization, as standard metadata, to a `.tflite` file that another program wrote.

MediaPipe, the web page, the Android app and all commands of poets_edge can read the resulting model without options.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from poets_edge.core.arguments import StrPath, convert
from poets_edge.core.files import existing_head, write_bytes
from poets_edge.device.classifier import Classifier
from poets_edge.errors import ModelError, OutputError, UsageError
from poets_edge.tflite.flatbuffer import pack_model, unpack_model
from poets_edge.tflite.input_range import InputRange
from poets_edge.tflite.metadata import METADATA_NAME, RESIZE_NAME, read_metadata
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.read_model import read_model
from poets_edge.tflite.score_ends import add_scores, use_uint8
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata

_IMAGES = 4
"""Number of random images on which the written model's scores are compared with those of the original model."""
_TOLERANCE = 0.02
_IDENTIFIER = b"TFL3"
_NAMES = (METADATA_NAME, RESIZE_NAME)


@dataclass(frozen=True, kw_only=True)
class AnnotatedModel:
    """A model that `annotate` has written.

    Attributes:
        size: size of the file, bytes.
        labels: class names, in the order of the scores.
        input_range: normalization of the input, with the evidence for it.
        changes: descriptions of the operators that were added to the model, such as "a softmax".
    """

    path: Path
    size: int
    labels: tuple[str, ...]
    input_range: InputRange
    changes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a description of the written model as a JSON-compatible dictionary."""
        normalization = self.input_range.normalization
        return {
            "path": str(self.path),
            "size": self.size,
            "labels": list(self.labels),
            "mean": list(normalization.mean),
            "std": list(normalization.std),
            "normalization_from": self.input_range.evidence,
            "added": list(self.changes),
        }


def annotate(
    model: StrPath,
    *,
    labels: StrPath | Sequence[str] | None = None,
    input_range: str | None = None,
    output: StrPath | None = None,
) -> AnnotatedModel:
    """Write a copy of a `.tflite` file with labels and normalization in standard metadata, replacing existing metadata.

    Some programs that use `.tflite` files require a softmax and uint8 inputs and outputs; the copy has both. If another
    program wrote the model, the metadata also states that images are resized without antialiasing, as in MediaPipe, so
    that all programs compute the same scores.

    Args:
        labels: text file with one label per line, or a sequence of labels; by default the labels in the model. For a
            model that poets_edge wrote, translations of its labels in the form `old=new`.
        input_range: input values for the pixel values 0 and 255, such as "-1:1"; by default as specified in the model.
        output: file to write; by default `x_annotated.tflite` for `x.tflite`.

    Raises:
        ModelError: the model or its labels cannot be used, or its input range is neither given nor found.
        UsageError: the input range contradicts the quantization of the input, or is given for a model that poets_edge
            wrote; or the output is the model itself.
        OutputError: the file cannot be written, or would replace a file that is not a `.tflite` file.
    """
    path: Path = convert(model, Path, "model")
    target: Path = convert(output, Path | None, "output") or path.with_name(f"{path.stem}_annotated.tflite")
    if target.exists() and path.exists() and target.samefile(path):
        raise UsageError(f"`output` {target}: the model itself, which is not replaced. Name another file.")
    _check_replaceable(target)
    file = read_model(path)
    metadata = read_metadata(file)
    if metadata.facts and input_range is not None:
        raise UsageError(f"`input_range` {input_range}: {path} states its own input range. Leave it out.")
    source = file
    if metadata.mean and input_range is not None:
        source = _without_metadata(file)
    elif metadata.labels and labels is not None and not metadata.facts:
        source = replace(file, content=pack_model(unpack_model(file.content)), labels_file=b"")  # without its archive
    names = labels if labels is not None else metadata.labels or None
    original = Classifier(source, labels=None if source is file and labels is None else names, input_range=input_range)
    content, changes = annotated(original, antialias=bool(metadata.facts))
    _check_scores(original, content)
    write_bytes(target, content)
    return AnnotatedModel(
        path=target,
        size=len(content),
        labels=original.labels,
        input_range=original.input_range,
        changes=changes,
    )


def _check_replaceable(target: Path) -> None:
    """Raise OutputError if the output file exists and is not a `.tflite` file but, for example, a photo."""
    head = existing_head(target, len(_IDENTIFIER) + 4)
    if head and head[4:] != _IDENTIFIER:
        raise OutputError(f"{target}: not a .tflite file, and is not replaced. Name another file: `output`.")


def annotated(classifier: Classifier, *, antialias: bool) -> tuple[bytes, tuple[str, ...]]:
    """Return a copy of a classifier's model that contains its labels and normalization as metadata.

    Operators that the model lacks are added, such as a softmax. A model that poets_edge wrote is returned unchanged,
    unless the classifier has different labels.

    Args:
        classifier: the model, with its labels and normalization.
        antialias: whether the metadata states that images are resized with antialiasing, unlike in MediaPipe.

    Returns:
        The model as bytes, and descriptions of the added operators.
    """
    file, metadata = classifier.file, classifier.metadata
    if metadata.facts and metadata.labels == classifier.labels:
        return file.content, ()
    model = unpack_model(file.content)
    changes = () if metadata.facts else _adapt(model, classifier)
    info = ModelInfo(
        metadata.name or file.path.stem,
        metadata.description or f"image classifier, {len(classifier.labels)} labels",
        classifier.labels,
    )
    remove_metadata(model)
    body = with_metadata(
        pack_model(model),
        info,
        classifier.input_range.normalization,
        score_output=classifier.score_output,
        antialias=antialias,
    )
    return with_files(body, info, metadata.facts or None), changes


def _adapt(model: Any, classifier: Classifier) -> tuple[str, ...]:
    """Add a softmax and uint8 conversions to an unpacked model that lacks them, in place, and fix its tensor shapes.

    Returns:
        Descriptions of what was added.
    """
    output, graph = classifier.score_output, model.subgraphs[0]
    graph.inputs, graph.outputs, graph.operators = list(graph.inputs), list(graph.outputs), list(graph.operators)
    changes = [
        add_scores(model, output, classifier.score_format, len(classifier.labels)),
        use_uint8(model, output),
    ]
    for tensor in graph.tensors:
        tensor.shapeSignature = None
    model.signatureDefs = None  # they name the original inputs and outputs
    return tuple(change for change in changes if change)


def remove_metadata(model: Any) -> None:
    """Remove the metadata from an unpacked model (a `ModelT` object of the TFLite schema) in place."""
    entries = model.metadata or []
    names = {*_NAMES, *(name.encode() for name in _NAMES)}
    for entry in entries:
        if entry.name in names:
            model.buffers[entry.buffer].data = None
    model.metadata = [entry for entry in entries if entry.name not in names]


def _without_metadata(file: ModelFile) -> ModelFile:
    model = unpack_model(file.content)
    remove_metadata(model)
    return replace(file, content=pack_model(model), labels_file=b"")


def _check_scores(original: Classifier, content: bytes) -> None:
    """Raise ModelError if an annotated model and the original model compute different scores for random images."""
    written = Classifier(ModelFile(Path(f"{original.path}, annotated"), content))
    rng = np.random.default_rng(0)
    for _ in range(_IMAGES):
        pixels = rng.integers(0, 256, (*original.size, 3), np.uint8)
        difference = np.abs(written.score_pixels(pixels) - original.score_pixels(pixels)).max()
        if difference > _TOLERANCE:
            raise ModelError(
                f"{original.path}: with metadata its scores differ by {difference:.2g}, so nothing was written. Please"
                " report it, with the model."
            )
