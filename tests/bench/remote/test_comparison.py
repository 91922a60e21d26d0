"""Tests of comparing scores on a device with scores on this machine, and of rounds that are kept between runs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.bench.benchmark import BenchmarkOptions
from poets_edge.bench.remote import benchmark as module
from poets_edge.bench.remote.benchmark import (
    _check,
    _evaluate_here,
    _log_file,
    _open_log,
    _predictions,
    _send_files,
    _warn_same_device,
)
from poets_edge.bench.remote.device_rounds import DeviceTimings
from poets_edge.bench.rounds import Round
from poets_edge.device.predictions import Predictions
from poets_edge.device.scorer import ModelOutput
from poets_edge.errors import UsageError
from poets_edge.photos.folder import Photo
from poets_edge.progress import Silent
from tests.bench.remote.conftest import PROBE
from tests.bench.remote.scripted import ScriptedConnection, installed
from tests.bench.test_rounds import LINE
from tests.recorder import Recorder

PHOTOS = [Photo(Path(f"{name}.jpg"), f"{name}.jpg", "daisy") for name in "abc"]
MODEL = Path("flowers.tflite")


def predictions(*rows: tuple[float, float], photos: list[Photo] = PHOTOS) -> Predictions:
    return Predictions(photos[: len(rows)], np.array(rows, np.float32), ())


HERE = predictions((0.9, 0.1), (0.4, 0.6), (0.3, 0.7))


def check(there: Predictions) -> tuple[Any, list[str]]:
    reporter = Recorder()
    return _check(installed(ScriptedConnection()), MODEL, there, HERE, reporter), reporter.warnings


def test_score_check_accepts_rounding_errors_and_warns_about_larger_differences() -> None:
    found, warnings = check(predictions((0.90005, 0.09995), (0.4, 0.6), (0.3, 0.7)))
    assert (found.photos, found.agreement, warnings) == (3, 1.0, [])
    found, warnings = check(predictions((0.8, 0.2), (0.4, 0.6), (0.7, 0.3)))
    assert found.agreement == pytest.approx(2 / 3) and found.difference == pytest.approx(0.4)
    assert warnings == [
        "pi, flowers.tflite: scores differ from this machine's by up to 0.400; 1 of 3 photos get another answer there."
    ]


def test_score_check_warns_about_photos_that_the_device_could_not_read() -> None:
    found, warnings = check(predictions((0.9, 0.1)))
    assert (found.photos, warnings) == (1, ["pi: could not read 2 of 3 photos."])
    empty = Predictions([], np.zeros((0, 2), np.float32), ())
    assert (check(empty)[0].photos, check(empty)[0].agreement) == (0, 0.0)


def test_predictions_are_in_the_order_of_the_local_photos() -> None:
    """Models and photos for which the device returned no scores are left out."""
    outputs = {
        (1, "c.jpg"): ModelOutput(np.array([0.2, 0.8], np.float32), 1.5),
        (1, "a.jpg"): ModelOutput(np.array([0.6, 0.4], np.float32), 0.5),
    }
    found = DeviceTimings(machine={}, variants=(), stamp="", outputs=outputs, warnings=())
    [(model, there)] = _predictions(found, [Path("other.tflite"), MODEL], {MODEL: HERE}).items()
    assert model == MODEL and [photo.name for photo in there.photos] == ["a.jpg", "c.jpg"]
    np.testing.assert_array_equal(there.scores, np.array([[0.6, 0.4], [0.2, 0.8]], np.float32))
    assert there.distances is not None and there.distances.tolist() == [0.5, 1.5]


def test_predictions_from_a_device_keep_the_groups_of_the_photos() -> None:
    """The confidence interval of the accuracy depends on the groups."""
    outputs = {(0, f"{name}.jpg"): ModelOutput(np.array([0.6, 0.4], np.float32)) for name in "ac"}
    found = DeviceTimings(machine={}, variants=(), stamp="", outputs=outputs, warnings=())
    here = Predictions(HERE.photos, HERE.scores, (), groups=np.array([4, 2, 4]))
    groups = _predictions(found, [MODEL], {MODEL: here})[MODEL].groups
    assert groups is not None and groups.tolist() == [4, 4]


def test_files_are_sent_again_if_their_names_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(module, "send", lambda connection, name, members, *_: sent.append(name))
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    other.write_text("2")
    have = {"have": lambda request: SimpleNamespace(items=[name for name in request["items"] if name in sent])}
    device = installed(ScriptedConnection(have))
    for members in ({"a": one, "b": other}, {"a": other, "b": one}, {"b": other, "a": one}, {"a": one, "c": other}):
        _send_files(device, "photos", members, Silent())
    assert len(sent) == len(set(sent)) == 3


def test_benchmark_on_rejects_photos_in_an_archive() -> None:
    with pytest.raises(UsageError, match="photos are sent to devices as files"):
        _evaluate_here(BenchmarkOptions(models=(PROBE,), image_dir=Path("flowers.zip")), Silent())


def test_benchmark_on_warns_about_one_machine_under_two_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("here\n")
    monkeypatch.setattr(module, "_BOOT", boot)
    reporter = Recorder()
    boots = ("x", "x", "", "", "here")
    _warn_same_device([installed(ScriptedConnection(), boot=one) for one in boots], reporter)
    assert [text.partition(" ")[2].partition(";")[0] for text in reporter.warnings] == [
        "and pi are one machine.", "is this machine",
    ]  # fmt: skip


def test_rounds_are_not_logged_without_a_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    options = BenchmarkOptions(models=(PROBE,))
    device = installed(ScriptedConnection())
    assert _log_file(device, options, [PROBE], "") != _log_file(device, options, [PROBE], "/photos")
    monkeypatch.setattr(module, "cache_folder", homeless)
    assert _log_file(device, options, [PROBE], "") is None
    log = _open_log(None, Silent())
    log.add(Round.from_json(LINE))
    assert len(log.rounds) == 1


def test_round_log_of_an_interrupted_run_is_kept_for_a_day(tmp_path: Path) -> None:
    file = tmp_path / "measuring/x.jsonl"
    _open_log(file, Silent()).add(Round.from_json(LINE))
    assert len(_open_log(file, Silent()).rounds) == 1
    old = time.time() - 86400 - 60
    os.utime(file, (old, old))
    assert not _open_log(file, Silent()).rounds and not file.exists()
