"""Frozen graphs as data: cutting one at its bottleneck, and putting a head behind it.

A GraphDef is a protocol buffer. TensorBoard's package carries the message definitions, so none of this loads
TensorFlow, and a run that finds everything cached starts in a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.types_pb2 import DT_FLOAT, DT_INT32, DT_STRING

from poets_edge.errors import ModelError

INPUT = "input"
BOTTLENECK = "bottleneck"
LABELS = "poets_edge/labels"
"""A constant that nothing is computed from: the names of the classes, in the order of the output."""

Matrix: TypeAlias = npt.NDArray[np.float32]

_LARGE_CONSTANT = 1024


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


def subgraph(graph: Any, output: str) -> Any:
    """The part of a frozen graph that node `output` is computed from, in the original order.

    Control dependencies are dropped: in a frozen graph they order nothing that matters.
    """
    nodes = {node.name: node for node in graph.node}
    wanted: set[str] = set()
    waiting = [output]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += [_node_of(source) for source in nodes[name].input if not source.startswith("^")]
    kept = GraphDef(versions=graph.versions)
    for node in graph.node:
        if node.name in wanted:
            copy = kept.node.add()
            copy.CopyFrom(node)
            del copy.input[:]
            copy.input.extend(source for source in node.input if not source.startswith("^"))
    return kept


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
            _constant("head/weights", weights),
            _constant("head/biases", biases),
            _operation("head/matmul", "MatMul", [BOTTLENECK, "head/weights"]),
            _operation("head/logits", "BiasAdd", ["head/matmul", "head/biases"]),
            _operation(final_tensor_name, "Softmax", ["head/logits"]),
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


def flattened(graph: Any, tensor_name: str, length: int, new_name: str) -> Any:
    """The graph with node `new_name` behind it: `tensor_name` reshaped to [1, length]."""
    longer = copy_of(graph)
    shape = _constant(f"{new_name}/shape", np.array([1, length], np.int32))
    reshape = _operation(new_name, "Reshape", [tensor_name, shape.name])
    reshape.attr["Tshape"].type = DT_INT32
    longer.node.extend([shape, reshape])
    return longer


def constant_of(node: Any) -> npt.NDArray[np.float32]:
    """The values of a float32 Const node."""
    tensor = node.attr["value"].tensor
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, np.float32).reshape(shape)
    # Small or constant tensors are written as numbers, the last of which is repeated.
    values = np.array(tensor.float_val, np.float32)
    return np.pad(values, (0, int(np.prod(shape)) - len(values)), mode="edge").reshape(shape)


def not_finite(graph: Any) -> str | None:
    """The name of a constant that holds NaN or infinity, None where all is well."""
    for node in graph.node:
        if node.op == "Const" and node.attr["dtype"].type == DT_FLOAT and not np.isfinite(constant_of(node)).all():
            return str(node.name)
    return None


def set_constant(node: Any, values: npt.NDArray[np.float32]) -> None:
    """Give a float32 Const node other values of the same shape."""
    tensor = node.attr["value"].tensor
    del tensor.float_val[:]
    tensor.tensor_content = np.ascontiguousarray(values, np.float32).tobytes()


def copy_of(graph: Any) -> Any:
    """A graph of its own."""
    copied = GraphDef()
    copied.CopyFrom(graph)
    return copied


def placeholder_shape(graph: Any, name: str) -> list[int]:
    """The shape a placeholder declares, -1 for open lengths; [] where it says nothing."""
    node = find_node(graph, name)
    return [dimension.size for dimension in node.attr["shape"].shape.dim]


def find_node(graph: Any, name: str) -> Any:
    """A node by its name. Raises ModelError."""
    for node in graph.node:
        if node.name == name:
            return node
    raise ModelError(f"no node named {name!r} in the graph.")


def _constant(name: str, values: npt.NDArray[Any]) -> Any:
    kind = {"float32": DT_FLOAT, "int32": DT_INT32}[values.dtype.name]
    node = NodeDef(name=name, op="Const")
    node.attr["dtype"].type = kind
    tensor = node.attr["value"].tensor
    tensor.dtype = kind
    for length in values.shape:
        tensor.tensor_shape.dim.add(size=length)
    tensor.tensor_content = np.ascontiguousarray(values).tobytes()
    return node


def _operation(name: str, op: str, inputs: list[str]) -> Any:
    node = NodeDef(name=name, op=op, input=inputs)
    node.attr["T"].type = DT_FLOAT
    return node


def _node_of(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]
