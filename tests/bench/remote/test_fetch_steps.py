"""Tests of `deploy --fetch` with a fake device: which frames are copied, and under which names."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from poets_edge.bench.remote import fetch_frames
from poets_edge.bench.remote.answers import FrameContent, Frames, Left, Service, ServiceNote
from poets_edge.bench.remote.fetch_frames import _jpeg, _save
from poets_edge.errors import RemoteError
from tests.bench.remote.scripted import OpenConnection, facts
from tests.recorder import Recorder

JPEG = b"\xff\xd8\xff content"
NAMES = tuple(f"daisy/collected-20261130-120000-{number:05}.jpg" for number in range(3))


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A device with a deployed service that has saved three frames in `/home/pi/unsure`."""
    connection: Any = OpenConnection(
        {
            "facts": facts(state="ours"), "service": Service(ServiceNote(lingered=True, collect="/home/pi/unsure")),
            "frames": Frames(folder="/home/pi/unsure", names=NAMES, sizes=(len(JPEG),) * 3),
            "frame": FrameContent(base64.b64encode(JPEG).decode()), "open": Left(()),
        }
    )  # fmt: skip
    monkeypatch.setattr(fetch_frames, "Connection", lambda host: connection)
    return connection


def test_fetch_copies_frames_once_and_counts_them(device: Any, tmp_path: Path) -> None:
    found = fetch_frames.fetch_frames("pi", tmp_path)
    assert [do for do, _ in device.asked] == ["facts", "open", "service", "frames", "frame", "frame", "frame"]
    assert device.asked[3][1] == {"folder": "/home/pi/unsure"}
    assert device.asked[4][1] == {"folder": "/home/pi/unsure", "name": NAMES[0]}
    assert found.to_json() == {
        "host": "pi", "source": "/home/pi/unsure", "folder": str(tmp_path),
        "files": [str(tmp_path / name) for name in NAMES], "per_label": {"daisy": 3}, "fetched_before": 0,
    }  # fmt: skip
    assert json.loads((tmp_path / ".fetched.json").read_text()) == [f"{name} {len(JPEG)}" for name in NAMES]
    device._answers["frames"] = Frames(folder="/x", names=(*NAMES, "roses/" + NAMES[0][6:]), sizes=(len(JPEG),) * 4)
    again = fetch_frames.fetch_frames("pi", tmp_path, source="given")
    assert (again.known, again.per_label, again.source) == (3, {"roses": 1}, "/x")
    assert device.asked[7] == ("frames", {"folder": "given"}), "without asking for the service"


def test_fetch_skips_large_frames_and_saves_the_list_of_fetched_frames_after_an_error(
    device: Any, tmp_path: Path
) -> None:
    sizes = (len(JPEG), (8 << 20) + 1, 8 << 20)
    device._answers["frames"] = Frames(folder="/x", names=NAMES, sizes=sizes)
    reporter = Recorder()
    with pytest.raises(RemoteError, match="a JPEG of the size it has told"):
        fetch_frames.fetch_frames("pi", tmp_path, source="x", reporter=reporter)
    assert len(reporter.warnings) == 1 and NAMES[1] in reporter.warnings[0]
    assert json.loads((tmp_path / ".fetched.json").read_text()) == [f"{NAMES[0]} {len(JPEG)}"]
    assert [path.name for path in tmp_path.rglob("*.jpg")] == [NAMES[0][6:]]


@pytest.mark.parametrize(
    ("content", "size"), [(b"GIF89a", 6), (JPEG, len(JPEG) + 1), (JPEG, len(JPEG) - 1), (b"\xff\xd8", 2), (b"", 0)]
)
def test_fetched_files_must_be_jpegs_of_the_listed_size(device: Any, content: bytes, size: int) -> None:
    assert _jpeg(device, base64.b64encode(JPEG).decode(), len(JPEG)) == JPEG
    with pytest.raises(RemoteError, match="a JPEG of the size"):
        _jpeg(device, base64.b64encode(content).decode(), size)


def test_fetched_files_get_an_unused_name(tmp_path: Path) -> None:
    assert _save(tmp_path, "a.b.jpg", b"one") == tmp_path / "a.b.jpg"
    assert _save(tmp_path, "a.b.jpg", b"one") is None, "it is there already"
    (tmp_path / "a.b-2.jpg").symlink_to(tmp_path / "nothing")
    assert _save(tmp_path, "a.b.jpg", b"two") == tmp_path / "a.b-3.jpg"


def test_fetch_reports_a_service_that_saves_no_frames(device: Any, tmp_path: Path) -> None:
    for note in (None, ServiceNote(lingered=None, collect=None)):
        device._answers["service"] = Service(note)
        with pytest.raises(RemoteError, match="saves no frames"):
            fetch_frames.fetch_frames("pi", tmp_path)
    device._answers["facts"] = facts(state="other")
    with pytest.raises(RemoteError, match="nothing is deployed there"):
        fetch_frames.fetch_frames("pi", tmp_path)
