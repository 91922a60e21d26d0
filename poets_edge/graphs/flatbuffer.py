"""The FlatBuffer of a `.tflite` as a tree of objects that can be changed, and back."""

from __future__ import annotations

from typing import Any

import flatbuffers

from poets_edge.edge.interpreter import silent_stderr
from poets_edge.graphs.tensorflow import load_tensorflow


def schema() -> Any:
    """TensorFlow's classes for the parts of a model. Raises RuntimeMissingError where TensorFlow is not installed."""
    load_tensorflow("changing a .tflite file")
    with silent_stderr():
        from tensorflow.lite.python import schema_py_generated
    return schema_py_generated


def read_tree(model: bytes) -> Any:
    """The model as TensorFlow's `ModelT`."""
    return schema().ModelT.InitFromPackedBuf(model, 0)


def write_tree(tree: Any) -> bytes:
    """The bytes of a model, without anything that may have been appended to its file."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
