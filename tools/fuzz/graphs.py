"""Mutated frozen graphs: graphs with changed nodes, attributes and tensors, or with changed bytes.

The former are still valid protocol buffers.
"""

from __future__ import annotations

from random import Random

from tensorboard.compat.proto.graph_pb2 import GraphDef

from tools.fuzz.records import break_bytes

_OPERATIONS = (
    "WriteFile",
    "ReadFile",
    "PyFunc",
    "Softmax",
    "Const",
    "Placeholder",
    "Identity",
    "NoSuchThing",
    "Conv2D",
)


def mutate(graph: bytes, rng: Random) -> bytes:
    """Return a copy of a frozen graph with one to three changed nodes, or with damaged bytes."""
    return break_bytes(graph, rng) if rng.random() < 0.4 else mutate_nodes(graph, rng)


def mutate_nodes(graph: bytes, rng: Random) -> bytes:
    """Return a copy of a frozen graph with one to three changes to its nodes; it is still a valid protocol buffer."""
    changed = GraphDef.FromString(graph)
    for _ in range(rng.randint(1, 3)):
        node = rng.choice(changed.node)
        action = rng.randrange(8)
        if action == 0:
            node.op = rng.choice(_OPERATIONS)
        elif action == 1 and node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice(
                (rng.choice(changed.node).name, "nowhere", "", "^input")
            )
        elif action == 2:
            node.name = rng.choice((rng.choice(changed.node).name, "", "input", "final_result", "\x1b[2J"))
        elif action == 3:
            changed.node.add().CopyFrom(node)
        elif action == 4:
            changed.node.remove(node)
            if not changed.node:
                return b""
        elif action == 5 and "value" in node.attr:
            tensor = node.attr["value"].tensor
            tensor.dtype = rng.randrange(24)
            for dimension in tensor.tensor_shape.dim:
                dimension.size = rng.choice((-1, 0, 1, 1 << 40, dimension.size))
        elif action == 6 and "value" in node.attr:
            tensor = node.attr["value"].tensor
            tensor.tensor_content = break_bytes(tensor.tensor_content or b"\0\0\xc0\x7f", rng)
        elif node.attr:
            del node.attr[rng.choice(sorted(node.attr))]
    return bytes(changed.SerializeToString())
