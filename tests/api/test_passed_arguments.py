"""Tests that the entry points pass all of their arguments to the functions that do the work."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.api import data, devices, models, training
from poets_edge.auditing.options import AuditOptions
from poets_edge.bench.benchmark import BenchmarkOptions
from poets_edge.bench.rounds import TimingConfig
from poets_edge.errors import RemoteError, UsageError
from poets_edge.exporting.options import ExportOptions
from poets_edge.nets.architectures import architecture
from poets_edge.photos.split import SplitConfig
from poets_edge.progress import Silent
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.options import GridOptions
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.head import HeadOptions
from poets_edge.training.options import TrainOptions
from poets_edge.training.results import TrainResult

SMALL = architecture("mobilenet_0.25_128")
REPORTER = Silent()


class Recorded:
    """Stand-in for a function, which records the arguments of its last call and returns a fixed value."""

    def __init__(self, value: Any = None) -> None:
        self.value = value
        self.arguments: Any = ()
        self.named: Any = {}

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.arguments, self.named = arguments, named
        return self.value


@pytest.fixture
def trains(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """Stand-in for training, which returns an object that has all attributes of a result."""
    found = Recorded(SimpleNamespace(**{field.name: field.name for field in fields(TrainResult)}))
    monkeypatch.setattr("poets_edge.api.training.training.train", found)
    return found


def test_train_passes_every_argument(trains: Recorded) -> None:
    result = training.train(
        "photos", architecture="mobilenet_0.25_128", weights=Path("w.h5"), output_dir="out", steps=11, fine_tune=2,
        exclude="no.json", background="empty", strangers="others", unknown_rate=6.0, seed=8, reporter=REPORTER,
    )  # fmt: skip
    out = Path("out")
    assert trains.arguments == (
        TrainOptions(
            image_dir=Path("photos"), architecture=SMALL, weights="w.h5", output_graph=out / "retrained_graph.pb",
            output_labels=out / "retrained_labels.txt", bottleneck_dir=out / "bottlenecks", model_dir=out / "models",
            runs_dir=out / "runs", summaries_dir=out / "training_summaries",
            intermediate_output_graphs_dir=out / "intermediate_graphs", head=HeadOptions(steps=11, seed=8),
            fine_tuning=FineTuning(blocks=2), exclude=Path("no.json"), background=Path("empty"),
            strangers=Path("others"), unknown_rate=6.0,
        ),
        REPORTER,
    )  # fmt: skip
    assert isinstance(result, training.Run)
    assert all(getattr(result, field.name) == field.name for field in fields(TrainResult))


def test_train_arguments_override_individual_fields_of_options(trains: Recorded) -> None:
    options = TrainOptions(
        image_dir=Path("photos"), head=HeadOptions(steps=5, learning_rate=0.5, seed=3),
        fine_tuning=FineTuning(blocks=1, epochs=4), unknown_rate=9.0,
    )  # fmt: skip
    training.train(options)
    assert trains.arguments == (options, None)
    training.train(options, seed=0, fine_tune=0, unknown_rate=0)
    assert trains.arguments[0] == replace(
        options,
        head=replace(options.head, seed=0),
        fine_tuning=replace(options.fine_tuning, blocks=0),
        unknown_rate=0.0,
    )
    training.train("photos", weights="imagenet")
    assert trains.arguments[0] == TrainOptions(image_dir=Path("photos"))


def test_export_passes_every_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    exports = Recorded("files")
    monkeypatch.setattr("poets_edge.api.training.exporting.export", exports)
    given: dict[str, Any] = {
        "output_dir": "out", "image_dir": "photos", "float_io": True, "input_type": "int8", "max_accuracy_drop": 1.5,
    }  # fmt: skip
    expected = ExportOptions(
        graph=Path("g.pb"), output_dir=Path("out"), quantizations=("int8", "float16"), float_io=True,
        input_type="int8", image_dir=Path("photos"), max_accuracy_drop=1.5,
    )  # fmt: skip
    found: Any = training.export("g.pb", "int8", "float16", labels="l.txt", **given, reporter=REPORTER)
    assert found == "files"
    assert exports.arguments == (replace(expected, labels=Path("l.txt")), REPORTER)
    run = training.Run(**{**{field.name: None for field in fields(TrainResult)}, "graph": Path("g.pb")})  # type: ignore[arg-type]
    assert run.export("int8", "float16", **given, reporter=REPORTER) == "files"  # type: ignore[comparison-overlap]
    assert exports.arguments == (expected, REPORTER)
    training.export(run)
    assert exports.arguments == (ExportOptions(graph=Path("g.pb")), None)
    training.export(expected, max_accuracy_drop=0)
    assert exports.arguments[0] == replace(expected, max_accuracy_drop=0.0)


def test_audit_passes_every_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    audits = Recorded("found")
    monkeypatch.setattr(data, "run_audit", audits)
    found: Any = data.audit(
        "photos", architecture=SMALL, weights="embedded", report="r.html", orientation=True, reporter=REPORTER
    )
    options = AuditOptions(
        image_dir=Path("photos"), architecture=SMALL, weights="embedded", report=Path("r.html"), orientation=True
    )
    assert (found, audits.arguments) == ("found", (options, REPORTER))
    data.audit(options, orientation=False)
    assert audits.arguments == (replace(options, orientation=False), None)


def test_grid_passes_every_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    grids = Recorded("found")
    monkeypatch.setattr(data, "run_grid", grids)
    found: Any = data.grid(
        "photos", architectures=["mobilenet_0.25_128"], max_latency=20, max_size=2_000_000, min_accuracy=0.9,
        strangers="others", output_dir="out", on="pi", reporter=REPORTER,
    )  # fmt: skip
    options = GridOptions(
        image_dir=Path("photos"), architectures=(SMALL,), budget=Budget(latency=20.0, size=2e6, accuracy=0.9),
        strangers=Path("others"), output_dir=Path("out"), on="pi",
    )  # fmt: skip
    assert (found, grids.arguments) == ("found", (options, REPORTER))
    data.grid(options, max_latency="0.5s", min_accuracy="80%")
    assert grids.arguments == (replace(options, budget=Budget(latency=500.0, accuracy=0.8)), None)
    data.grid(options)
    assert grids.arguments == (options, None)


def test_benchmark_passes_every_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    here, on = Recorded("here"), Recorded((["there"], []))
    monkeypatch.setattr(devices, "benchmark_here", here)
    monkeypatch.setattr(devices, "benchmark_on", on)
    given: dict[str, Any] = {"threads": (1, 3), "image_dir": "photos", "labels": "l.txt"}
    options = BenchmarkOptions(
        models=(Path("a.tflite"), Path("b.tflite")), threads=(1, 3), image_dir=Path("photos"), labels=Path("l.txt")
    )
    assert devices.benchmark(["a.tflite", "b.tflite"], **given, reporter=REPORTER) == "here"  # type: ignore[comparison-overlap]
    assert here.arguments == (options, REPORTER)
    there: Any = devices.benchmark(["a.tflite", "b.tflite"], on="pi", remote_dir="x", **given, reporter=REPORTER)
    assert (there, on.arguments) == ("there", (options, ["pi"]))
    assert on.named == {"folder": "x", "reporter": REPORTER}
    timed = replace(options, timing=TimingConfig(rounds=2))
    devices.benchmark(timed, threads=2)
    assert here.arguments == (replace(timed, threads=(2,)), None)
    on.value = ([], [RemoteError("pi: gone")])
    with pytest.raises(RemoteError, match="pi: gone"):
        devices.benchmark("a.tflite", on="pi")


def test_evaluate_passes_every_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    opens, evaluates = Recorded("scorer"), Recorded("found")
    monkeypatch.setattr(models, "open_scorer", opens)
    monkeypatch.setattr("poets_edge.device.evaluate.evaluate", evaluates)
    found: Any = models.evaluate(
        "m.tflite", "photos", split="training", labels="l.txt", input_range="0:1",
        percentages=SplitConfig(testing=21), recursive=True, group_by="parent", strangers="others", reporter=REPORTER,
    )  # fmt: skip
    assert (found, opens.arguments, opens.named) == ("found", ("m.tflite", "l.txt"), {"input_range": "0:1"})
    assert evaluates.arguments == ("scorer", Path("photos"))
    assert evaluates.named == {
        "split": "training", "percentages": SplitConfig(testing=21), "recursive": True, "group_by": "parent",
        "strangers": Path("others"), "reporter": REPORTER,
    }  # fmt: skip


@pytest.mark.parametrize("is_graph", [False, True])
def test_open_scorer_passes_every_argument(monkeypatch: pytest.MonkeyPatch, is_graph: bool) -> None:
    graph, tflite = Recorded("graph"), Recorded("tflite")
    monkeypatch.setattr(models, "is_frozen_graph", lambda path: is_graph)
    monkeypatch.setattr("poets_edge.quantize.graph_scorer.FrozenGraphScorer", graph)
    monkeypatch.setattr("poets_edge.device.classifier.Classifier", tflite)
    found: Any = models.open_scorer("m", "l.txt", 3, input_range="0:1")
    assert found == ("graph" if is_graph else "tflite")
    if is_graph:
        assert graph.arguments == (Path("m"), Path("l.txt"))
        assert graph.named == {"threads": 3, "input_range": "0:1"}
        with pytest.raises(UsageError, match="`delegate`"):
            models.open_scorer("m", delegate="x.so")
    else:
        models.open_scorer("m", "l.txt", 3, input_range="0:1", delegate="x.so")
        assert tflite.arguments == (Path("m"),)
        assert tflite.named == {"labels": Path("l.txt"), "threads": 3, "input_range": "0:1", "delegate": "x.so"}


@pytest.mark.parametrize("is_graph", [False, True])
def test_inspect_reads_each_file_according_to_its_format(monkeypatch: pytest.MonkeyPatch, is_graph: bool) -> None:
    monkeypatch.setattr(models, "is_frozen_graph", lambda path: is_graph)
    monkeypatch.setattr("poets_edge.nets.inspection.inspect_graph", lambda path: ("graph", path))
    monkeypatch.setattr("poets_edge.device.inspection.inspect_tflite", lambda path: ("tflite", path))
    found: Any = models.inspect("m")
    assert found == ("graph" if is_graph else "tflite", Path("m"))
