"""Tests of the measurements that a device sends: which rounds, scores and windows are accepted and kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poets_edge.bench.machine import MachineState
from poets_edge.bench.remote import device_rounds, sustained
from poets_edge.bench.remote.answers import Items
from poets_edge.bench.remote.device_rounds import _RoundsFollower, send_models
from poets_edge.bench.remote.follower import Follower
from poets_edge.bench.remote.messages import FactsRequest, FinishedRound, PhotoScores, RoundsRequest, Window
from poets_edge.bench.remote.sustained import _LoadFollower
from poets_edge.bench.rounds import Round, RoundLog, TimingConfig, round_stamp
from poets_edge.bench.sustained import SustainedOptions, most_windows
from poets_edge.bench.timing import Timing
from poets_edge.errors import RecordError, RemoteError
from poets_edge.progress import Silent
from tests.bench.remote.conftest import PROBE
from tests.bench.remote.scripted import MACHINE, OpenConnection, ScriptedConnection, installed
from tests.recorder import Recorder

CONFIG = TimingConfig(rounds=2)
STAMP = round_stamp({name: value for name, value in MACHINE.items() if name != "kind"}, CONFIG)
TIMING = Timing(
    load_ms=1, first_ms=1, warm_up_runs=20, steady=True, samples_ms=(1.0, 2.0), kernel_ms=(3.0,), decode_ms=(1.0,),
    resize_ms=(1.0,), inference_ms=(1.0,), accelerated=True, state=MachineState(),
)  # fmt: skip
ROUND = Round(stamp=STAMP, sha256="a", threads=2, copy=0, number=1, timing=TIMING)


def follower(log: RoundLog | None = None) -> _RoundsFollower:
    """Return a client for one model, two thread counts and one photo, which has received the device's description."""
    request = RoundsRequest(models=("/m",), threads=(1, 2), config=CONFIG)
    made = _RoundsFollower(
        installed(ScriptedConnection()), Recorder(), request, ["a"], log or RoundLog(), ["p.jpg"], [2]
    )
    made._read(json.dumps(MACHINE))
    return made


@pytest.mark.parametrize(
    "changes",
    [
        {"stamp": "other"}, {"sha256": "b"}, {"copy": 1}, {"threads": 3}, {"number": 2},
        {"timing": replace(TIMING, decode_ms=(1.0, 2.0))}, {"timing": replace(TIMING, resize_ms=None)},
        {"timing": replace(TIMING, decode_ms=None, resize_ms=None, inference_ms=None)},
    ],
)  # fmt: skip
def test_rounds_that_were_not_requested_are_refused(changes: dict[str, Any]) -> None:
    made = follower()
    made.on_result(FinishedRound(ROUND.to_json()))
    assert list(made._log.rounds) == [ROUND.key]
    other = replace(ROUND, number=0)
    with pytest.raises(RecordError, match="a round that was not requested"):
        made.on_result(FinishedRound(replace(other, **changes).to_json()))
    made.on_result(FinishedRound(other.to_json()))
    with pytest.raises(RecordError, match="a round that was not requested"):
        made.on_result(FinishedRound(other.to_json()))  # a second time


def test_rounds_with_too_many_samples_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for most, fits in ((3, True), (2, False)):  # two inferences and one call of the kernel
        monkeypatch.setattr(device_rounds, "_MOST_SAMPLES", most)
        made = follower()
        if fits:
            made.on_result(FinishedRound(ROUND.to_json()))
        else:
            with pytest.raises(RecordError):
                made.on_result(FinishedRound(ROUND.to_json()))


def test_only_saved_rounds_from_the_same_conditions_are_reused() -> None:
    log = RoundLog.of([ROUND, replace(ROUND, number=0, stamp="other"), replace(ROUND, sha256="b")])
    made = follower(log)
    assert made._reporter.notes == ["pi: 1 rounds were measured before"]  # type: ignore[attr-defined]
    assert made.saved == "1 measured rounds are kept; the same command continues from there."
    assert follower().saved == "" and follower()._messages_left == 10_000 + 10 * (2 * 2 + 1) - 1


