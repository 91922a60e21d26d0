"""Tests of the folder that `codelab` writes, and of the commands in the codelab's instructions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.cli import codelab_scripts
from poets_edge.demo.codelab import SCRIPTS, write_codelab
from poets_edge.demo.draw import draw_photos
from poets_edge.device.overlap import TrainingOverlap
from poets_edge.errors import OutputError
from tests.conftest import ROOT, poets_edge
from tests.recorder import Recorder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the codelab's scripts, generated photos and a graph that the script `retrain` trained."""
    folder = tmp_path_factory.mktemp("poets")
    poets_edge("codelab", folder).ok()
    draw_photos(folder / "tf_files/flower_photos", per_class=10)
    trained = _script(
        *(folder, "retrain", "--bottleneck_dir=tf_files/bottlenecks", "--how_many_training_steps=200"),
        *("--model_dir=tf_files/models/", "--summaries_dir=tf_files/training_summaries/mobilenet_0.25_128"),
        *("--output_graph=tf_files/retrained_graph.pb", "--output_labels=tf_files/retrained_labels.txt"),
        *("--architecture=mobilenet_0.25_128", "--weights=embedded", "--image_dir=tf_files/flower_photos"),
    )
    assert trained.returncode == 0, trained.stderr
    return folder


def _script(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"scripts.{name}", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_codelab_scripts_run_the_commands_in_the_instructions(folder: Path) -> None:
    assert sorted(path.stem for path in (folder / "scripts").glob("[a-z]*.py")) == sorted(SCRIPTS)
    graph, photo = "tf_files/retrained_graph.pb", "tf_files/flower_photos/daisy/daisy-001.jpg"
    labeled = _script(folder, "label_image", f"--graph={graph}", f"--image={photo}")
    assert labeled.returncode == 0 and labeled.stdout.count("(score") == 5, labeled.stderr
    evaluated = _script(folder, "evaluate", graph)
    assert evaluated.stdout.startswith("Accuracy: ") and "Cross Entropy: " in evaluated.stdout, evaluated.stderr
    counted = int(_script(folder, "count_ops", graph).stdout)
    assert counted > 50 and _script(folder, "count_ops", graph, "final_result").stdout.strip() == "1"
    drawn = _script(folder, "graph_pb2tb", "tf_files/training_summaries/retrained", graph)
    assert drawn.returncode == 0 and list((folder / "tf_files/training_summaries/retrained").iterdir())


def test_evaluate_script_notes_photos_that_the_graph_has_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = SimpleNamespace(accuracy=0.75, cross_entropy=0.5)
    learned = np.array([True, True, True, True, False])
    result = SimpleNamespace(
        evaluation=evaluation, learned=learned, unseen=None, overlap=TrainingOverlap(photos=5, training=4)
    )
    asked: list[Any] = []

    def evaluate(graph: Path, photos: Path, *, split: str, reporter: Any) -> Any:
        asked.append((graph, photos, split))
        return result

    monkeypatch.setattr(codelab_scripts, "evaluate", evaluate)
    reporter = Recorder()
    assert codelab_scripts.run_lines("evaluate", ["a.pb"], reporter) == ["Accuracy: 0.75", "Cross Entropy: 0.5"]
    assert reporter.notes == ["the model was trained on 4 of 5 photos"]
    assert len(codelab_scripts.run_lines("evaluate", ["a.pb"])) == 2
    assert asked == [(Path("a.pb"), Path("tf_files/flower_photos"), "test")] * 2


def test_codelab_scripts_report_wrong_arguments_in_one_line(folder: Path) -> None:
    for arguments in (["evaluate"], ["count_ops", "a", "b", "c"], ["evaluate", "missing.pb"]):
        ended = _script(folder, *arguments)
        assert ended.returncode == 1 and ended.stderr.count("Error: ") == 1 and "Traceback" not in ended.stderr


def test_write_codelab_does_not_overwrite_scripts_from_other_programs(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/retrain.py").write_text("print('mine')\n")
    poets_edge("codelab", tmp_path).failed("retrain.py", "a script that poets-edge has not written")
    assert (tmp_path / "scripts/retrain.py").read_text() == "print('mine')\n"
    assert not (tmp_path / "scripts/label_image.py").exists()


@pytest.mark.parametrize("name", ["__init__.py", "label_image.py"])
def test_write_codelab_preserves_user_files(tmp_path: Path, name: str) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / name).write_text("mine = True\n")
    with pytest.raises(OutputError, match="has not written"):
        write_codelab(tmp_path)
    assert (scripts / name).read_text() == "mine = True\n" and len(list(tmp_path.rglob("*"))) == 2
    (scripts / name).unlink()
    os.mkfifo(scripts / name)
    with pytest.raises(OutputError, match="has not written"):
        write_codelab(tmp_path)


def test_write_codelab_preserves_edited_scripts(tmp_path: Path) -> None:
    script, *_ = write_codelab(tmp_path)
    edited = script.read_text() + "print('mine')\n"
    script.write_text(edited)
    with pytest.raises(OutputError, match="or that was edited"):
        write_codelab(tmp_path)
    assert script.read_text() == edited


def test_write_codelab_overwrites_its_own_files(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/__init__.py").touch()
    assert write_codelab(tmp_path) == write_codelab(tmp_path)
    assert (tmp_path / "tf_files").is_dir() and not list((tmp_path / "tf_files").iterdir())


def test_training_summaries_contain_the_node_names_of_the_codelab(folder: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    [events] = (folder / "tf_files/training_summaries/mobilenet_0.25_128/train").iterdir()
    graphs = [GraphDef.FromString(event.graph_def) for event in EventFileLoader(str(events)).Load() if event.graph_def]
    names = {node.name for node in graphs[0].node}
    tops = {name.partition("/")[0] for name in names}
    assert {"GroundTruthInput", "final_training_ops", "cross_entropy", "train", "final_result"} <= tops
    for node in graphs[0].node:
        assert {name.removeprefix("^").partition(":")[0] for name in node.input} <= names, "no dangling edge"


@pytest.mark.parametrize(
    ("word", "right", "wrong"),
    [
        ("input_size", "128", "224"),
        ("input_height", "128", "299"),
        ("input_width", "128", "299"),
        ("input_mean", "128", "0"),
        ("input_std", "128", "255"),
        ("input_layer", "input", "Mul"),
        ("output_layer", "final_result", "softmax"),
    ],
)
def test_label_image_rejects_options_that_contradict_the_model(folder: Path, word: str, right: str, wrong: str) -> None:
    poets_edge("export", "-q", cwd=folder).ok()
    photo = "tf_files/flower_photos/daisy/daisy-001.jpg"
    for model in ("tf_files/retrained_graph.tflite", "tf_files/retrained_graph.pb"):
        poets_edge("label", model, photo, f"--{word}={right}", cwd=folder).ok()
        shown = f"--{word.replace('_', '-')} {wrong}"
        refused = poets_edge("label", model, photo, f"--{word}={wrong}", cwd=folder).failed(shown)
        assert right in refused.stderr or "127.5" in refused.stderr, "both values are named"
