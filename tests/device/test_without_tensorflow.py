"""Tests of commands in an environment in which TensorFlow cannot be imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from poets_edge.device.classifier import Classifier
from poets_edge.nets.graphdef import find_node, operation, parse_graph, serialize
from tests.conftest import ROOT

EMBEDDED = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128")
_REFUSAL = "raise ModuleNotFoundError(f'No module named {__name__!r}', name=__name__)\n"


@pytest.fixture(scope="module")
def blocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Add modules named `tensorflow` and `keras`, which cannot be imported, to PYTHONPATH."""
    folder = tmp_path_factory.mktemp("blocked")
    for name in ("tensorflow", "keras"):
        (folder / f"{name}.py").write_text(_REFUSAL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
        assert subprocess.run([sys.executable, "-c", "import tensorflow"], capture_output=True).returncode
        yield


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "poets_edge", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def ok(*arguments: str | Path, cwd: Path) -> str:
    ended = run(*arguments, cwd=cwd)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def work(blocked: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with synthetic photos, a graph trained on them, and its four exported files."""
    folder = tmp_path_factory.mktemp("without")
    ok("draw-photos", "photos", "--per-class", "12", cwd=folder)
    ok("train", "photos", *EMBEDDED, "--how_many_training_steps", "200", "--quiet", cwd=folder)
    ok("export", "--all", "--quiet", cwd=folder)
    return folder


def test_train_and_export_work_without_tensorflow(work: Path) -> None:
    photos = sorted((work / "photos").glob("*/*.jpg"))[::7]
    answers = {}
    for name in ("", "_float16", "_dynamic", "_int8"):
        classifier = Classifier(work / f"tf_files/retrained_graph{name}.tflite")
        answers[name] = [classifier.scores(photo) for photo in photos]
    assert len({best.argmax() for best in answers[""]}) >= 3, "the answers must vary"
    agree = [best.argmax() == other.argmax() for best, other in zip(answers[""], answers["_int8"], strict=True)]
    assert sum(agree) >= len(agree) - 1


def test_label_and_evaluate_of_a_trained_graph_work_without_tensorflow(work: Path) -> None:
    photo = next((work / "photos").glob("*/*.jpg"))
    graph, model = work / "tf_files/retrained_graph.pb", work / "tf_files/retrained_graph.tflite"
    assert ok("label", graph, photo, cwd=work) == ok("label", model, photo, cwd=work)
    found = [json.loads(ok("evaluate", file, "--image_dir", "photos", "--json", cwd=work)) for file in (graph, model)]
    assert found[0]["accuracy"] == found[1]["accuracy"]
    ok("inspect", graph, cwd=work)


def test_grid_works_without_tensorflow(work: Path, keras_home: Path) -> None:
    short = ("--rounds", "1", "--min-seconds", "0.05", "--min-runs", "2", "--how_many_training_steps", "50", "--quiet")
    ok("grid", "photos", "--architecture", "mobilenet_0.25_128", *short, cwd=work)
    assert (work / "tf_files/grid/grid.json").is_file()


def test_commands_report_missing_tensorflow_for_graphs_from_other_programs(work: Path, tmp_path: Path) -> None:
    graph = parse_graph((work / "tf_files/retrained_graph.pb").read_bytes(), "trained")
    find_node(graph, "head/logits").op = "Maximum"
    graph.node.extend([operation("last", "Softmax", ["final_result"])])
    (tmp_path / "x.pb").write_bytes(serialize(graph))
    (tmp_path / "x_labels.txt").write_bytes((work / "tf_files/retrained_labels.txt").read_bytes())
    photo = next((work / "photos").glob("*/*.jpg"))
    for arguments in (("label", "x.pb", photo), ("export", "x.pb")):
        ended = run(*arguments, cwd=tmp_path)
        assert ended.returncode == 1
        assert ended.stderr.splitlines()[-1].endswith("Run: pip install 'poets-edge[tensorflow]'"), ended.stderr
