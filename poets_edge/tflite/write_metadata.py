"""Write the metadata inside a `.tflite`, which `poets_edge.tflite.metadata` reads.

Standard TFLite metadata (normalization, name of the label file) are written into the model's FlatBuffer. The label file
and `poets_edge.json` are written into a zip archive that is appended to the model, where MediaPipe, the TFLite Task
Library and Android Studio look for them. Field numbers follow TensorFlow's `metadata_schema.fbs`.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt

from poets_edge.photos.normalization import BACKBONE, PIXELS, Normalization
from poets_edge.tflite.distance import DISTANCE, LIMIT
from poets_edge.tflite.flatbuffer import pack_model, schema, unpack_model
from poets_edge.tflite.labels import join_labels
from poets_edge.tflite.metadata import (
    FACTS_FILE,
    INTERPOLATION,
    METADATA_NAME,
    NORMALIZATION_OPTIONS,
    RESIZE_NAME,
    TENSOR_AXIS_LABELS,
)

LABELS_FILE = "labels.txt"

_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2
_RGB = 1
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class ModelInfo:
    """Name, description and labels that are written into a model's metadata."""

    name: str
    description: str
    labels: tuple[str, ...]


def with_metadata(
    content: bytes,
    info: ModelInfo,
    normalization: Normalization | None = None,
    *,
    score_output: int = 0,
    antialias: bool = True,
) -> bytes:
    """Return the bytes of a model with metadata added. `with_files` must be called next, to append the label archive.

    MediaPipe rejects a model if one of its outputs has no metadata, so metadata are also added for an output named
    DISTANCE.

    Args:
        content: bytes of a `.tflite` file.
        normalization: normalization of the input; by default, PIXELS if the input accepts pixel values (or pixel values
            minus 128), otherwise BACKBONE, values from -1 to 1.
        score_output: index of the output that the labels belong to.
        antialias: whether images are to be resized with antialiasing, unlike in MediaPipe.
    """
    model = unpack_model(content)
    own = normalization or (PIXELS if _takes_pixels(model) else BACKBONE)
    graph = model.subgraphs[0]
    outputs = [bytes(graph.tensors[index].name).decode(errors="replace") for index in graph.outputs]
    _add_entry(model, METADATA_NAME, _metadata_buffer(info, own, outputs, score_output))
    if not antialias:
        _add_entry(model, RESIZE_NAME, INTERPOLATION)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            # TensorFlow's converter joins the names of all nodes that it fused: over 1 % of a small int8 file.
            tensor.name = tensor.name.partition(b";")[0]
    return pack_model(model)


def with_files(content: bytes, info: ModelInfo, facts: Mapping[str, Any] | None) -> bytes:
    """Return the bytes of a model with the label file and `poets_edge.json` appended.

    Args:
        content: bytes of a `.tflite` file with metadata.
        facts: content of `poets_edge.json`, to which a checksum of the model is added; None to omit this file, for a
            model from another program.
    """
    archive = io.BytesIO()
    # In mode "a" the archive's offsets count from the start of the buffer, which holds the model.
    archive.write(content)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as files:
        files.writestr(zipfile.ZipInfo(LABELS_FILE, _FIXED_DATE), join_labels(info.labels))
        if facts is not None:
            signed = {**facts, "sha256": hashlib.sha256(content).hexdigest()}
            text = json.dumps(signed, ensure_ascii=False, indent=1)
            files.writestr(zipfile.ZipInfo(FACTS_FILE, _FIXED_DATE), text.encode(errors="backslashreplace"))
    return archive.getvalue()


def _add_entry(model: Any, name: str, content: bytes) -> None:
    """Add an entry to the metadata of a `ModelT`, in place."""
    entry, buffer = schema().MetadataT(), schema().BufferT()
    buffer.data = np.frombuffer(content, np.uint8)
    entry.name, entry.buffer = name, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]


def _takes_pixels(model: Any) -> bool:
    """Return whether the model's input accepts pixels as uint8, or pixels minus 128 as int8, with a scale of 1/128."""
    graph = model.subgraphs[0]
    photo = graph.tensors[graph.inputs[0]]
    zero_points = {schema().TensorType.UINT8: int(PIXELS.mean[0]), schema().TensorType.INT8: 0}
    if photo.type not in zero_points or photo.quantization is None:
        return False
    scale, zero_point = list(photo.quantization.scale), list(photo.quantization.zeroPoint)
    return scale == [1 / PIXELS.std[0]] and zero_point == [zero_points[photo.type]]


def _metadata_buffer(info: ModelInfo, normalization: Normalization, outputs: Sequence[str], score_output: int) -> bytes:
    write = _Writer()
    mean, std = np.asarray(normalization.mean), np.asarray(normalization.std)
    options = write.table({0: write.floats(mean), 1: write.floats(std)})
    image = write.table(
        {
            0: write.text("image"),
            1: write.text("RGB picture, resized to the input without keeping its aspect ratio"),
            3: write.table({0: write.small(_IMAGE_PROPERTIES), 1: write.table({0: write.small(_RGB)})}),
            4: write.tables([write.table({0: write.small(NORMALIZATION_OPTIONS), 1: options})]),
            5: write.table({0: write.floats((255 - mean) / std), 1: write.floats(-mean / std)}),
        }
    )
    labels = write.table(
        {
            0: write.text(LABELS_FILE),
            1: write.text("one label a line, in the order of the output"),
            2: write.small(TENSOR_AXIS_LABELS),
        }
    )
    probability = write.table(
        {
            0: write.text("probability"),
            1: write.text("score of each label, 0 to 1"),
            3: write.table({0: write.small(_FEATURE_PROPERTIES), 1: write.table({})}),
            5: write.table({0: write.floats([1.0]), 1: write.floats([0.0])}),
            6: write.tables([labels]),
        }
    )
    answers = [
        probability if number == score_output else _distance(write) if name == DISTANCE else write.table({})
        for number, name in enumerate(outputs)
    ]
    subgraph = write.table({2: write.tables([image]), 3: write.tables(answers)})
    root = write.table(
        {
            0: write.text(info.name),
            1: write.text(info.description),
            3: write.tables([subgraph]),
            7: write.text("1.0.0"),
        }
    )
    write.builder.Finish(root, file_identifier=b"M001")
    return bytes(write.builder.Output())


def _distance(write: _Writer) -> int:
    """Write the metadata of the output DISTANCE, and return its offset in the FlatBuffer."""
    return write.table(
        {
            0: write.text(DISTANCE),
            1: write.text(f"distance from the training photos: a photo is unknown if it is above {LIMIT:g}"),
            3: write.table({0: write.small(_FEATURE_PROPERTIES), 1: write.table({})}),
            5: write.table({1: write.floats([0.0])}),
        }
    )


class _Writer:
    """Writer of FlatBuffer tables, each specified as {field number: value}. Nested tables must be written first."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1024)

    def text(self, value: str) -> int:
        return int(self.builder.CreateString(value))

    def floats(self, values: npt.ArrayLike) -> int:
        return int(self.builder.CreateNumpyVector(np.asarray(values, np.float32)))

    def tables(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def small(self, value: int) -> Callable[[int], None]:
        """Return a function that writes `value` as one byte to the table field with a given number."""
        return lambda field: self.builder.PrependUint8Slot(field, value, 0)

    def table(self, fields: Mapping[int, int | Callable[[int], None]]) -> int:
        self.builder.StartObject(max(fields, default=-1) + 1)
        for field, value in fields.items():
            if callable(value):
                value(field)
            else:
                self.builder.PrependUOffsetTRelativeSlot(field, value, 0)
        return int(self.builder.EndObject())
