"""Tests of how messages from a device are processed during a measurement, without a connection."""

from __future__ import annotations

from typing import Any

import pytest

from poets_edge.bench.remote.answers import Ended
from poets_edge.bench.remote.device_rounds import measure_rounds
from poets_edge.bench.remote.follower import Follower, device_facts
from poets_edge.bench.remote.messages import FactsRequest
from poets_edge.bench.remote.sustained import _LoadFollower
from poets_edge.bench.rounds import RoundLog, TimingConfig
from poets_edge.bench.sustained import SustainedOptions
from poets_edge.errors import ModelError, PoetsEdgeError, RemoteError
from tests.bench.remote.conftest import PROBE
from tests.bench.remote.scripted import MACHINE, ScriptedConnection, installed
from tests.recorder import Recorder

RESULT = {"kind": "Result", "warnings": ["it is hot"]}
BEGIN = {"kind": "Begin", "what": "measuring", "total": 3, "unit": "round"}


def follow(*messages: dict[str, Any], results: int = 0, ended: Ended | None = None) -> tuple[Recorder, Follower, Any]:
    """Send messages to a follower; return its reporter, the follower, and its result."""
    reporter = Recorder()
    follower = Follower(installed(ScriptedConnection(), messages, ended), reporter, results=results)
    return reporter, follower, follower.run(FactsRequest())


def test_messages_from_a_device_are_shown_with_the_host_name() -> None:
    said = ({"kind": "Note", "text": "cooling"}, {"kind": "Warn", "text": "slow clock"}, {"kind": "Wait"})
    reporter, follower, warnings = follow(
        MACHINE, *said, BEGIN, {"kind": "Advance", "amount": 3}, {"kind": "End"}, RESULT
    )
    assert (reporter.notes, reporter.warnings) == (["pi: cooling"], ["pi: slow clock"])
    assert warnings == ("it is hot",) and follower.machine["cores"] == 4


def test_device_facts_returns_the_description_of_the_device() -> None:
    assert device_facts(installed(ScriptedConnection(), [MACHINE, RESULT]), Recorder())["cpu"] == "a CPU"


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([RESULT, RESULT], "a message after the last"),
        ([{"kind": "Advance", "amount": 1}], "progress of nothing"),
        ([BEGIN, {"kind": "Advance", "amount": 4}], "progress beyond the end"),
        ([MACHINE, MACHINE], "the machine, a second time"),
        ([BEGIN] * 11, "more than 8 nested progress bars"),
        ([{"kind": "Note", "text": "x"}] * 10_001, "too many messages"),
        ([{"kind": "FinishedRound", "round": {}}], "FinishedRound was not requested"),
        ([{"kind": "Other"}], ""),
    ],
)
def test_device_messages_out_of_order_are_rejected(messages: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(RemoteError, match=f"pi: refused .*{reason}"):
        follow(*messages)


def test_end_of_a_progress_bar_that_a_device_never_started_is_ignored() -> None:
    assert follow({"kind": "End"}, MACHINE, RESULT)[2] == ("it is hot",)


@pytest.mark.parametrize(
    ("name", "kind"), [("ModelError", ModelError), ("OSError", PoetsEdgeError), ("TYPE_CHECKING", PoetsEdgeError)]
)
def test_error_reported_by_a_device_is_raised_with_its_type(name: str, kind: type[PoetsEdgeError]) -> None:
    """If the name is not that of an error class in `poets_edge.errors`, PoetsEdgeError is raised."""
    with pytest.raises(PoetsEdgeError, match="pi: cannot be opened") as raised:
        follow({"kind": "Failure", "error": "cannot be opened", "name": name})
    assert type(raised.value) is kind


@pytest.mark.parametrize("messages", [[MACHINE], [RESULT], []])
def test_measurement_that_ends_early_on_a_device_raises_remote_error(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(RemoteError, match=r"ended early there \(out of memory\)"):
        follow(*messages, ended=Ended(1, ("first", "out of memory", "")))


def measured(*messages: dict[str, Any], photos: tuple[str, ...] = (), log: RoundLog | None = None) -> Any:
    """Return the result of measuring the probe model in one round with one thread."""
    connection = ScriptedConnection({"have": lambda request: type("Items", (), {"items": request["items"]})})
    return measure_rounds(
        installed(connection, messages), [PROBE], threads=[1], config=TimingConfig(rounds=1),
        log=log or RoundLog(), reporter=Recorder(), photos=photos, widths=[2],
    )  # fmt: skip


def test_remote_error_is_raised_if_a_model_was_not_measured() -> None:
    with pytest.raises(RemoteError, match="pi: it has not measured all models"):
        measured(MACHINE, RESULT)


def scores(**changes: Any) -> dict[str, Any]:
    return {"kind": "PhotoScores", "model": 0, "photo": "a.jpg", "scores": [0.25, 0.75], **changes}


@pytest.mark.parametrize(
    "messages",
    [
        [scores(model=1)],
        [scores(photo="b.jpg")],
        [scores(scores=[1.0])],
        [scores(), scores()],
        [{"kind": "Window", "model": 0, "window": {}}],
    ],
)
def test_scores_that_were_not_requested_are_rejected(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(RemoteError, match="not requested"):
        measured(MACHINE, *messages, photos=("a.jpg",))


def load_follower(*messages: dict[str, Any]) -> _LoadFollower:
    options = SustainedOptions(models=(PROBE,), seconds=2)
    follower = _LoadFollower(installed(ScriptedConnection(), [MACHINE, *messages, RESULT]), Recorder(), options)
    follower.run(FactsRequest())
    return follower


def test_sustained_load_results_that_were_not_requested_are_rejected() -> None:
    with pytest.raises(RemoteError, match="a window of load that was not requested"):
        load_follower({"kind": "Window", "model": 1, "window": {}})
    with pytest.raises(RemoteError, match="PhotoScores was not requested"):
        load_follower(scores())
    assert load_follower().windows == [[]]
