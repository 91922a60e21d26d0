"""Writing what a `.tflite` says about itself; `poets_edge.tflite.metadata` reads it back.

Standard TFLite metadata (normalization, label file) goes into the model's FlatBuffer, the label file and
`poets_edge.json` into a zip archive behind it: the form that MediaPipe, the TFLite Task Library and Android
Studio read. Field numbers are those of TensorFlow's `metadata_schema.fbs`.
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
from poets_edge.tflite.flatbuffer import read_tree, schema, write_tree
from poets_edge.tflite.metadata import (
    FACTS_FILE,
    METADATA_NAME,
    NORMALIZATION_OPTIONS,
    TENSOR_AXIS_LABELS,
    join_labels,
)

LABELS_FILE = "labels.txt"

_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2
_RGB = 1
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Card:
    """The content of the metadata that cannot be read from the model."""

    name: str
    description: str
    labels: tuple[str, ...]


def with_metadata(model: bytes, card: Card) -> bytes:
    """The model with a metadata buffer, without the archive of labels."""
    tree = read_tree(model)
    entry, buffer = schema().MetadataT(), schema().BufferT()
    buffer.data = np.frombuffer(_metadata_buffer(card, PIXELS if _takes_pixels(tree) else BACKBONE), np.uint8)
    entry.name, entry.buffer = METADATA_NAME, len(tree.buffers)
    tree.buffers.append(buffer)
    tree.metadata = [*(tree.metadata or []), entry]
    for graph in tree.subgraphs:
        for tensor in graph.tensors:
            # The converter strings together the names of all nodes it fused: over 1 % of a small int8 file.
            tensor.name = tensor.name.partition(b";")[0]
    return write_tree(tree)


def with_files(model: bytes, card: Card, facts: Mapping[str, Any]) -> bytes:
    """The model with the label file and `poets_edge.json` appended; the facts get a checksum of the model."""
    signed = {**facts, "sha256": hashlib.sha256(model).hexdigest()}
    text = json.dumps(signed, ensure_ascii=False, indent=1)
    archive = io.BytesIO()
    # Mode "a" on a buffer that holds the model makes offsets count from the start of the whole file.
    archive.write(model)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as files:
        files.writestr(zipfile.ZipInfo(LABELS_FILE, _LONG_AGO), join_labels(card.labels))
        files.writestr(zipfile.ZipInfo(FACTS_FILE, _LONG_AGO), text.encode(errors="backslashreplace"))
    return archive.getvalue()


def _takes_pixels(tree: Any) -> bool:
    """Return whether the model's input is uint8 pixels as they are, whose scale and zero point are those of PIXELS."""
    graph = tree.subgraphs[0]
    photo = graph.tensors[graph.inputs[0]]
    if photo.type != schema().TensorType.UINT8 or photo.quantization is None:
        return False
    scale, zero_point = list(photo.quantization.scale), list(photo.quantization.zeroPoint)
    return scale == [1 / PIXELS.std[0]] and zero_point == [int(PIXELS.mean[0])]


def _metadata_buffer(card: Card, normalization: Normalization) -> bytes:
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
    subgraph = write.table({2: write.tables([image]), 3: write.tables([probability])})
    root = write.table(
        {
            0: write.text(card.name),
            1: write.text(card.description),
            3: write.tables([subgraph]),
            7: write.text("1.0.0"),
        }
    )
    write.builder.Finish(root, file_identifier=b"M001")
    return bytes(write.builder.Output())


class _Writer:
    """FlatBuffer tables from {field number: value}; children are written before the table that holds them."""

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
        """A one-byte number, written into the table itself."""
        return lambda field: self.builder.PrependUint8Slot(field, value, 0)

    def table(self, fields: Mapping[int, int | Callable[[int], None]]) -> int:
        self.builder.StartObject(max(fields, default=-1) + 1)
        for field, value in fields.items():
            if callable(value):
                value(field)
            else:
                self.builder.PrependUOffsetTRelativeSlot(field, value, 0)
        return int(self.builder.EndObject())
