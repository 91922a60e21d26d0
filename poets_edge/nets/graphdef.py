"""Read, build and modify GraphDefs without TensorFlow.

A GraphDef is a protocol buffer. Its message definitions come from TensorBoard's package, because loading TensorFlow
takes seconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.attr_value_pb2 import AttrValue
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.types_pb2 import DT_FLOAT, DT_INT32, DT_STRING

from poets_edge.core.json_checks import check, parse_json
from poets_edge.errors import ModelError, RecordError
from poets_edge.nets.layers import BOTTLENECK
from poets_edge.photos import photo_sets
from poets_edge.photos.known_photos import KnownPhotos

LABELS = "poets_edge/labels"
"""Name of the constant that stores the class names, in the order of the output; no other node uses it."""
PHOTO_SETS = "poets_edge/photo_sets"
"""Name of the constant that stores the digests of the photos in the training run; no other node uses it."""

Matrix: TypeAlias = npt.NDArray[np.float32]

_LARGE_CONSTANT = 1024
_PRODUCER = 27
"""GraphDef version of the graphs that are written: that of TensorFlow 1.14, because older programs reject graphs with
newer versions."""


def parse_graph(data: bytes, source: str) -> Any:
    """Parse the bytes of a frozen graph. Raises ModelError, with `source` in its message, if they are damaged."""
    graph = GraphDef()
    try:
        graph.ParseFromString(data)
    except DecodeError:
        raise ModelError(f"{source}: not a frozen graph, or damaged.") from None
    if not graph.node:
        raise ModelError(f"{source}: not a frozen graph, or empty.")
    return graph


def serialize(graph: Any) -> bytes:
    """Convert a GraphDef to bytes; equal graphs have equal bytes."""
    return bytes(graph.SerializeToString(deterministic=True))


def with_softmax_layer(backbone: Any, weights: Matrix, biases: Matrix, final_tensor_name: str) -> Any:
    """Return a copy of a backbone with an added last layer, softmax(bottleneck @ weights + biases).

    Args:
        backbone: a GraphDef with a node `bottleneck`.
        weights: float32 [bottleneck_size, classes].
        biases: float32 [classes].
        final_tensor_name: name of the output node.
    """
    graph = copy_of(backbone)
    graph.node.extend(
        [
            constant("head/weights", weights),
            constant("head/biases", biases),
            operation("head/matmul", "MatMul", [BOTTLENECK, "head/weights"]),
            operation("head/logits", "BiasAdd", ["head/matmul", "head/biases"]),
            operation(final_tensor_name, "Softmax", ["head/logits"]),
        ]
    )
    return graph


def with_labels(graph: Any, labels: Sequence[str]) -> Any:
    """Return a copy of a graph with the class names in an additional constant."""
    labeled = copy_of(graph)
    node = labeled.node.add(name=LABELS, op="Const")
    node.attr["dtype"].type = DT_STRING
    tensor = node.attr["value"].tensor
    tensor.dtype = DT_STRING
    tensor.tensor_shape.dim.add(size=len(labels))
    tensor.string_val.extend(label.encode() for label in labels)
    return labeled


def labels_of(graph: Any) -> tuple[str, ...]:
    """Return the class names that `with_labels` stored in a graph, or () if there are none."""
    for node in graph.node:
        if node.name == LABELS and node.op == "Const":
            return tuple(label.decode("utf-8", errors="replace") for label in node.attr["value"].tensor.string_val)
    return ()


def with_photo_sets(graph: Any, known: KnownPhotos) -> Any:
    """Return a copy of a graph with an additional constant: the digests of the photos in its training run."""
    marked = copy_of(graph)
    node = marked.node.add(name=PHOTO_SETS, op="Const")
    node.attr["dtype"].type = DT_STRING
    tensor = node.attr["value"].tensor
    tensor.dtype = DT_STRING
    tensor.tensor_shape.dim.add(size=1)
    tensor.string_val.append(json.dumps(known.to_json()).encode())
    return marked


def photo_sets_of(graph: Any, source: str) -> dict[str, Any] | None:
    """Return the digests that `with_photo_sets` stored in a graph, as JSON-compatible values; None if it has none.

    Raises:
        ModelError: the stored digests are damaged.
    """
    for node in graph.node:
        if node.name == PHOTO_SETS and node.op == "Const" and node.attr["value"].tensor.string_val:
            try:
                value = check(parse_json(node.attr["value"].tensor.string_val[0]), photo_sets.PHOTO_SETS)
            except RecordError as error:
                raise ModelError(f"{source}: damaged ({PHOTO_SETS}: {error}).") from None
            return dict(value) if value else None
    return None


def without_large_constants(graph: Any) -> Any:
    """Return a copy of a graph without its large constants, for display in TensorBoard."""
    small = copy_of(graph)
    for node in small.node:
        if node.op == "Const" and len(node.attr["value"].tensor.tensor_content) > _LARGE_CONSTANT:
            node.attr["value"].tensor.tensor_content = b""
    return small


def constant_of(node: Any) -> npt.NDArray[Any]:
    """Return the values of a float32 or int32 Const node. Raises ModelError if it has another type or no values."""
    tensor = attribute(node, "value").tensor
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    count = math.prod(shape)
    dtype, listed = {DT_FLOAT: ("<f4", tensor.float_val), DT_INT32: ("<i4", tensor.int_val)}.get(tensor.dtype, ("", ()))
    if dtype and len(tensor.tensor_content) == 4 * count:
        return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
    # Small or uniform tensors are written as a list of values, the last of which is repeated.
    values = np.array(listed, dtype or np.float32)
    if not dtype or tensor.tensor_content or not 0 < len(values) <= count:
        raise ModelError(f"node {node.name} holds no numbers that can be read.")
    return np.pad(values, (0, count - len(values)), mode="edge").reshape(shape)


def not_finite(graph: Any) -> str | None:
    """Return the name of the first constant that contains NaN or infinity, or None if there is none."""
    for node in graph.node:
        if node.op == "Const" and node.attr["dtype"].type == DT_FLOAT and not np.isfinite(constant_of(node)).all():
            return str(node.name)
    return None


def copy_of(graph: Any) -> Any:
    """Return a copy of a graph."""
    copied = GraphDef()
    copied.CopyFrom(graph)
    return copied


def placeholder_shape(graph: Any, name: str) -> list[int]:
    """Return the shape of a placeholder, with -1 for unknown dimensions, or [] if it has no shape."""
    node = find_node(graph, name)
    return [dimension.size for dimension in attribute(node, "shape").shape.dim]


def attribute(node: Any, name: str) -> Any:
    """Return an attribute of a node, or an empty attribute if it is missing (`node.attr[name]` would add it)."""
    return node.attr[name] if name in node.attr else AttrValue()


def find_node(graph: Any, name: str) -> Any:
    """Return the node that has the given name. Raises ModelError if no node has it."""
    for node in graph.node:
        if node.name == name:
            return node
    raise ModelError(f"no node named {name!r} in the graph.")


def empty_graph() -> Any:
    """Return a GraphDef without nodes."""
    graph = GraphDef()
    graph.versions.producer = _PRODUCER
    return graph


def placeholder(name: str, shape: Sequence[int]) -> Any:
    """Return a node for a float32 placeholder."""
    node = NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = DT_FLOAT
    for length in shape:
        node.attr["shape"].shape.dim.add(size=length)
    return node


def constant(name: str, values: npt.NDArray[Any]) -> Any:
    """Return a Const node with float32 or int32 values."""
    kind = {"float32": DT_FLOAT, "int32": DT_INT32}[values.dtype.name]
    node = NodeDef(name=name, op="Const")
    node.attr["dtype"].type = kind
    tensor = node.attr["value"].tensor
    tensor.dtype = kind
    for length in values.shape:
        tensor.tensor_shape.dim.add(size=length)
    tensor.tensor_content = np.ascontiguousarray(values).tobytes()
    return node


def set_index_type(node: Any, attribute: str) -> None:
    """Set the attribute that specifies the data type of a node's axes to int32."""
    node.attr[attribute].type = DT_INT32


def operation(name: str, op: str, inputs: list[str]) -> Any:
    """Return a node for a float32 operation. The caller sets all attributes other than the data type."""
    node = NodeDef(name=name, op=op, input=inputs)
    node.attr["T"].type = DT_FLOAT
    return node
