"""Tests of the program that measures on a device, run in this process: the messages that it sends for each request."""

from __future__ import annotations

import fcntl
import io
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.bench.load import LoadWindow
from poets_edge.bench.machine import MachineState, machine_facts
from poets_edge.bench.remote import measure
from poets_edge.bench.remote.measure import JsonReporter
from poets_edge.bench.remote.messages import (
    FactsRequest,
    FinishedRound,
    LoadRequest,
    Machine,
    Message,
    Note,
    PhotoScores,
    RoundsRequest,
    Wait,
    Window,
    read_message,
    read_request,
)
from poets_edge.bench.rounds import Round, TimingConfig, round_stamp
from poets_edge.bench.sustained import Sustained, SustainedOptions, SustainedResult
from poets_edge.bench.timing import Timing
from poets_edge.core.files import sha256_of
from poets_edge.device.classifier import Classifier
from poets_edge.photos.normalization import UNIT
from tests.tiny_model import color_model

pytestmark = pytest.mark.skipif(os.name == "nt", reason="devices run Unix")

CONFIG = TimingConfig(seconds=0.1, runs=1, rounds=2)
COLORS = {"red": (255, 0, 0), "blue": (0, 51, 204)}


@pytest.fixture(autouse=True)
def lock_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder that a measurement locks while it runs."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "colors.tflite"
    path.write_bytes(color_model(normalization=UNIT, facts={"quantization": "float32"}))
    return path


def answers(request: Any) -> tuple[list[Message], tuple[str, ...]]:
    """Send a request as JSON; return the messages that answer it, and the warnings."""
    stream = io.StringIO()
    warnings = measure.measure(read_request(json.loads(json.dumps(request.to_json()))), JsonReporter(stream))
    return [read_message(line) for line in stream.getvalue().splitlines()], warnings


def test_facts_request_describes_the_machine_without_a_measurement(lock_folder: Path) -> None:
    with locked(lock_folder):
        messages, warnings = answers(FactsRequest())
    [machine] = messages
    assert isinstance(machine, Machine) and machine.to_json() == machine_facts() and warnings == ()


def test_measuring_process_sends_scores_of_all_photos_and_skips_finished_rounds(tmp_path: Path, model: Path) -> None:
    for name, color in COLORS.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), color).save(tmp_path / "photos" / name / "1.png")
    timing = Timing(
        load_ms=1, first_ms=1, warm_up_runs=20, steady=True, samples_ms=(1.0,), accelerated=True, state=MachineState()
    )
    stamp, digest = round_stamp(machine_facts(), CONFIG), sha256_of(model)
    known = tuple(Round(stamp=stamp, sha256=digest, threads=1, number=number, timing=timing) for number in range(2))
    request = RoundsRequest(
        models=(str(model), str(model)), threads=(1,), config=CONFIG, known=known, image_dir=str(tmp_path / "photos")
    )
    messages, _ = answers(request)
    kinds = [type(message).__name__ for message in messages]
    assert kinds[0] == "Machine" and "FinishedRound" not in kinds
    scores = [message for message in messages if isinstance(message, PhotoScores)]
    assert [(one.model, one.photo) for one in scores] == [(0, "blue/1.png"), (0, "red/1.png")], "equal models once"
    np.testing.assert_allclose(scores[0].scores, [0, 51 / 255, 204 / 255], atol=1e-6)
    np.testing.assert_allclose(scores[1].scores, [1, 0, 0], atol=1e-6)


def test_measuring_process_sends_each_round_when_it_is_finished(model: Path) -> None:
    messages, _ = answers(
        RoundsRequest(models=(str(model),), threads=(1,), config=TimingConfig(seconds=0.01, rounds=1))
    )
    [round] = [Round.from_json(message.round) for message in messages if isinstance(message, FinishedRound)]
    assert (round.sha256, round.threads, round.number) == (sha256_of(model), 1, 0)
    assert round.stamp == round_stamp(machine_facts(), TimingConfig(seconds=0.01, rounds=1))
    assert len(round.timing.samples_ms) >= 50


