"""Tests that photos a model has learned from are recognized by their contents in any folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image

from poets_edge.demo.draw import draw_photos
from poets_edge.device.metrics import wilson_interval
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.read_model import read_model
from poets_edge.tflite.write_metadata import ModelInfo, with_files
from tests.conftest import Trained, poets_edge

_TRAIN = ("--architecture", "mobilenet_0.25_128", "--weights", "embedded", "--how_many_training_steps", "50", "-q")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a graph that was trained on 60 synthetic photos, 25 % of them for testing, and its int8 file."""
    folder = tmp_path_factory.mktemp("learned")
    draw_photos(folder / "photos", per_class=12)
    poets_edge("train", "photos", *_TRAIN, "--testing_percentage", "25", cwd=folder).ok()
    poets_edge("export", "--quantize", "int8", "-q", cwd=folder).ok()
    for model in ("retrained_graph.pb", "retrained_labels.txt"):
        (folder / "bare").mkdir(exist_ok=True)
        shutil.copy(folder / "tf_files" / model, folder / "bare" / model)
    return Trained(folder)


def record(drawn: Trained) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(drawn.graph.with_suffix(".json").read_text())
    return found


def models(drawn: Trained) -> tuple[Path, ...]:
    """Return a graph with a JSON file about its training, a `.tflite` file, and a graph without a JSON file."""
    return drawn.graph, drawn.model("int8"), drawn.folder / "bare/retrained_graph.pb"


def without_facts(model: Path) -> bytes:
    """Return the contents of a `.tflite` file, without the part of its metadata that describes its training."""
    content, labels = model.read_bytes(), read_metadata(read_model(model)).labels
    bare = content[: content.rindex(b"PK\x03\x04", 0, content.rindex(b"PK\x03\x04"))]
    return with_files(bare, ModelInfo("", "", labels), {})


def evaluated(*arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(poets_edge("evaluate", *arguments, "--json", "-q").ok().stdout)
    return found


def _renamed(photos: Path, folder: Path) -> None:
    for number, photo in enumerate(sorted(photos.rglob("*.jpg"))):
        (folder / photo.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, folder / photo.parent.name / f"copy {number}.jpeg")


def _divided(photos: Path, folder: Path) -> None:
    for number, photo in enumerate(sorted(photos.rglob("*.jpg"))):
        target = folder / ("train", "val", "test")[number % 3] / photo.parent.name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, target)


def _subset(photos: Path, folder: Path) -> None:
    for label in sorted(photos.iterdir()):
        (folder / label.name).mkdir(parents=True)
        for photo in sorted(label.iterdir())[:6]:
            shutil.copy(photo, folder / label.name)


def _zipped(photos: Path, folder: Path) -> None:
    folder.mkdir()
    shutil.copytree(photos, folder / "inner/photos")
    shutil.make_archive(str(folder / "photos"), "zip", folder / "inner")
    shutil.rmtree(folder / "inner")


def _with_new_photos(photos: Path, folder: Path) -> None:
    shutil.copytree(photos, folder)
    draw_photos(folder.with_name("new"), per_class=3, seed=5)
    for photo in folder.with_name("new").rglob("*.jpg"):
        shutil.copy(photo, folder / photo.parent.name / f"new_{photo.name}")


@pytest.mark.parametrize("arrange", [_renamed, _divided, _subset, _zipped, _with_new_photos, shutil.copytree])
def test_evaluate_excludes_photos_that_the_model_was_trained_on(
    drawn: Trained, tmp_path: Path, arrange: Callable[[Path, Path], object]
) -> None:
    arrange(drawn.folder / "photos", tmp_path / "arranged")
    given = tmp_path / "arranged/photos.zip" if arrange is _zipped else tmp_path / "arranged"
    learned = {
        (drawn.folder / "photos" / name).read_bytes()
        for split in ("training", "validation")
        for name in record(drawn)["sets"][split]
    }
    for model in models(drawn):
        found = evaluated(model, given)
        overlap = found["learned_from"]
        if arrange is _zipped:
            assert found["photos"] == len(record(drawn)["sets"]["test"])
            continue
        considered = sorted((given / "test" if arrange is _divided else given).rglob("*.jp*"))
        new = [photo for photo in considered if photo.read_bytes() not in learned]
        assert 0 < found["photos"] == len(new) < len(considered) == overlap["photos"]
        assert overlap["training"] + overlap["validation"] == len(considered) - len(new)
        assert overlap["evidence"] == "contents" and overlap["training"] > overlap["validation"] > 0


