"""The program's own notes, damaged: what they note is done again and said, by the path of the field; no traceback."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from poets_edge.bench.remote.kept import open_kept
from poets_edge.core.files import finish_pending
from poets_edge.errors import DatasetError
from poets_edge.grid.latencies import _read_times
from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import find_weights
from poets_edge.photos.exclude import read_exclusions
from poets_edge.progress import Silent
from poets_edge.train.backbone import prepare_backbone
from poets_edge.train.fine_tuning import checkpoint
from poets_edge.train.fine_tuning.trainer import Epoch

DEEP = "[" * 100_000
ROUND: dict[str, Any] = {
    "load_ms": 1.0,
    "first_ms": 1.0,
    "steady": True,
    "samples_ms": [1.5, 2],
    "peak_memory_mb": None,
    "accelerated": True,
    "state": {"throttled": None, "temperature_c": None},
}


class Heard(Silent):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def changed(value: dict[str, Any], path: str, wrong: Any) -> dict[str, Any]:
    """A copy with another value at a path such as files.0.size."""
    copy = json.loads(json.dumps(value))
    *above, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = copy
    for part in above:
        place = place[part]
    place[last] = wrong
    return copy  # type: ignore[no-any-return]


def test_latencies_that_are_damaged_are_measured_again(tmp_path: Path) -> None:
    log, heard = tmp_path / "latency.jsonl", Heard()
    line = {"stamp": "s", "sha256": "0" * 64, "threads": 1, "round": 0, "entry": ROUND}
    wrong = [
        changed(line, "entry.samples_ms", []),
        changed(line, "entry.samples_ms", [0]),
        changed(line, "entry.state", None),
        changed(line, "round", "0"),
        {"stamp": "s"},
    ]
    texts = [json.dumps({**line, "round": 1}), *map(json.dumps, wrong), DEEP, json.dumps(line)[:40]]
    log.write_text("\n".join(texts))
    assert _read_times(log, "s", heard) == {("0" * 64, 1, 1): ROUND}
    assert len(heard.warnings) == len(wrong), "a line that was cut short is nothing to speak of"
    assert "line 2: entry.samples_ms is [], not at least one time" in heard.warnings[0]
    assert "line 4: entry.state is None" in heard.warnings[2]


def test_rounds_that_were_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    good = json.dumps({"key": ["a", 1, 0], "entry": ROUND})
    kept = open_kept("it")
    kept.start({"cpu": "x"})
    for text in (json.dumps({"key": ["a", 1], "entry": ROUND}), json.dumps({"key": ["a", 1, 2], "entry": {}}), DEEP):
        kept.path.write_text(f'{{"machine": {{"cpu": "x"}}}}\n{good}\n{text}\n')
        found = open_kept("it")
        assert found.machine == {"cpu": "x"} and found.rounds == {("a", 1, 0): ROUND}
    for text in ("", "[]", DEEP, '{"machine": 3}'):
        kept.path.write_text(text)
        assert open_kept("it").machine is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"leave_out": ["a", 3]}', "leave_out[1] is 3"),
        ('{"belongs_to": {"a": ""}}', "belongs_to.a is ''"),
        ('{"leave_out": {}}', "leave_out is {}"),
        ('{"x": ' + DEEP, "levels deep"),
    ],
)
def test_a_list_of_photos_to_leave_out(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "list.json"
    file.write_text(text)
    with pytest.raises(DatasetError, match="not a list of photos") as raised:
        read_exclusions(file)
    assert place in str(raised.value)


def test_checksums_of_a_backbone_and_a_journal_of_writes(tmp_path: Path) -> None:
    wanted = architecture("mobilenet_0.25_128")
    weights = find_weights(wanted, tmp_path, "embedded")
    backbone = prepare_backbone(wanted, weights, tmp_path)
    sums = backbone.graph.with_suffix(".json")
    before = sums.read_text()
    for text in (DEEP, "[", "\udcff"):
        sums.write_bytes(os.fsencode(text))
        prepare_backbone(wanted, weights, tmp_path)
        assert sums.read_text() == before, "it was built again"
    (tmp_path / ".poets_edge.pending").write_text(DEEP)
    finish_pending(tmp_path)
    assert not (tmp_path / ".poets_edge.pending").exists()


def test_a_checkpoint_whose_notes_are_damaged_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    epoch = Epoch(1, 0.5, 0.5, None, None)
    progress = checkpoint.Progress((epoch,), 1, (), ())
    checkpoint.save(tmp_path / "it.npz", progress)
    assert checkpoint.load(tmp_path / "it.npz") is not None
    for notes in (DEEP, {"chosen": -1, "epochs": []}, {"chosen": 0, "epochs": [{"epoch": "x"}]}):
        with monkeypatch.context() as patch:
            text = notes if isinstance(notes, str) else json.dumps(notes)
            patch.setattr("poets_edge.train.fine_tuning.checkpoint.json.dumps", lambda *_, text=text: text)
            checkpoint.save(tmp_path / "it.npz", progress)
        assert checkpoint.load(tmp_path / "it.npz") is None
