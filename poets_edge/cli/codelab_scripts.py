"""Scripts from the codelab "TensorFlow for Poets" that have no equivalent command, such as `count_ops`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poets_edge.api.models import evaluate
from poets_edge.core.paths import WORK
from poets_edge.demo.codelab import SCRIPTS
from poets_edge.device.overlap import overlap_lines
from poets_edge.errors import UsageError
from poets_edge.nets.frozen import read_frozen_graph
from poets_edge.progress import Reporter, Silent
from poets_edge.reports.tensorboard import write_tensorboard_graph

_PHOTOS = WORK / "flower_photos"
"""Photo folder that the codelab's instructions and its `evaluate` script use."""

_USAGE = {"evaluate": "GRAPH", "count_ops": "GRAPH [NAME]", "graph_pb2tb": "FOLDER GRAPH"}


def run_lines(name: str, arguments: Sequence[str], reporter: Reporter | None = None) -> list[str]:
    """Return the output of `evaluate`, `count_ops` or `graph_pb2tb`, line by line.

    Args:
        arguments: arguments of the original script: for `evaluate`, a graph; for `count_ops`, a graph and optionally
            the name of the nodes to count; for `graph_pb2tb`, a folder and a graph.
        reporter: receives the warnings of `evaluate`, and notes about photos that the graph has learned from.

    Raises:
        UsageError: the script is unknown, or its arguments are invalid.
        PoetsEdgeError: a graph or photo cannot be read or evaluated.
    """
    match name, list(arguments):
        case "evaluate", [graph]:
            reporter = reporter or Silent()
            result = evaluate(Path(graph), _PHOTOS, split="test", reporter=reporter)
            for line in overlap_lines(result.overlap, result.learned, result.unseen):
                reporter.note(line)
            found = result.evaluation
            return [f"Accuracy: {found.accuracy:g}", f"Cross Entropy: {found.cross_entropy:g}"]
        case "count_ops", [graph, *names] if len(names) <= 1:
            nodes = read_frozen_graph(Path(graph)).graph.node
            return [str(sum(1 for node in nodes if not names or node.name == names[0]))]
        case "graph_pb2tb", [folder, graph]:
            write_tensorboard_graph(Path(graph), Path(folder))
            return []
    if name not in _USAGE:
        raise UsageError(f"{name}: the codelab has no such script; it has {', '.join(SCRIPTS)}.")
    raise UsageError(f"scripts.{name} takes {_USAGE[name]}.")
