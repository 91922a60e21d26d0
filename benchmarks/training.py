"""Training for benchmarks that measure exported files."""

from __future__ import annotations

from pathlib import Path

from poets_edge.nets.architecture import Architecture
from poets_edge.photos.split import SplitConfig
from poets_edge.training.options import TrainOptions
from poets_edge.training.train import train


def train_graph(architecture: Architecture, photos: Path, work: Path, *, testing: int) -> Path:
    """Train an architecture with the default options, and return the path of the graph, which is next to `labels.txt`.

    Args:
        work: folder for all outputs: bottlenecks and event files, which architectures share, and a folder for each
            architecture, with its graph, labels and record.
        testing: percentage of photos in the test set; 10 percent are validation photos.
    """
    graph = work / architecture.name / "graph.pb"
    train(
        TrainOptions(
            image_dir=photos,
            architecture=architecture,
            output_graph=graph,
            output_labels=graph.with_name("labels.txt"),
            bottleneck_dir=work / "bottlenecks",
            summaries_dir=work / "summaries",
            percentages=SplitConfig(testing=testing, validation=10),
        )
    )
    return graph
