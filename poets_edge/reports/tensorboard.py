"""Write frozen graphs as TensorBoard event files."""

from __future__ import annotations

from pathlib import Path

from poets_edge.errors import ModelError
from poets_edge.nets.frozen import read_frozen_graph
from poets_edge.nets.graphdef import without_large_constants
from poets_edge.reports.events import event_file


def write_tensorboard_graph(model: Path, folder: Path) -> None:
    """Write a frozen graph to an event file in `folder`, for TensorBoard's Graphs page.

    Raises:
        ModelError: the file of the graph is missing, or is not a frozen graph.
    """
    if model.suffix.lower() != ".pb":
        raise ModelError(f"{model}: TensorBoard draws frozen graphs only. Give the .pb it was exported from.")
    graph = read_frozen_graph(model).graph
    with event_file(folder) as events:
        events.add_graph(without_large_constants(graph))
