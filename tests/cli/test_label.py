"""Tests of `poets-edge label`, most of which run it in a separate process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poets_edge import Classifier
from poets_edge.nets.graphdef import find_node, operation, parse_graph, serialize
from tests.conftest import DAISY, ROOT, ROSE, Trained, poets_edge, poets_edge_process


def test_label_prints_the_best_label_first(trained: Trained, flowers: Path) -> None:
    lines = poets_edge_process("label", "--graph", trained.model(), flowers / DAISY).ok().stdout.splitlines()
    scores = [float(line.partition("(score = ")[2].rstrip(")")) for line in lines]
    assert lines[0].startswith("daisy (score = 0.9")
    assert len(lines) == 5 and scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-3)


def test_label_applies_the_options_top_threshold_threads_and_json(trained: Trained, flowers: Path) -> None:
    label = ("label", "--graph", trained.model("int8"), flowers / ROSE)
    assert len(poets_edge_process(*label, "--top", "2").ok().stdout.splitlines()) == 2
    sure = ("label", trained.model(), flowers / ROSE, "--threshold", "0.999999")
    assert poets_edge_process(*sure).ok().stdout == "unknown\n"
    [answer] = json.loads(poets_edge_process(*label, "--json", "--threads", "2").ok().stdout)
    assert answer["labels"][0]["label"] == "roses"


@pytest.mark.parametrize("name", ["int8", "graph"])
def test_label_reports_photos_unlike_the_training_photos_as_unknown(
    name: str, trained: Trained, flowers: Path, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    model = trained.graph if name == "graph" else trained.model(name)
    label = ("label", model, tmp_path / "noise.png")
    lines = poets_edge(*label).ok().stdout.splitlines()
    assert lines[0] == "unknown (unlike the training photos)" and len(lines) == 2
    assert lines[1].startswith("nearest: ")
    [answer] = json.loads(poets_edge(*label, "--json").ok().stdout)
    assert answer["unknown"] is True and answer["distance"] > 1 and len(answer["labels"]) == 5
    [accepted] = json.loads(poets_edge(*label, "--json", "--accept-all").ok().stdout)
    assert accepted == {**answer, "unknown": False}
    assert poets_edge(*label, "--accept-all", "--top", "1").ok().stdout.startswith(lines[1].split()[1])
    [known] = json.loads(poets_edge("label", model, flowers / DAISY, "--json").ok().stdout)
    assert known["unknown"] is False and 0 < known["distance"] < 1
    if name != "graph":
        found = Classifier(model)([tmp_path / "noise.png", flowers / DAISY], top=1)
        assert [one.unknown for one in found] == [True, False]
        assert [one.distance for one in found] == [answer["distance"], known["distance"]]


def test_label_reads_folders_several_photos_and_standard_input(trained: Trained, flowers: Path, tmp_path: Path) -> None:
    for photo in (DAISY, ROSE):
        (tmp_path / "mixed" / photo).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(flowers / photo, tmp_path / "mixed" / photo)
    ran = poets_edge_process("label", "--graph", trained.model(), "--top", "1", tmp_path / "mixed").ok()
    lines = ran.stdout.splitlines()
    assert lines[0].endswith(f"{DAISY}:") and lines[1].startswith("  daisy")
    assert lines[2].endswith(f"{ROSE}:") and lines[3].startswith("  roses")
    piped = poets_edge_process("label", "--graph", trained.model(), "-", stdin=(flowers / ROSE).read_bytes()).ok()
    assert piped.stdout.startswith("roses (score = ")


def test_label_requires_tensorflow_only_for_graphs_from_other_programs(
    trained: Trained, flowers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = parse_graph(trained.graph.read_bytes(), "trained")
    find_node(graph, "head/logits").op = "Maximum"
    graph.node.extend([operation("last", "Softmax", ["final_result"])])
    (tmp_path / "foreign_graph.pb").write_bytes(serialize(graph))
    shutil.copy(trained.folder / "tf_files/retrained_labels.txt", tmp_path / "foreign_labels.txt")
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorflow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    ours, model = (
        poets_edge("label", "--graph", file, flowers / DAISY).ok().stdout for file in (trained.graph, trained.model())
    )
    assert ours == model
    foreign = tmp_path / "foreign_graph.pb"
    poets_edge("label", "--graph", foreign, flowers / DAISY).failed("pip install 'poets-edge[tensorflow]'")


def test_label_reports_that_the_interpreter_package_is_missing(
    trained: Trained, flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ai_edge_litert", "tflite_runtime", "tensorflow.lite.python"):
        monkeypatch.setitem(sys.modules, f"{name}.interpreter", None)
    poets_edge("label", "--graph", trained.model(), flowers / DAISY).failed("pip install ai-edge-litert")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "not a TensorFlow Lite model"),
        (b"PK\x03\x04 an archive", "not a TensorFlow Lite model"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(400), "damaged"),
    ],
)
def test_label_rejects_files_that_are_not_models(
    flowers: Path, tmp_path: Path, content: bytes | None, said: str
) -> None:
    model = tmp_path / "model.tflite"
    if content is not None:
        model.write_bytes(content)
    poets_edge_process("label", "--graph", model, flowers / DAISY).failed(str(model), said)


def test_label_rejects_truncated_models(trained: Trained, flowers: Path, tmp_path: Path) -> None:
    data = trained.model("int8").read_bytes()
    for length in (20, 5_000, len(data) // 2, len(data) - 10):
        (tmp_path / "cut.tflite").write_bytes(data[:length])
        poets_edge_process("label", "--graph", tmp_path / "cut.tflite", flowers / DAISY).failed("cut.tflite")


def test_label_requires_a_labels_file_if_the_model_has_none(trained: Trained, flowers: Path, tmp_path: Path) -> None:
    """A model without metadata needs --labels, with one label for each output."""
    with zipfile.ZipFile(trained.model()) as archive:
        start = min(info.header_offset for info in archive.infolist())
        labels = archive.read("labels.txt")
    foreign = tmp_path / "foreign.lite"
    foreign.write_bytes(trained.model().read_bytes()[:start])
    label = ("label", "--graph", foreign, flowers / DAISY)
    poets_edge_process(*label).failed("no labels inside", "--labels")
    app = ("--app", shutil.copytree(ROOT / "android_demo", tmp_path / "app"))
    for command in (("web",), ("android", *app)):
        ran = poets_edge_process(*command, foreign, cwd=tmp_path).failed("--labels")
        assert "`" not in ran.stderr
    (tmp_path / "labels.txt").write_bytes(b"\xef\xbb\xbf" + labels.replace(b"\n", b"\r\n"))
    assert poets_edge_process(*label, "--labels", tmp_path / "labels.txt").ok().stdout.startswith("daisy (")
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    poets_edge_process(*label, "--labels", tmp_path / "few.txt").failed("2 labels", "5 outputs")
    poets_edge_process(*label, "--labels", tmp_path / "none.txt").failed("none.txt")


def test_label_rejects_unreadable_photos_and_invalid_arguments(trained: Trained, flowers: Path, tmp_path: Path) -> None:
    label = ("label", "--graph", trained.model())
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty").mkdir()
    poets_edge_process(*label).failed("no photo given")
    poets_edge_process(*label, tmp_path / "text.jpg").failed("text.jpg", "not a picture")
    poets_edge_process(*label, tmp_path / "none.jpg").failed("none.jpg", "no such file")
    poets_edge_process(*label, tmp_path / "empty").failed("no photos in this folder")
    poets_edge_process(*label, flowers / DAISY, "--threads", "0").failed("--threads must be 1 or more")
    # A bad photo does not prevent the labels of the others.
    ran = poets_edge_process(*label, "--top", "1", tmp_path / "text.jpg", flowers / DAISY)
    ran.failed("text.jpg")
    assert "daisy (score" in ran.stdout


def test_label_ends_silently_if_the_pipe_is_closed(trained: Trained, flowers: Path) -> None:
    command = f"{sys.executable} -m poets_edge label --graph {trained.model()} {flowers}/daisy --top 1 | head -1"
    ran = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.stderr == ""


def test_label_prints_the_scores_that_classifier_returns(trained: Trained, flowers: Path) -> None:
    classifier = Classifier(trained.model())
    best = classifier.classify(flowers / DAISY, top=1)[0]
    assert (
        f"{best.name} (score = {best.score:.5f})"
        in poets_edge_process("label", "--graph", trained.model(), flowers / DAISY).stdout
    )
    np.testing.assert_array_equal(classifier.scores(flowers / DAISY), classifier.scores((flowers / DAISY).read_bytes()))
