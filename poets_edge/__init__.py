"""Retrain an image classifier on custom photos, for use on a Raspberry Pi, a phone, a web page or in Python.

    import poets_edge as pe

    run = pe.train("flower_photos")
    files = run.export("float32", "int8")
    model = pe.Classifier(files["int8"])
    model("photo.jpg", top=3)

Public names are imported on first use, so a program that only labels photos does not import the training packages.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.3.0"

if TYPE_CHECKING:
    from poets_edge.api.data import audit as audit
    from poets_edge.api.data import grid as grid
    from poets_edge.api.devices import benchmark as benchmark
    from poets_edge.api.models import evaluate as evaluate
    from poets_edge.api.models import inspect as inspect
    from poets_edge.api.training import Run as Run
    from poets_edge.api.training import export as export
    from poets_edge.api.training import train as train
    from poets_edge.auditing.options import AuditOptions as AuditOptions
    from poets_edge.auditing.results import AuditResult as AuditResult
    from poets_edge.auditing.results import Suspect as Suspect
    from poets_edge.bench.benchmark import BenchmarkOptions as BenchmarkOptions
    from poets_edge.bench.benchmark import BenchmarkResult as BenchmarkResult
    from poets_edge.bench.compare import Comparison as Comparison
    from poets_edge.bench.compare import compare as compare
    from poets_edge.bench.remote.benchmark import benchmark_on as benchmark_on
    from poets_edge.bench.remote.deploy import Deployed as Deployed
    from poets_edge.bench.remote.deploy import DeployOptions as DeployOptions
    from poets_edge.bench.remote.deploy import deploy as deploy
    from poets_edge.bench.remote.sustained import sustain_on as sustain_on
    from poets_edge.bench.rounds import TimingConfig as TimingConfig
    from poets_edge.bench.samples import Distribution as Distribution
    from poets_edge.bench.sustained import SustainedOptions as SustainedOptions
    from poets_edge.bench.sustained import sustain as sustain
    from poets_edge.device.classifier import Classifier as Classifier
    from poets_edge.device.evaluate import EvaluateResult as EvaluateResult
    from poets_edge.device.inspection import Inspection as Inspection
    from poets_edge.device.metrics import Evaluation as Evaluation
    from poets_edge.device.predictions import Mistake as Mistake
    from poets_edge.device.scorer import Label as Label
    from poets_edge.device.scorer import Labels as Labels
    from poets_edge.device.watch.collect import CollectOptions as CollectOptions
    from poets_edge.device.watch.mqtt_options import MqttOptions as MqttOptions
    from poets_edge.device.watch.prediction import Prediction as Prediction
    from poets_edge.device.watch.prediction import WatchSummary as WatchSummary
    from poets_edge.device.watch.trigger import Command as Command
    from poets_edge.device.watch.watch import TriggerOptions as TriggerOptions
    from poets_edge.device.watch.watch import WatchOptions as WatchOptions
    from poets_edge.device.watch.watch import watch as watch
    from poets_edge.errors import PoetsEdgeError as PoetsEdgeError
    from poets_edge.errors import UsageError as UsageError
    from poets_edge.errors import WrongTypeError as WrongTypeError
    from poets_edge.exporting.annotate import AnnotatedModel as AnnotatedModel
    from poets_edge.exporting.annotate import annotate as annotate
    from poets_edge.exporting.options import ExportOptions as ExportOptions
    from poets_edge.exporting.results import AccuracyDropError as AccuracyDropError
    from poets_edge.exporting.results import ExportedFile as ExportedFile
    from poets_edge.exporting.results import ExportResult as ExportResult
    from poets_edge.nets.architecture import Architecture as Architecture
    from poets_edge.nets.architectures import architecture as architecture
    from poets_edge.photos.address import Address as Address
    from poets_edge.photos.split import SplitConfig as SplitConfig
    from poets_edge.progress import Progress as Progress
    from poets_edge.progress import Reporter as Reporter
    from poets_edge.sweep.budget import Budget as Budget
    from poets_edge.sweep.options import GridOptions as GridOptions
    from poets_edge.sweep.points import GridPoint as GridPoint
    from poets_edge.sweep.results import GridResult as GridResult
    from poets_edge.tflite.model_file import ModelFile as ModelFile
    from poets_edge.training.cross_validation import CrossValidation as CrossValidation
    from poets_edge.training.distort import Distortions as Distortions
    from poets_edge.training.fine_tuning.options import FineTuning as FineTuning
    from poets_edge.training.head import HeadOptions as HeadOptions
    from poets_edge.training.options import TrainOptions as TrainOptions
    from poets_edge.training.results import TrainResult as TrainResult

_MODULES = {
    "AccuracyDropError": "poets_edge.exporting.results",
    "Address": "poets_edge.photos.address",
    "AnnotatedModel": "poets_edge.exporting.annotate",
    "Architecture": "poets_edge.nets.architecture",
    "AuditOptions": "poets_edge.auditing.options",
    "AuditResult": "poets_edge.auditing.results",
    "BenchmarkOptions": "poets_edge.bench.benchmark",
    "BenchmarkResult": "poets_edge.bench.benchmark",
    "Budget": "poets_edge.sweep.budget",
    "Classifier": "poets_edge.device.classifier",
    "CollectOptions": "poets_edge.device.watch.collect",
    "Command": "poets_edge.device.watch.trigger",
    "Comparison": "poets_edge.bench.compare",
    "CrossValidation": "poets_edge.training.cross_validation",
    "DeployOptions": "poets_edge.bench.remote.deploy",
    "Deployed": "poets_edge.bench.remote.deploy",
    "Distortions": "poets_edge.training.distort",
    "Distribution": "poets_edge.bench.samples",
    "EvaluateResult": "poets_edge.device.evaluate",
    "Evaluation": "poets_edge.device.metrics",
    "ExportOptions": "poets_edge.exporting.options",
    "ExportResult": "poets_edge.exporting.results",
    "ExportedFile": "poets_edge.exporting.results",
    "FineTuning": "poets_edge.training.fine_tuning.options",
    "GridOptions": "poets_edge.sweep.options",
    "GridPoint": "poets_edge.sweep.points",
    "GridResult": "poets_edge.sweep.results",
    "HeadOptions": "poets_edge.training.head",
    "Inspection": "poets_edge.device.inspection",
    "Label": "poets_edge.device.scorer",
    "Labels": "poets_edge.device.scorer",
    "Mistake": "poets_edge.device.predictions",
    "ModelFile": "poets_edge.tflite.model_file",
    "MqttOptions": "poets_edge.device.watch.mqtt_options",
    "PoetsEdgeError": "poets_edge.errors",
    "Prediction": "poets_edge.device.watch.prediction",
    "Progress": "poets_edge.progress",
    "Reporter": "poets_edge.progress",
    "Run": "poets_edge.api.training",
    "SplitConfig": "poets_edge.photos.split",
    "Suspect": "poets_edge.auditing.results",
    "SustainedOptions": "poets_edge.bench.sustained",
    "TimingConfig": "poets_edge.bench.rounds",
    "TrainOptions": "poets_edge.training.options",
    "TrainResult": "poets_edge.training.results",
    "TriggerOptions": "poets_edge.device.watch.watch",
    "UsageError": "poets_edge.errors",
    "WatchOptions": "poets_edge.device.watch.watch",
    "WatchSummary": "poets_edge.device.watch.prediction",
    "WrongTypeError": "poets_edge.errors",
    "annotate": "poets_edge.exporting.annotate",
    "architecture": "poets_edge.nets.architectures",
    "audit": "poets_edge.api.data",
    "benchmark": "poets_edge.api.devices",
    "benchmark_on": "poets_edge.bench.remote.benchmark",
    "compare": "poets_edge.bench.compare",
    "deploy": "poets_edge.bench.remote.deploy",
    "evaluate": "poets_edge.api.models",
    "export": "poets_edge.api.training",
    "grid": "poets_edge.api.data",
    "inspect": "poets_edge.api.models",
    "sustain": "poets_edge.bench.sustained",
    "sustain_on": "poets_edge.bench.remote.sustained",
    "train": "poets_edge.api.training",
    "watch": "poets_edge.device.watch.watch",
}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
