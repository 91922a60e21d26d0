"""Tests of rounds: their JSON, and the log with which an interrupted measurement continues."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poets_edge.bench.machine import MachineState
from poets_edge.bench.rounds import (
    Round,
    RoundLog,
    TimingConfig,
    Variant,
    append_round,
    read_rounds,
    round_stamp,
    variants_of,
)
from poets_edge.bench.timing import Timing
from poets_edge.errors import OutputError, RecordError, UsageError
from poets_edge.progress import Silent

ENTRY: dict[str, Any] = {
    "load_ms": 1.0,
    "first_ms": 1.0,
    "warm_up_runs": 20,
    "steady": True,
    "samples_ms": [1.5, 2],
    "kernel_ms": [0.5],
    "decode_ms": [3.0],
    "resize_ms": [1.0],
    "inference_ms": [2.0],
    "peak_memory_mb": None,
    "accelerated": True,
    "state": {"temperature_c": 50.0, "frequency_mhz": None, "throttled": [], "throttle_count": None},
}
LINE: dict[str, Any] = {"stamp": "s", "sha256": "0" * 64, "threads": 1, "round": 1, "entry": ENTRY}


class Warnings(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


def changed(path: str, wrong: Any) -> dict[str, Any]:
    """Return the JSON object of a round, in which the value at a path such as `entry.state` is replaced."""
    line: dict[str, Any] = json.loads(json.dumps(LINE))
    *above, last = path.split(".")
    place = line
    for part in above:
        place = place[part]
    place[last] = wrong
    return line


def test_timing_round_trips_through_json() -> None:
    timing = Timing.from_json(ENTRY)
    assert timing.to_json() == ENTRY and list(timing.to_json()) == list(ENTRY)
    assert timing.samples_ms == (1.5, 2) and timing.state == MachineState(temperature=50.0, throttled=())


def test_timing_from_json_does_not_require_fields_that_the_app_omits() -> None:
    phone = {name: ENTRY[name] for name in ("load_ms", "first_ms", "warm_up_runs", "steady", "samples_ms")}
    timing = Timing.from_json({**phone, "state": {"thermal_level": 1}, "runs_per_sample": 3})
    assert (
        timing.accelerated is None
        and timing.decode_ms is None
        and timing.kernel_ms is None
        and timing.state == MachineState()
    )


@pytest.mark.parametrize(
    ("path", "wrong", "message"),
    [
        ("entry.samples_ms", [], "entry.samples_ms is [], not at least one time"),
        ("entry.samples_ms", [0], "entry.samples_ms[0] is 0, not a positive number"),
        ("entry.kernel_ms", [], "entry.kernel_ms is [], not at least one time"),
        ("entry.state", None, "entry.state is None"),
        ("entry.state", {"temperature_c": "hot"}, "entry.state.temperature_c is 'hot'"),
        ("round", "0", "round is '0'"),
        ("copy", -1, "copy is -1"),
    ],
)
def test_round_from_json_reports_the_path_of_an_invalid_field(path: str, wrong: Any, message: str) -> None:
    with pytest.raises(RecordError) as raised:
        Round.from_json(changed(path, wrong))
    assert message in str(raised.value)


def test_damaged_lines_and_a_truncated_last_line_of_a_round_log_are_skipped(tmp_path: Path) -> None:
    file, warnings = tmp_path / "rounds.jsonl", Warnings()
    good = json.dumps(LINE)
    file.write_text("\n".join([good, json.dumps(changed("entry.state", None)), "[" * 100_000, good[:40]]))
    [found] = read_rounds(file, warnings)
    assert found.to_json() == LINE
    assert len(warnings.texts) == 1 and f"{file}, line 2: entry.state is None" in warnings.texts[0]
    append_round(file, replace(found, number=2, copy=1))
    assert [round.number for round in read_rounds(file)] == [1, 2]
    assert read_rounds(tmp_path / "none.jsonl") == []


def test_round_logs_of_the_previous_version_are_read(tmp_path: Path) -> None:
    """Lines that the previous version wrote do not contain the key `copy`."""
    file = tmp_path / "latency.jsonl"
    file.write_text(json.dumps({"stamp": "s", "sha256": "0" * 64, "threads": 1, "round": 0, "entry": ENTRY}) + "\n")
    assert [round.key for round in read_rounds(file)] == [("s", "0" * 64, 1, 0, 0)]


def test_appending_a_round_to_an_unwritable_file_raises_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        append_round(tmp_path / "missing/rounds.jsonl", Round.from_json(LINE))


def test_round_log_returns_only_timings_of_the_requested_conditions_and_variant() -> None:
    one = Round.from_json(LINE)
    kept: list[Round] = []
    log = RoundLog.of([one, replace(one, stamp="other", number=2)], kept.append)
    log.add(replace(one, number=0, copy=1))
    variant = Variant(Path("m.tflite"), 1, "0" * 64)
    assert log.timings("s", variant, 3) == {1: one.timing}
    assert log.timings("s", replace(variant, copy=1), 3) == {0: one.timing}
    assert log.timings("s", variant, 1) == {} and log.timings("s", replace(variant, threads=2), 3) == {}
    assert [round.number for round in kept] == [0], "rounds that were there are not saved again"
    assert log.rounds_of(["1" * 64]) == [] and len(log.rounds_of(["0" * 64])) == 3


def test_identical_models_are_distinguished_by_a_copy_number(tmp_path: Path) -> None:
    models = [tmp_path / name for name in ("a.tflite", "b.tflite", "c.tflite")]
    for model, content in zip(models, ("same", "same", "other"), strict=True):
        model.write_text(content)
    found = variants_of([*models, models[0]], [1, 2, 1])
    a, b, c = models
    assert [(variant.model, variant.threads, variant.copy) for variant in found] == [
        (a, 1, 0), (a, 2, 0), (b, 1, 1), (b, 2, 1), (c, 1, 0), (c, 2, 0),
    ]  # fmt: skip


def test_round_stamp_depends_on_machine_and_configuration() -> None:
    stamps = {
        round_stamp({"cpu": "x"}, TimingConfig()),
        round_stamp({"cpu": "y"}, TimingConfig()),
        round_stamp({"cpu": "x"}, TimingConfig(rounds=3)),
    }
    assert len(stamps) == 3
    assert round_stamp({"cpu": "x"}, TimingConfig()) == "4b731097e0d8596e", "as in logs of older versions"


@pytest.mark.parametrize("values", [{"seconds": 0}, {"seconds": -1}, {"runs": 0}, {"rounds": 0}])
def test_timing_config_rejects_values_out_of_range(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(values))):
        TimingConfig(**values)