class _WithoutSizes(SimpleHTTPRequestHandler):
    """Request handler of a file server that reports neither sizes nor times."""

    def log_message(self, *_: object) -> None:
        pass

    def send_header(self, keyword: str, value: str) -> None:
        if keyword not in ("Content-Length", "Last-Modified"):
            super().send_header(keyword, value)


@pytest.fixture
def address(drawn: Trained) -> Iterator[str]:
    """Address of the synthetic photos, on a server that does not report sizes."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_WithoutSizes, directory=str(drawn.folder))) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/photos/"
        server.shutdown()


def test_evaluate_recognizes_training_photos_from_a_server_that_reports_no_sizes(
    drawn: Trained, address: str, tmp_path: Path
) -> None:
    poets_edge("train", address, *_TRAIN, "--testing_percentage", "25", cwd=tmp_path).ok()
    graph = tmp_path / "tf_files/retrained_graph.pb"
    sets = json.loads(graph.with_suffix(".json").read_text())["sets"]
    graph.with_suffix(".json").unlink()
    _renamed(drawn.folder / "photos", tmp_path / "renamed")
    for photos in (tmp_path / "renamed", address):
        found = evaluated(graph, photos)
        assert found["photos"] == len(sets["test"])
        assert found["learned_from"]["training"] == len(sets["training"])
        assert found["learned_from"]["validation"] == len(sets["validation"])


def test_evaluate_widens_the_interval_for_groups_specified_by_the_user(drawn: Trained) -> None:
    """Five groups, one per class, give a wider interval than 60 photos. One group per photo changes nothing."""
    whole = (drawn.model("int8"), drawn.folder / "photos", "--split", "all")
    alone, classes, photos = (evaluated(*whole, *more) for more in ((), ("--group-by", "^[^/]+"), ("--group-by", ".+")))
    assert classes["accuracy"] == alone["accuracy"] == photos["accuracy"]
    assert photos["interval95"] == pytest.approx(wilson_interval(photos["correct"], 60))
    assert classes["interval95"][0] < alone["interval95"][0]
    poets_edge("evaluate", *whole, "--group-by", "nothing").failed("gives none of the 60 photos a group")
    poets_edge("evaluate", *whole, "--group-by", "(").failed("not a regular expression")


def test_evaluate_rejects_folders_with_only_training_photos(drawn: Trained, tmp_path: Path) -> None:
    for name in record(drawn)["sets"]["training"]:
        (tmp_path / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(drawn.folder / "photos" / name, tmp_path / "train" / name)
    count = len(record(drawn)["sets"]["training"])
    for model in models(drawn):
        ran = poets_edge("evaluate", model, tmp_path / "train")
        ran.failed(f"trained on {count} of {count} photos", "--split all")
        shown = poets_edge("evaluate", model, tmp_path / "train", "--split", "all").ok().stdout
        assert f"trained on {count} of {count} photos: expect it to be less accurate on new ones" in shown


def test_evaluate_uses_validation_photos_if_no_unseen_photos_exist(drawn: Trained, tmp_path: Path) -> None:
    names = record(drawn)["sets"]["validation"]
    for name in names:
        (tmp_path / "val" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(drawn.folder / "photos" / name, tmp_path / "val" / name)
    found = evaluated(drawn.model("int8"), tmp_path / "val")
    assert (found["set"], found["photos"], found["left_out"]) == ("validation", len(names), 0)
    assert (found["learned_from"]["training"], found["learned_from"]["validation"]) == (0, len(names))


def test_evaluate_of_all_photos_also_reports_the_accuracy_on_unseen_photos(drawn: Trained) -> None:
    photos = drawn.folder / "photos"
    everything, test = (evaluated(drawn.model("int8"), photos, "--split", split) for split in ("all", "test"))
    assert everything["photos"] == 60
    assert everything["unseen"] == {key: test[key] for key in everything["unseen"]}
    shown = poets_edge("evaluate", drawn.model("int8"), photos, "--split", "all").ok().stdout
    training = len(record(drawn)["sets"]["training"])
    assert f"the model was trained on {training} and validated on" in shown
    assert f"of 60 photos; on the other {test['photos']}: " in shown


def test_evaluate_uses_the_split_from_training_instead_of_the_default(drawn: Trained) -> None:
    sets = record(drawn)["sets"]
    for model in models(drawn):
        for split in ("training", "validation", "test"):
            assert evaluated(model, drawn.folder / "photos", "--split", split)["photos"] == len(sets[split])


def test_evaluate_states_that_the_training_photos_of_a_model_are_unknown(drawn: Trained, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.tflite"
    foreign.write_bytes(without_facts(drawn.model("int8")))
    ran = poets_edge("evaluate", foreign, drawn.folder / "photos", "--json").ok()
    assert json.loads(ran.stdout)["learned_from"]["evidence"] == "unknown"
    assert "which photos the model has learned from is not known" in ran.stderr
    both = [
        json.loads(poets_edge("evaluate", *order, drawn.folder / "photos", "--json").ok().stdout)["models"]
        for order in ((foreign, drawn.model("int8")), (drawn.model("int8"), foreign))
    ]
    tested = len(record(drawn)["sets"]["test"])
    assert {one["photos"] for models in both for one in models} == {tested}
    assert [one[1]["beside_first"]["photos"] for one in both] == [tested, tested]


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a model trained on synthetic photos, grouped by the last digit of their names across classes."""
    folder = tmp_path_factory.mktemp("grouped")
    draw_photos(folder / "photos", per_class=20)
    poets_edge("train", "photos", *_TRAIN, "--testing_percentage", "40", "--group-by", r"(\d)\.jpg$", cwd=folder).ok()
    poets_edge("export", "--quantize", "int8", "-q", cwd=folder).ok()
    (folder / "bare").mkdir()
    shutil.copy(folder / "tf_files/retrained_graph.pb", folder / "bare")
    return Trained(folder)


