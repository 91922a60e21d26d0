"""End-to-end tests of the codelab on real photos: train, export, label, evaluate, inspect."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from poets_edge.device.classifier import Classifier
from tests.conftest import DAISY, QUANTIZATIONS, ROSE, Trained, poets_edge, poets_edge_process


def first_label(line: str) -> str:
    return line.partition(" (score = ")[0]


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
@pytest.mark.parametrize(("photo", "answer"), [(DAISY, "daisy"), (ROSE, "roses")])
def test_all_quantizations_label_a_daisy_and_a_rose_correctly(
    trained: Trained, flowers: Path, quantization: str, photo: str, answer: str
) -> None:
    ran = poets_edge_process("label", "--graph", trained.model(quantization), flowers / photo).ok()
    assert first_label(ran.stdout.splitlines()[0]) == answer


@pytest.mark.shared
def test_head_classifies_at_least_83_percent_of_held_out_photos_correctly(trained: Trained) -> None:
    record = json.loads((trained.folder / "tf_files/retrained_graph.json").read_text())
    seen, right = (record["test"][key] + record["validation"][key] for key in ("photos", "correct"))
    assert seen >= 150
    assert right / seen >= 0.83


@pytest.mark.shared
def test_int8_predictions_agree_with_float32(trained: Trained, flowers: Path) -> None:
    unseen = json.loads((trained.folder / "tf_files/retrained_graph.json").read_text())["sets"]
    photos = [flowers / name for name in unseen["test"] + unseen["validation"]]
    answers = {quantization: scores_of(trained.model(quantization), photos) for quantization in ("float32", "int8")}
    assert len(np.unique(answers["float32"].argmax(axis=1))) == 5, "answers must vary for agreement to mean anything"
    agreement = (answers["float32"].argmax(axis=1) == answers["int8"].argmax(axis=1)).mean()
    assert agreement >= 0.97


def scores_of(model: Path, photos: list[Path]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    classifier = Classifier(model)
    return np.stack([classifier.scores(photo) for photo in photos])


def test_codelab_command_lines_run_unchanged(flowers: Path, keras_home: Path, tmp_path: Path) -> None:
    (tmp_path / "tf_files").mkdir()
    (tmp_path / "tf_files/flower_photos").symlink_to(flowers)
    first = """train --bottleneck_dir=tf_files/bottlenecks --how_many_training_steps=500 --model_dir=tf_files/models/ \
      --summaries_dir=tf_files/training_summaries/"${ARCHITECTURE}" --output_graph=tf_files/retrained_graph.pb \
      --output_labels=tf_files/retrained_labels.txt --architecture="${ARCHITECTURE}" \
      --image_dir=tf_files/flower_photos"""
    second = """train --bottleneck_dir=tf_files/bottlenecks --model_dir=tf_files/models/"${ARCHITECTURE}" \
      --summaries_dir=tf_files/training_summaries/"${ARCHITECTURE}" --output_graph=tf_files/retrained_graph.pb \
      --output_labels=tf_files/retrained_labels.txt --architecture="${ARCHITECTURE}" \
      --image_dir=tf_files/flower_photos"""
    third = "label --graph=tf_files/retrained_graph.pb --image=tf_files/flower_photos/daisy/21652746_cc379e0eea_m.jpg"

    def words(line: str) -> list[str]:
        return shlex.split(line.replace("${ARCHITECTURE}", "mobilenet_0.50_224"))

    ran = poets_edge(*words(first), cwd=tmp_path).ok()
    photos = len(list(flowers.glob("*/*.jpg")))
    assert f"100%, {photos:,} of {photos:,}" in ran.stderr
    ran = poets_edge(*words(second), cwd=tmp_path).ok()
    assert "bottlenecks, mobilenet" not in ran.stderr, "every bottleneck is cached"
    assert "step  3999" in ran.stderr
    ran = poets_edge(*words(third), cwd=tmp_path).ok()
    assert ran.stdout.startswith("daisy (score = 0.99")
    check_tensorboard_shows_the_run(tmp_path / "tf_files/training_summaries/mobilenet_0.50_224")


def check_tensorboard_shows_the_run(summaries: Path) -> None:
    """Check that the event files contain the curves, histograms and graph of a training run, as read by TensorBoard."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = {}
    for name in ("train", "validation"):
        assert len(list((summaries / name).iterdir())) == 1, "two runs in one folder would be one zigzag curve"
        curves[name] = EventAccumulator(str(summaries / name))
        curves[name].Reload()
        assert {"accuracy", "cross_entropy"} <= set(curves[name].Tags()["scalars"])
        assert [event.step for event in curves[name].Scalars("accuracy")] == [*range(0, 4000, 10), 3999]
    losses = [event.value for event in curves["train"].Scalars("cross_entropy")]
    assert losses[-1] < losses[0] / 2
    assert {"head/weights", "head/biases"} <= set(curves["train"].Tags()["histograms"])
    nodes = {node.name for node in curves["train"].Graph().node}
    assert {"input", "bottleneck", "final_result"} <= nodes


@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_evaluate_reports_the_test_results_stored_by_export(trained: Trained, flowers: Path, quantization: str) -> None:
    ran = poets_edge_process("evaluate", "--graph", trained.model(quantization), "--image_dir", flowers, "--json").ok()
    found = json.loads(ran.stdout)
    facts = Classifier(trained.model(quantization)).metadata.facts["test"]
    assert {key: found[key] for key in facts} == facts
    assert found["photos"] > 0.08 * len(list(flowers.glob("*/*.jpg")))


def test_evaluate_accepts_a_frozen_graph(trained: Trained, flowers: Path) -> None:
    ran = poets_edge("evaluate", "--graph", trained.graph, "--image_dir", flowers, "--json").ok()
    exported = Classifier(trained.model()).metadata.facts["test"]
    assert json.loads(ran.stdout)["confusion"] == exported["confusion"]


def test_inspect_describes_models(trained: Trained, flowers: Path) -> None:
    found = json.loads(poets_edge_process("inspect", trained.model("int8"), "--json").ok().stdout)
    assert found["inputs"][0]["shape"] == [1, 224, 224, 3]
    assert found["inputs"][0]["dtype"] == found["outputs"][0]["dtype"] == "uint8"
    assert found["labels"] == ["daisy", "dandelion", "roses", "sunflowers", "tulips"]
    assert found["operators"]["DEPTHWISE_CONV_2D"] == 13
    assert found["mean"] == found["std"] == [128]
    assert found["facts"]["training"]["architecture"] == "mobilenet_0.50_224"
    text = poets_edge_process("inspect", trained.model("int8")).ok().stdout
    assert (
        "mobilenet_0.50_224" in text and "uint8" in text and f"daisy {len(list(flowers.glob('daisy/*.jpg')))}" in text
    )


def test_inspect_writes_a_graph_for_tensorboard(trained: Trained, tmp_path: Path) -> None:
    poets_edge("inspect", trained.graph, "--tensorboard", tmp_path / "logs").ok()
    [events] = (tmp_path / "logs").iterdir()
    assert b"final_result" in events.read_bytes()