def test_measuring_process_sends_each_time_window_of_a_sustained_load(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def window(median: float) -> LoadWindow:
        return LoadWindow(
            seconds=1.0, runs=3, late=2, median_ms=median, p90_ms=9.0, samples_ms=(median,), state=MachineState()
        )

    def sustain(options: SustainedOptions, reporter: object) -> SustainedResult:
        assert (options.seconds, options.threads, options.rate) == (5.0, 2, 30.0)
        models = [Sustained(path, path.name, (window(1.0 + 4 * number), window(2.0))) for number, path in
                  enumerate(options.models)]  # fmt: skip
        return SustainedResult({}, options, tuple(models), ("hot",))

    monkeypatch.setattr(measure, "sustain", sustain)
    messages, warnings = answers(LoadRequest(models=(str(model), "b.tflite"), seconds=5.0, threads=2, rate=30.0))
    windows = [message for message in messages if isinstance(message, Window)]
    assert [(one.model, LoadWindow.from_json(one.window).median_ms) for one in windows] == [
        (0, 1.0),
        (0, 2.0),
        (1, 5.0),
        (1, 2.0),
    ]
    assert warnings == ("hot",)


class locked:  # noqa: N801 - a context manager
    """Context manager that locks a folder, as another running measurement would."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder, os.O_RDONLY)

    def __enter__(self) -> locked:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@pytest.mark.parametrize(("seconds", "waits"), [(1, 0), (59, 0), (61, 1), (150, 2)])
def test_measuring_process_sends_a_message_every_minute_while_it_waits(
    model: Path, lock_folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, waits: int
) -> None:
    monkeypatch.setattr(measure, "sustain", lambda options, _: SustainedResult({}, options, (), ()))
    slept = 0
    with locked(lock_folder) as other:

        def sleep(duration: float) -> None:
            nonlocal slept
            slept += int(duration)
            if slept == seconds:
                other.release()

        monkeypatch.setattr(time, "sleep", sleep)
        messages, _ = answers(LoadRequest(models=(str(model),), seconds=1.0, threads=1, rate=None))
    assert slept == seconds
    assert sum(isinstance(message, Note) for message in messages) == 1
    assert sum(isinstance(message, Wait) for message in messages) == waits
    with locked(lock_folder):
        pass  # it was released


def test_json_reporter_sends_progress_and_messages() -> None:
    stream = io.StringIO()
    reporter = JsonReporter(stream)
    with reporter.progress("scoring", 3, "photo") as advance:
        advance(2)
        reporter.status("not sent")
        reporter.warn("hot")
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"kind": "Begin", "what": "scoring", "total": 3, "unit": "photo"},
        {"kind": "Advance", "amount": 2},
        {"kind": "Warn", "text": "hot"},
        {"kind": "End"},
    ]


def test_measurement_prevents_other_measurements_until_it_ends(
    model: Path, lock_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sustain(options: SustainedOptions, _: object) -> SustainedResult:
        descriptor = os.open(lock_folder, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
        return SustainedResult({}, options, (), ())

    monkeypatch.setattr(measure, "sustain", sustain)
    answers(LoadRequest(models=(str(model),), seconds=1.0, threads=1, rate=None))


def test_measurement_works_on_file_systems_without_locks(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, operation: int) -> None:
        raise OSError("no locks")

    monkeypatch.setattr(fcntl, "flock", fail)
    monkeypatch.setattr(measure, "sustain", lambda options, _: SustainedResult({}, options, (), ()))
    messages, _ = answers(LoadRequest(models=(str(model),), seconds=1.0, threads=1, rate=None))
    assert [type(message) for message in messages] == [Machine]


def test_measurement_uses_labels_and_input_range_of_the_request(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos/a").mkdir(parents=True)
    Image.new("RGB", (8, 8), (51, 102, 255)).save(tmp_path / "photos/a/1.png")
    opened: list[Any] = []

    def record(path: Path, **settings: Any) -> Any:
        opened.append((path, settings))
        return Classifier(path)

    monkeypatch.setattr(measure, "Classifier", record)
    monkeypatch.setattr(measure, "measure_variants", lambda variants, *_, **__: list(map(str, ["warm"])))
    request = RoundsRequest(
        models=(str(model),), threads=(1,), config=CONFIG, known=(), image_dir=str(tmp_path / "photos"),
        labels="names.txt", input_range="0:1",
    )  # fmt: skip
    messages, warnings = answers(request)
    assert opened == [(model, {"labels": Path("names.txt"), "input_range": "0:1"})] and warnings == ("warm",)
    [scores] = [message for message in messages if isinstance(message, PhotoScores)]
    np.testing.assert_allclose(scores.scores, [0.2, 0.4, 1.0], atol=1e-6)
