"""poets_edge: your photos -> a retrained MobileNet -> TensorFlow Lite on a Raspberry Pi, a phone or a web page.

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
    from poets_edge.architectures import Architecture as Architecture
    from poets_edge.architectures import architecture as architecture
    from poets_edge.audit.audit import audit as audit
    from poets_edge.audit.options import AuditOptions as AuditOptions
    from poets_edge.audit.results import AuditResult as AuditResult
    from poets_edge.benchmarking.benchmark import BenchmarkOptions as BenchmarkOptions
    from poets_edge.benchmarking.benchmark import BenchmarkResult as BenchmarkResult
    from poets_edge.benchmarking.benchmark import benchmark as benchmark
    from poets_edge.benchmarking.compare import Comparison as Comparison
    from poets_edge.benchmarking.compare import compare as compare
    from poets_edge.benchmarking.measurement import Settings as Settings
    from poets_edge.benchmarking.sustained import SustainedOptions as SustainedOptions
    from poets_edge.benchmarking.sustained import sustain as sustain
    from poets_edge.edge.classifier import Classifier as Classifier
    from poets_edge.edge.classifier import Label as Label
    from poets_edge.edge.evaluate import EvaluateResult as EvaluateResult
    from poets_edge.edge.evaluate import evaluate as evaluate
    from poets_edge.edge.inspection import Inspection as Inspection
    from poets_edge.edge.inspection import inspect as inspect
    from poets_edge.edge.metrics import Evaluation as Evaluation
    from poets_edge.errors import PoetsEdgeError as PoetsEdgeError
    from poets_edge.exporting.export import ExportOptions as ExportOptions
    from poets_edge.exporting.export import ExportResult as ExportResult
    from poets_edge.exporting.export import export as export
    from poets_edge.photos.address import Address as Address
    from poets_edge.photos.split import Percentages as Percentages
    from poets_edge.progress import Reporter as Reporter
    from poets_edge.remote.benchmark import benchmark_on as benchmark_on
    from poets_edge.remote.deploy import Deployed as Deployed
    from poets_edge.remote.deploy import DeployOptions as DeployOptions
    from poets_edge.remote.deploy import deploy as deploy
    from poets_edge.remote.sustained import sustain_on as sustain_on
    from poets_edge.sweep.grid import grid as grid
    from poets_edge.sweep.options import GridOptions as GridOptions
    from poets_edge.sweep.points import Budget as Budget
    from poets_edge.sweep.results import GridResult as GridResult
    from poets_edge.training.distort import Distortions as Distortions
    from poets_edge.training.fine_tuning.options import FineTuning as FineTuning
    from poets_edge.training.head import HeadOptions as HeadOptions
    from poets_edge.training.options import TrainOptions as TrainOptions
    from poets_edge.training.train import TrainResult as TrainResult
    from poets_edge.training.train import train as train
    from poets_edge.watching.collect import CollectOptions as CollectOptions
    from poets_edge.watching.pipeline import Seen as Seen
    from poets_edge.watching.pipeline import Tally as Tally
    from poets_edge.watching.trigger import Command as Command
    from poets_edge.watching.watch import TriggerOptions as TriggerOptions
    from poets_edge.watching.watch import WatchOptions as WatchOptions
    from poets_edge.watching.watch import watch as watch

_HOMES = {
    "Address": "poets_edge.photos.address",
    "Architecture": "poets_edge.architectures",
    "AuditOptions": "poets_edge.audit.options",
    "AuditResult": "poets_edge.audit.results",
    "BenchmarkOptions": "poets_edge.benchmarking.benchmark",
    "BenchmarkResult": "poets_edge.benchmarking.benchmark",
    "Budget": "poets_edge.sweep.points",
    "Classifier": "poets_edge.edge.classifier",
    "CollectOptions": "poets_edge.watching.collect",
    "Command": "poets_edge.watching.trigger",
    "Comparison": "poets_edge.benchmarking.compare",
    "DeployOptions": "poets_edge.remote.deploy",
    "Deployed": "poets_edge.remote.deploy",
    "Distortions": "poets_edge.training.distort",
    "EvaluateResult": "poets_edge.edge.evaluate",
    "Evaluation": "poets_edge.edge.metrics",
    "ExportOptions": "poets_edge.exporting.export",
    "ExportResult": "poets_edge.exporting.export",
    "FineTuning": "poets_edge.training.fine_tuning.options",
    "GridOptions": "poets_edge.sweep.options",
    "GridResult": "poets_edge.sweep.results",
    "HeadOptions": "poets_edge.training.head",
    "Inspection": "poets_edge.edge.inspection",
    "Label": "poets_edge.edge.classifier",
    "Percentages": "poets_edge.photos.split",
    "PoetsEdgeError": "poets_edge.errors",
    "Reporter": "poets_edge.progress",
    "Seen": "poets_edge.watching.pipeline",
    "Settings": "poets_edge.benchmarking.measurement",
    "SustainedOptions": "poets_edge.benchmarking.sustained",
    "Tally": "poets_edge.watching.pipeline",
    "TrainOptions": "poets_edge.training.options",
    "TrainResult": "poets_edge.training.train",
    "TriggerOptions": "poets_edge.watching.watch",
    "WatchOptions": "poets_edge.watching.watch",
    "architecture": "poets_edge.architectures",
    "audit": "poets_edge.audit.audit",
    "benchmark": "poets_edge.benchmarking.benchmark",
    "benchmark_on": "poets_edge.remote.benchmark",
    "compare": "poets_edge.benchmarking.compare",
    "deploy": "poets_edge.remote.deploy",
    "evaluate": "poets_edge.edge.evaluate",
    "export": "poets_edge.exporting.export",
    "grid": "poets_edge.sweep.grid",
    "inspect": "poets_edge.edge.inspection",
    "sustain": "poets_edge.benchmarking.sustained",
    "sustain_on": "poets_edge.remote.sustained",
    "train": "poets_edge.training.train",
    "watch": "poets_edge.watching.watch",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
