"""One command from nothing to four labelled, timed models, with no network."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.conftest import poets_edge


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))


def test_quickstart_draws_trains_exports_labels_and_times(no_network: None, tmp_path: Path) -> None:
    ran = poets_edge("quickstart", "--quiet", cwd=tmp_path).ok()
    table = ran.stdout.splitlines()
    assert [line.split()[0] for line in table[1:5]] == ["float32", "dynamic", "float16", "int8"]
    assert "Judged on 92 drawn photos" in table[5]
    assert (tmp_path / "quickstart/retrained_graph_int8.tflite").is_file()
    for step in ("your own photos", "real weights", "your Pi"):
        assert step in ran.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["quickstart"]

    found = json.loads(poets_edge("quickstart", "--quiet", "--json", cwd=tmp_path).ok().stdout)
    for form in found["forms"]:
        assert form["latency_ms"] > 0 and form["agreement_with_float"] > 0.9
        assert form["test"]["accuracy"] > 0.55, "chance is 0.2, a colour histogram 0.35"
        assert form["size"] < 1_000_000
    assert Path(found["photo"]).parent.name == "daisy" and len(found["labels"]) == 3
