"""poets_edge: your photos -> a retrained MobileNet -> TensorFlow Lite on a Raspberry Pi or a phone.

    from poets_edge import Classifier, ExportOptions, TrainOptions, export, train

    train(TrainOptions(image_dir=Path("flower_photos")))
    export(ExportOptions(quantizations=("float32", "int8")))
    Classifier("tf_files/retrained_graph_int8.tflite").classify("photo.jpg", top=3)

Each name is loaded when it is first used, so labelling never imports what only training needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from poets_edge.architectures import architecture as architecture
    from poets_edge.benchmarking.benchmark import BenchmarkOptions as BenchmarkOptions
    from poets_edge.benchmarking.benchmark import benchmark as benchmark
    from poets_edge.edge.classifier import Classifier as Classifier
    from poets_edge.edge.classifier import Label as Label
    from poets_edge.errors import PoetsEdgeError as PoetsEdgeError
    from poets_edge.exporting.export import ExportOptions as ExportOptions
    from poets_edge.exporting.export import export as export
    from poets_edge.training.options import TrainOptions as TrainOptions
    from poets_edge.training.train import train as train

_HOMES = {
    "BenchmarkOptions": "poets_edge.benchmarking.benchmark",
    "Classifier": "poets_edge.edge.classifier",
    "ExportOptions": "poets_edge.exporting.export",
    "Label": "poets_edge.edge.classifier",
    "PoetsEdgeError": "poets_edge.errors",
    "TrainOptions": "poets_edge.training.options",
    "architecture": "poets_edge.architectures",
    "benchmark": "poets_edge.benchmarking.benchmark",
    "export": "poets_edge.exporting.export",
    "train": "poets_edge.training.train",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
