"""Tests of `evaluate`: choice of photos, outdated models, and comparison of models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.demo.draw import draw_photos
from poets_edge.device.classifier import Classifier
from poets_edge.device.compare_models import compare_results
from tests.conftest import Trained, poets_edge

_TRAIN = ("--architecture", "mobilenet_0.25_128", "--weights", "embedded", "--how_many_training_steps", "100", "-q")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a model with the embedded backbone, trained on 60 synthetic photos in the folder `photos`."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_photos(folder / "photos", per_class=12)
    poets_edge("train", "photos", *_TRAIN, cwd=folder).ok()
    poets_edge("export", "--quantize", "int8", "-q", cwd=folder).ok()
    return Trained(folder)


def test_evaluate_uses_the_test_split_of_the_training_folder(drawn: Trained) -> None:
    ran = poets_edge("evaluate", drawn.model("int8"), drawn.folder / "photos", "--json").ok()
    found = json.loads(ran.stdout)
    assert found["set"] == "test" and found["photos"] + found["left_out"] == 60
    shown = poets_edge("evaluate", drawn.model("int8"), drawn.folder / "photos", "-q").ok().stdout
    assert f"({found['left_out']} photos of other splits skipped; --split all includes them)" in shown


def test_evaluate_uses_all_photos_of_a_folder_not_used_for_training(drawn: Trained, tmp_path: Path) -> None:
    draw_photos(tmp_path / "others", per_class=4, seed=9)
    for model in (drawn.model("int8"), drawn.graph):
        found = json.loads(poets_edge("evaluate", model, tmp_path / "others", "--json").ok().stdout)
        assert found["set"] == "all" and found["photos"] == 20 and found["left_out"] == 0


def test_evaluate_recognizes_a_copied_part_of_the_training_folder(drawn: Trained, tmp_path: Path) -> None:
    shutil.copytree(drawn.folder / "photos/daisy", tmp_path / "copy/daisy")
    found = json.loads(poets_edge("evaluate", drawn.model("int8"), tmp_path / "copy", "--json").ok().stdout)
    assert found["set"] == "test" and found["left_out"]


def test_label_and_evaluate_warn_if_the_model_is_older_than_the_last_training_run(
    drawn: Trained, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    shutil.copytree(drawn.folder, work)
    photo = next((work / "photos/daisy").iterdir())
    assert "earlier training" not in poets_edge("label", "tf_files/retrained_graph_int8.tflite", photo, cwd=work).stderr
    shutil.rmtree(work / "photos/roses")
    trained = poets_edge("train", "photos", *_TRAIN, cwd=work).ok()
    assert "retrained_graph_int8.tflite. Export again" in trained.stderr
    for command in (("label", photo), ("evaluate", work / "photos", "--set", "all")):
        name, *rest = command
        ran = poets_edge(name, "tf_files/retrained_graph_int8.tflite", *rest, cwd=work)
        assert "comes from an earlier training than tf_files/retrained_graph.pb" in ran.stderr


def test_label_command_rejects_a_threshold_above_the_highest_score(drawn: Trained) -> None:
    photo = next((drawn.folder / "photos/daisy").iterdir())
    assert Classifier(drawn.model("int8")).highest_score == 255 / 256
    for command in (("label", drawn.model("int8"), photo), ("watch", drawn.model("int8"), "--source", photo)):
        poets_edge(*command, "--threshold", "0.999").failed("0.996094", "--threshold 0.999")
        poets_edge(*command, "--threshold", "0.99").ok()


def test_evaluate_compares_several_models_on_the_same_photos(drawn: Trained) -> None:
    models = (drawn.graph, drawn.model("int8"))
    ran = poets_edge("evaluate", *models, drawn.folder / "photos", "--set", "all", "--json").ok()
    first, second = json.loads(ran.stdout)["models"]
    wrong, others = ({entry["photo"] for entry in one["misclassified"]} for one in (first, second))
    splits = json.loads(drawn.graph.with_suffix(".json").read_text())["sets"]
    new = set(splits["test"])
    paired = second["beside_first"]
    assert first["photos"] == second["photos"] == 60 and paired["photos"] == len(new)
    assert (paired["worse"], paired["better"]) == (len((others - wrong) & new), len((wrong - others) & new))
    shown = poets_edge("evaluate", *models, drawn.folder / "photos", "--set", "all", "-q").ok().stdout
    assert f"retrained_graph_int8.tflite compared with retrained_graph.pb, on {len(new)} photos: " in shown


@pytest.mark.parametrize(("unseen", "photos"), [(("ab", "bc"), 1), (("ab", "cd"), 4), (("", ""), 4)])
def test_models_without_common_unseen_photos_are_compared_on_all_common_photos(
    unseen: tuple[str, str], photos: int
) -> None:
    def result(new: str) -> Any:
        names = {True: new, False: "abcd"}
        return SimpleNamespace(
            correct_by_name=lambda *, unseen: dict.fromkeys(names[unseen], True),
            group_by_name=lambda: {name: number for number, name in enumerate("abcd")},
        )

    assert compare_results(result(unseen[0]), result(unseen[1])).photos == photos