def test_evaluate_and_export_use_the_groups_of_the_training_run(grouped: Trained) -> None:
    trained = record(grouped)["test"]
    low, high = wilson_interval(trained["correct"], trained["photos"])
    assert trained["interval95"][0] < low - 0.02 and trained["interval95"][1] > high
    for graph in (grouped.graph, grouped.folder / "bare/retrained_graph.pb"):
        assert evaluated(graph, grouped.folder / "photos")["interval95"] == pytest.approx(trained["interval95"])
    [exported] = json.loads(poets_edge("export", "--quantize", "int8", "--json", "-q", cwd=grouped.folder).ok().stdout)[
        "files"
    ]
    found = evaluated(grouped.model("int8"), grouped.folder / "photos")
    assert (found["correct"], found["interval95"]) == (exported["test"]["correct"], exported["test"]["interval95"])
    assert found["interval95"][1] - found["interval95"][0] > 1.2 * (high - low)


def test_export_without_a_training_record_evaluates_the_test_photos_of_the_training_run(grouped: Trained) -> None:
    ran = poets_edge("export", "bare/retrained_graph.pb", "--image-dir", "photos", "--json", cwd=grouped.folder).ok()
    [file] = json.loads(ran.stdout)["files"]
    assert (file["test"]["photos"], file["test"]["correct"]) == (
        record(grouped)["test"]["photos"],
        record(grouped)["test"]["correct"],
    )
    assert "no record beside this graph" not in ran.stderr
    again = evaluated(grouped.folder / "bare/retrained_graph.tflite", grouped.folder / "photos")
    assert again["photos"] == file["test"]["photos"] and again["learned_from"]["training"] > 0


def test_evaluate_reports_that_recompressed_training_photos_are_not_recognized(drawn: Trained, tmp_path: Path) -> None:
    for photo in sorted((drawn.folder / "photos").rglob("*.jpg")):
        (tmp_path / photo.parent.name).mkdir(exist_ok=True)
        Image.open(photo).save(tmp_path / photo.parent.name / photo.name, quality=60)
    ran = poets_edge("evaluate", drawn.model("int8"), tmp_path).ok()
    assert "none of the 60 photos is a file of the training run" in ran.stdout


@pytest.mark.parametrize("own_first", [True, False])
def test_evaluate_compares_two_models_on_the_validation_photos_of_one_model(
    drawn: Trained, tmp_path: Path, own_first: bool
) -> None:
    foreign = tmp_path / "foreign.tflite"
    foreign.write_bytes(without_facts(drawn.model("int8")))
    for name in record(drawn)["sets"]["validation"]:
        (tmp_path / "val" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(drawn.folder / "photos" / name, tmp_path / "val" / name)
    order = (drawn.model("int8"), foreign)[:: 1 if own_first else -1]
    shown = poets_edge("evaluate", *order, tmp_path / "val", "-q").ok().stdout
    assert shown.startswith("accuracy on the validation set:")
    shown = poets_edge("evaluate", *order, drawn.folder / "photos", "-q").ok().stdout
    assert shown.startswith("accuracy on photos that no model is known to have learned from:")
