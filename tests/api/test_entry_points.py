"""Tests of the entry points of the library: accepted types, results and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from poets_edge.api.data import audit, grid
from poets_edge.api.devices import benchmark
from poets_edge.api.models import evaluate, inspect
from poets_edge.api.training import Run, export, train
from poets_edge.demo.draw import draw_photos
from poets_edge.errors import PoetsEdgeError, UsageError, WrongTypeError
from poets_edge.training.results import TrainResult

SMALL: dict[str, Any] = {"architecture": "mobilenet_0.25_128", "weights": "embedded"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api") / "photos"
    draw_photos(folder, per_class=12)
    return folder


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(str(photos), **SMALL, output_dir=str(tmp_path_factory.mktemp("run")), steps=100)


def test_train_accepts_strings_and_returns_a_run(run: Run) -> None:
    assert isinstance(run, TrainResult)
    assert 0 < run.test.accuracy <= 1 and run.test.interval[0] < run.test.interval[1]
    assert run.cross_validated is not None and 0 < run.cross_validated.accuracy <= 1
    assert run.graph.exists() and run.graph.parent == run.record.parent
    assert len(repr(run)) < 200 and "test accuracy" in repr(run)


def test_result_of_run_export_maps_quantizations_to_files(run: Run) -> None:
    files = run.export("float32", "int8", max_accuracy_drop=100)
    assert list(files) == ["float32", "int8"]
    assert files["int8"].path.stat().st_size == files["int8"].size < files["float32"].size
    assert files["int8"].accuracy is not None
    assert len(repr(files)) < 400
    with pytest.raises(KeyError):
        files["float16"]


def test_export_accepts_the_path_of_a_graph(run: Run, tmp_path: Path) -> None:
    files = export(str(run.graph), "int8", output_dir=str(tmp_path))
    assert files["int8"].path.parent == tmp_path
    assert inspect(str(files["int8"].path)).facts["quantization"] == "int8"


def test_audit_accepts_paths_as_strings(photos: Path, tmp_path: Path) -> None:
    found = audit(str(photos), **SMALL, report=str(tmp_path / "audit.html"))
    assert (tmp_path / "audit.html").exists() and found.to_json()["photos"] == 60


@pytest.mark.parametrize(
    "call",
    [
        lambda: train(3),  # type: ignore[arg-type]
        lambda: train("x", architecture=3),  # type: ignore[arg-type]
        lambda: train("x", steps="many"),  # type: ignore[arg-type]
        lambda: train("x", output_dir=7),  # type: ignore[arg-type]
        lambda: export(3),  # type: ignore[arg-type]
        lambda: evaluate(3, "x"),  # type: ignore[arg-type]
        lambda: inspect(None),  # type: ignore[arg-type]
        lambda: benchmark(3),  # type: ignore[arg-type]
        lambda: audit(3),  # type: ignore[arg-type]
        lambda: grid(3),  # type: ignore[arg-type]
    ],
)
def test_entry_points_report_which_parameter_has_a_wrong_type(call: Any) -> None:
    with pytest.raises(WrongTypeError, match="`"):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: train("x", architecture="mobilenet_9"),
        lambda: train("x", steps=0),
        lambda: export("x.pb", "int4"),  # type: ignore[arg-type]
        lambda: grid("x", max_latency="soon"),
        lambda: grid("x", architectures=["mobilenet_9"]),
        lambda: benchmark("x.tflite", threads=0),
    ],
)
def test_entry_points_raise_usage_error_for_invalid_values(call: Any) -> None:
    with pytest.raises(UsageError):
        call()


def test_entry_points_report_missing_files_in_one_line(tmp_path: Path) -> None:
    for call in (lambda: train(tmp_path / "no"), lambda: evaluate("no.tflite", tmp_path), lambda: inspect("no.pb")):
        with pytest.raises(PoetsEdgeError) as caught:
            call()
        assert "\n" not in str(caught.value)
