"""Small frozen graphs, created without TensorFlow, with labels and a record like those that `train` writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.types_pb2 import DT_FLOAT

from poets_edge.nets.graphdef import serialize, with_labels, with_softmax_layer

SIZE = 8


def small_graph(labels: Sequence[str], seed: int = 0) -> Any:
    """Return a graph that applies a softmax layer with random weights to the mean color of an 8 x 8 picture."""
    graph = GraphDef()
    entry = graph.node.add(name="input", op="Placeholder")
    entry.attr["dtype"].type = DT_FLOAT
    for length in (1, SIZE, SIZE, 3):
        entry.attr["shape"].shape.dim.add(size=length)
    axes = graph.node.add(name="axes", op="Const")
    axes.attr["dtype"].type = axes.attr["value"].tensor.dtype = 3
    axes.attr["value"].tensor.tensor_shape.dim.add(size=2)
    axes.attr["value"].tensor.int_val.extend([1, 2])
    mean = graph.node.add(name="bottleneck", op="Mean", input=["input", "axes"])
    mean.attr["T"].type, mean.attr["Tidx"].type = DT_FLOAT, 3
    weights = np.random.default_rng(seed).normal(size=(3, len(labels))).astype(np.float32)
    return with_softmax_layer(graph, weights, np.zeros(len(labels), np.float32), "final_result")


def training_files(folder: Path, labels: Sequence[str], seed: int = 0, *, carry: bool = True) -> dict[Path, bytes]:
    """Return the contents of a graph, a labels file and a record as `train` would write them, by path.

    If `carry` is true, the graph contains the labels, too.
    """
    graph = small_graph(labels, seed)
    content = serialize(with_labels(graph, labels) if carry else graph)
    record: dict[str, Any] = {
        "graph_sha256": hashlib.sha256(content).hexdigest(),
        "architecture": "mobilenet_0.25_128",
        "weights": {"file": "none.h5", "sha256": "0" * 64},
        "image_dir": str(folder / "photos"),
        "percentages": {"testing": 10, "validation": 10},
        "labels": list(labels),
        "classes": {label: {"training": 1, "validation": 0, "test": 0} for label in labels},
        "sets": {"training": [], "validation": [], "test": []},
        "head": {},
        "versions": {},
        "test": None,
    }
    return {
        folder / "retrained_graph.pb": content,
        folder / "retrained_labels.txt": "".join(f"{label}\n" for label in labels).encode(),
        folder / "retrained_graph.json": json.dumps(record).encode(),
    }
