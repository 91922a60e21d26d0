"""Tests of projects whose hidden folder was damaged or came from another person, without a server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from poets_edge.errors import PoetsEdgeError
from poets_edge.studio import messages
from poets_edge.studio.jobs import Jobs
from poets_edge.studio.packages import PACKAGES
from poets_edge.studio.places import Places
from poets_edge.studio.thumbnails import Thumbnails
from poets_edge.studio.trained_model import TrainedModel, read_model

SHOWN: dict[str, Any] = {
    "architecture": "mobilenet_0.25_128",
    "trained": "2026-01-01T00:00:00+00:00",
    "accuracy": 0.75,
    "interval": [0.5, 0.9],
    "judged": 4,
    "words": "Of 100 new photos …",
    "confusion": {"labels": ["a", "b"], "counts": [[1, 1], [0, 2]]},
    "more_photos": None,
    "changes": None,
    "files": [{"form": "int8", "bytes": 10, "accuracy": 0.75}],
    "tested": 4,
    "warnings": [],
}
JOB: dict[str, Any] = {"number": "7", "kind": "train", "state": "done", "text": "", "error": None, "result": SHOWN}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path / "flowers")
    places.create()
    return places


@pytest.mark.parametrize("kind", ["link", "pipe"])
@pytest.mark.parametrize("where", ["journal.jsonl", "thumbnails/0.txt", "models/1/output.tflite", "models/bottlenecks"])
def test_links_and_pipes_in_the_hidden_folder_are_refused(places: Places, where: str, kind: str) -> None:
    """Opening them could read or change files outside the project, or wait forever."""
    path = places.own / where
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(path)
    with pytest.raises(OSError, match="neither a file nor a folder") as raised:
        places.create()
    assert raised.value.filename == str(path)


def test_symbolic_links_in_the_folder_for_removed_photos_are_accepted(places: Places) -> None:
    """A class folder that the user removed may have contained links."""
    (places.bin / "1/daisy").mkdir(parents=True)
    (places.bin / "1/daisy/link.jpg").symlink_to("/dev/zero")
    places.create()
    assert (places.bin / "1/daisy/link.jpg").is_symlink()


def _jobs(places: Places, **changes: Any) -> list[str]:
    job = {**JOB, **changes}
    (places.jobs / f"{job['number']}.json").write_text(json.dumps(job), encoding="utf-8")
    return [found.number for found in Jobs(places, lambda _: None).all()]


def test_jobs_whose_results_have_an_unexpected_structure_are_ignored(places: Places) -> None:
    assert _jobs(places) == ["7"]
    damaged: list[Any] = [
        {},
        [],
        None,
        3,
        {**SHOWN, "files": "x"},
        {**SHOWN, "confusion": {"labels": ["a"], "counts": []}},
    ]
    for result in damaged:
        assert _jobs(places, result=result) == []
    assert _jobs(places, kind="audit") == []
    assert _jobs(places, kind="audit", state="failed", result=None) == ["7"]
    for number in ("8" * 19, "٣", "-1", "1.5"):
        assert number not in _jobs(places, number=number)


def _read(places: Places, shown: Any) -> bool:
    model = {"number": "7", "state": "", "shown": shown}
    (places.models / "model.json").write_text(json.dumps(model), encoding="utf-8")
    return read_model(places) is not None


def test_model_whose_description_has_an_unexpected_structure_is_ignored(places: Places) -> None:
    (places.models / "7").mkdir()
    assert _read(places, SHOWN)
    for name in SHOWN:
        assert not _read(places, {**SHOWN, name: {"a": [None]}}), name
    assert not _read(places, {**SHOWN, "confusion": {"labels": ["a", "b"], "counts": [[1, 1], [0]]}})
    assert not _read(places, {**SHOWN, "accuracy": 2})


def test_oversized_files_in_the_thumbnail_cache_are_not_read(places: Places) -> None:
    path = places.thumbnails / "0123456789abcdef.txt"
    path.touch()
    os.truncate(path, 1 << 40)
    assert Thumbnails(places).problems == {path.stem: messages.NOT_DECODED}


@pytest.mark.parametrize("form", ["web", "frigate", "android"])
def test_damaged_model_is_refused_in_one_line(places: Places, form: str) -> None:
    folder = places.models / "7"
    folder.mkdir()
    for name in ("retrained_graph.pb", "retrained_graph.tflite", "retrained_graph_int8.tflite"):
        (folder / name).write_bytes(b"\x1c\0\0\0TFL3" + bytes(range(256)) * 40)
    model = TrainedModel(folder=folder, number="7", state="", shown=SHOWN)
    with pytest.raises(PoetsEdgeError) as raised:
        PACKAGES[form].write(model, places.taken / "download", "")
    assert len(str(raised.value).splitlines()) == 1
