"""Describe a frozen graph for the command `inspect`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from poets_edge.device.inspection import Inspection
from poets_edge.errors import ModelError
from poets_edge.nets.graph_input import graph_input_range
from poets_edge.nets.trained_graph import Trained, read_trained
from poets_edge.tflite.distance import DISTANCE
from poets_edge.tflite.input_range import InputRange
from poets_edge.tflite.session import TensorInfo


def inspect_graph(model: Path) -> Inspection:
    """Describe a frozen graph with its labels and training record.

    Raises:
        ModelError: a file is missing or damaged, or the files come from different training runs.
    """
    trained = read_trained(model, labels_needed=False)
    frozen, labels, record = trained.frozen, trained.labels, trained.record or {}
    float32 = np.dtype(np.float32)
    return Inspection(
        path=model,
        kind="frozen graph",
        description=record.get("architecture", ""),
        size=model.stat().st_size,
        inputs=(TensorInfo(0, frozen.input_name, (1, *frozen.size, 3), float32, 0.0, 0),),
        outputs=(
            TensorInfo(0, frozen.output_name, (1, len(labels)) if labels else (), float32, 0.0, 0),
            *((TensorInfo(1, DISTANCE, (1, 1), float32, 0.0, 0),) if frozen.has_detector else ()),
        ),
        operators=dict(Counter(node.op for node in frozen.graph.node if node.op != "Const").most_common()),
        accelerated=None,
        input_range=_input_range(trained),
        scores="probabilities",
        labels=labels,
        facts={key: value for key, value in record.items() if key not in _LONG},
    )


_LONG = ("steps", "sets", "test_groups", "photos", "photo_sets")
"""Fields of a training record that `inspect` does not show, because they list all photos or training steps."""


def _input_range(trained: Trained) -> InputRange | None:
    try:
        return graph_input_range(trained)
    except ModelError:
        return None