def test_rounds_received_before_the_device_description_are_refused() -> None:
    request = RoundsRequest(models=("/m",), threads=(1,), config=CONFIG)
    made = _RoundsFollower(installed(ScriptedConnection()), Recorder(), request, ["a"], RoundLog(), [], [])
    with pytest.raises(RecordError, match="FinishedRound was not requested"):
        made.on_result(FinishedRound(replace(ROUND, stamp="").to_json()))


def test_scores_sent_by_a_device_are_stored_with_the_distance_of_the_photo() -> None:
    made = follower()
    made.on_result(PhotoScores(model=0, photo="p.jpg", scores=(0.25, 0.75), distance=1.5))
    [(key, output)] = made.outputs.items()
    assert (key, output.scores.tolist(), output.distance) == ((0, "p.jpg"), [0.25, 0.75], 1.5)


def test_models_with_equal_file_names_are_sent_to_separate_folders(tmp_path: Path) -> None:
    paths = []
    for folder, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "m.tflite")
        paths[-1].write_bytes(content)
    sent: list[dict[str, Path]] = []
    connection: Any = ScriptedConnection({"have": lambda request: Items((request["items"][1],))})
    connection.send_item = lambda item, members, **_: sent.append(members)
    found = send_models(installed(connection), paths, Silent())
    assert [list(one.values()) for one in sent] == [[paths[0]], [paths[2]]], "the device has the second one"
    assert len(set(found)) == 3 and all(path.endswith("/m.tflite") and "/models/" in path for path in found)


def test_time_limit_for_the_next_message_includes_the_measuring_time() -> None:
    pauses: Any = []
    device = installed(ScriptedConnection(), [MACHINE, {"kind": "Result", "warnings": []}])
    run = device.run
    device.run = lambda *given, pause, **named: pauses.append(pause) or run(*given, pause=pause, **named)
    Follower(device, Recorder()).run(FactsRequest(), measuring=300.0)
    assert pauses == [1500.0]


def test_device_cannot_send_results_for_more_time_windows_than_expected() -> None:
    options = SustainedOptions(models=(PROBE, PROBE.with_name("b")), seconds=2)
    window = {
        "seconds": 0.1, "runs": 1, "late": 0, "median_ms": 1.0, "p90_ms": 1.0, "samples_ms": [], "state": {},
    }  # fmt: skip
    made = _LoadFollower(installed(ScriptedConnection()), Recorder(), options)
    for _ in range(most_windows(options)):
        made.on_result(Window(model=1, window=window))
    with pytest.raises(RecordError, match="not requested"):
        made.on_result(Window(model=1, window=window))
    made.on_result(Window(model=0, window=window))
    assert [len(windows) for windows in made.windows] == [1, most_windows(options)]
    assert made._messages_left == 10_000 + 10 * 2 * (most_windows(options) + 2)


def test_options_of_sustained_load_are_passed_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[Any] = []

    class Followed(_LoadFollower):
        def run(self, request: Any, *, measuring: float = 0.0) -> tuple[str, ...]:
            requests.append((request, measuring))
            self.machine = {"cpu": "x"}
            self.windows = [["w1"], ["w2"]] if len(requests) == 1 else [["w1"], []]  # type: ignore[list-item]
            return ("hot",)

    monkeypatch.setattr(sustained, "_LoadFollower", Followed)
    monkeypatch.setattr(sustained, "Connection", lambda host: OpenConnection())
    monkeypatch.setattr(sustained, "Classifier", lambda model, unlabeled: None)
    monkeypatch.setattr(sustained, "install", lambda connection, folder, reporter: folder)
    monkeypatch.setattr(sustained, "send_models", lambda device, models, reporter: [f"{device}/{m}" for m in models])
    options = SustainedOptions(models=(Path("a"), Path("b")), seconds=9, threads=3, rate=5.0)
    found = sustained.sustain_on(options, "pi", folder="there")
    [(request, measuring)] = requests
    assert (request.models, request.seconds, request.threads, request.rate) == (("there/a", "there/b"), 9, 3, 5.0)
    assert measuring == 9 and (found.host, found.warnings, found.machine) == ("pi", ("hot",), {"cpu": "x"})
    shown: Any = [(one.model, one.windows) for one in found.models]
    assert shown == [(Path("a"), ("w1",)), (Path("b"), ("w2",))]
    with pytest.raises(RemoteError, match="pi: it has not measured all models"):
        sustained.sustain_on(options, "pi")
