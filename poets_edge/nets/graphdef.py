"""Frozen graphs as data: cutting one at its bottleneck, and putting a head behind it.

A GraphDef is a protocol buffer. TensorBoard's package carries the message definitions, so none of this loads
TensorFlow, and a run that finds everything cached starts in a moment.
"""

from __future__ import annotations

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

from poets_edge.errors import ModelError
from poets_edge.nets.layers import BOTTLENECK

LABELS = "poets_edge/labels"
"""A constant that nothing is computed from: the names of the classes, in the order of the output."""

Matrix: TypeAlias = npt.NDArray[np.float32]

_LARGE_CONSTANT = 1024
_PRODUCER = 27
"""The GraphDef version of TensorFlow 1.14: nothing here needs a newer one, and older programs refuse newer ones."""


def parse_graph(data: bytes, source: str) -> Any:
    """Bytes -> GraphDef. Raises ModelError naming `source`."""
    graph = GraphDef()
    try:
        graph.ParseFromString(data)
    except DecodeError:
        raise ModelError(f"{source}: not a frozen graph, or damaged.") from None
    if not graph.node:
        raise ModelError(f"{source}: not a frozen graph, or empty.")
    return graph


def serialize(graph: Any) -> bytes:
    """GraphDef -> bytes, the same for equal graphs."""
    return bytes(graph.SerializeToString(deterministic=True))


def with_softmax_layer(backbone: Any, weights: Matrix, biases: Matrix, final_tensor_name: str) -> Any:
    """A backbone ending in node `bottleneck`, followed by softmax(bottleneck @ weights + biases).

    Args:
        weights: float32 [bottleneck_size, classes].
        biases: float32 [classes].
        final_tensor_name: name of the new output node.
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
    """The graph carrying the names of its classes; who does not look for them does not see them."""
    carrying = copy_of(graph)
    node = carrying.node.add(name=LABELS, op="Const")
    node.attr["dtype"].type = DT_STRING
    tensor = node.attr["value"].tensor
    tensor.dtype = DT_STRING
    tensor.tensor_shape.dim.add(size=len(labels))
    tensor.string_val.extend(label.encode() for label in labels)
    return carrying


def labels_of(graph: Any) -> tuple[str, ...]:
    """The names that `with_labels` has put in; () where there are none."""
    for node in graph.node:
        if node.name == LABELS and node.op == "Const":
            return tuple(label.decode("utf-8", errors="replace") for label in node.attr["value"].tensor.string_val)
    return ()


def without_large_constants(graph: Any) -> Any:
    """For TensorBoard's picture of the graph: the same nodes without megabytes of weights."""
    sketch = copy_of(graph)
    for node in sketch.node:
        if node.op == "Const" and len(node.attr["value"].tensor.tensor_content) > _LARGE_CONSTANT:
            node.attr["value"].tensor.tensor_content = b""
    return sketch


def constant_of(node: Any) -> npt.NDArray[Any]:
    """The values of a float32 or int32 Const node. Raises ModelError where it holds anything else, or too few."""
    tensor = attribute(node, "value").tensor
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    count = math.prod(shape)
    dtype, numbers = {DT_FLOAT: ("<f4", tensor.float_val), DT_INT32: ("<i4", tensor.int_val)}.get(
        tensor.dtype, ("", ())
    )
    if dtype and len(tensor.tensor_content) == 4 * count:
        return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
    # Small or constant tensors are written as numbers, the last of which is repeated.
    values = np.array(numbers, dtype or np.float32)
    if not dtype or tensor.tensor_content or not 0 < len(values) <= count:
        raise ModelError(f"node {node.name} holds no numbers that can be read.")
    return np.pad(values, (0, count - len(values)), mode="edge").reshape(shape)


def not_finite(graph: Any) -> str | None:
    """The name of a constant that holds NaN or infinity, None where all is well."""
    for node in graph.node:
        if node.op == "Const" and node.attr["dtype"].type == DT_FLOAT and not np.isfinite(constant_of(node)).all():
            return str(node.name)
    return None


def copy_of(graph: Any) -> Any:
    """A graph of its own."""
    copied = GraphDef()
    copied.CopyFrom(graph)
    return copied


def placeholder_shape(graph: Any, name: str) -> list[int]:
    """The shape a placeholder declares, -1 for open lengths; [] where it says nothing."""
    node = find_node(graph, name)
    return [dimension.size for dimension in attribute(node, "shape").shape.dim]


def attribute(node: Any, name: str) -> Any:
    """An attribute of a node, or an empty one. (`node.attr[name]` would enter an empty one, which spoils the graph.)"""
    return node.attr[name] if name in node.attr else AttrValue()


def find_node(graph: Any, name: str) -> Any:
    """A node by its name. Raises ModelError."""
    for node in graph.node:
        if node.name == name:
            return node
    raise ModelError(f"no node named {name!r} in the graph.")


def empty_graph() -> Any:
    """A GraphDef without nodes."""
    graph = GraphDef()
    graph.versions.producer = _PRODUCER
    return graph


def placeholder(name: str, shape: Sequence[int]) -> Any:
    """A node for float32 pictures that are fed."""
    node = NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = DT_FLOAT
    for length in shape:
        node.attr["shape"].shape.dim.add(size=length)
    return node


def constant(name: str, values: npt.NDArray[Any]) -> Any:
    """A node that holds float32 or int32 numbers."""
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
    """Say that a node's axes, or the like, are int32."""
    node.attr[attribute].type = DT_INT32


def operation(name: str, op: str, inputs: list[str]) -> Any:
    """A node that computes float32 numbers; attributes beyond their type are the caller's to set."""
    node = NodeDef(name=name, op=op, input=inputs)
    node.attr["T"].type = DT_FLOAT
    return node
