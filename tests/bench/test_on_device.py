"""Tests of what the agent does with files on a device, without a connection."""

from __future__ import annotations

import json
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from poets_edge.bench.remote.on_device import own_folder, saved_frames
from poets_edge.bench.remote.on_device.device_description import describe_device
from poets_edge.bench.remote.on_device.own_files import read_state
from poets_edge.bench.remote.on_device.own_folder import OwnFolder
from poets_edge.bench.remote.on_device.own_items import Staging
from poets_edge.bench.remote.on_device.saved_frames import list_frames, read_frame
from poets_edge.bench.remote.on_device.unit_links import is_foreign, remove_links
from poets_edge.bench.remote.on_device.unpack_wheel import unpack_wheel


@pytest.mark.parametrize("name", ["../victim", "/victim", "a/../../victim", ".", ".."])
def test_staging_folder_rejects_file_names_that_lead_outside_it(tmp_path: Path, name: str) -> None:
    staging = Staging(str(tmp_path))
    with pytest.raises(OSError, match="not a name for a file in an item"), staging.create(name):
        pass
    staging.discard()
    assert list(tmp_path.iterdir()) == []


def test_discarding_a_staging_folder_removes_only_the_files_written_to_it(tmp_path: Path) -> None:
    staging = Staging(str(tmp_path))
    for name in ("a/one.txt", "two.txt"):
        with staging.create(name) as file:
            file.write(b"content")
    victim, linked = tmp_path / "victim", tmp_path / "linked"
    linked.mkdir()
    for path in (victim, linked / "file"):
        path.write_text("of another program")
    (Path(staging.path) / "link").symlink_to(linked)
    for word in ("../victim", str(victim), "link/file"):  # as in a journal that another program has changed
        staging._note(word)
    staging.discard()
    assert victim.exists() and (linked / "file").exists()
    assert [path.name for path in Path(staging.path).iterdir()] == ["link"], "not listed, so it is kept"
    assert not Path(f"{staging.path}.journal").exists()


def test_only_frames_saved_by_watch_are_listed_and_read(tmp_path: Path) -> None:
    name = "collected-20261130-120000-00001.jpg"
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / name).write_bytes(b"frame")
    (tmp_path / "cat" / "secret.jpg").write_bytes(b"other")
    (tmp_path / "cat" / name.replace("1.jpg", "2.jpg")).symlink_to(tmp_path / "cat" / "secret.jpg")
    assert list_frames(str(tmp_path)) == {f"cat/{name}": 5}
    assert read_frame(str(tmp_path / "cat" / name)) == b"frame"
    for refused in ("secret.jpg", name.replace("1.jpg", "2.jpg")):
        with pytest.raises(OSError, match=r"not a frame|symbolic links"):
            read_frame(str(tmp_path / "cat" / refused))


def test_links_to_systemd_units_of_other_programs_are_not_removed(tmp_path: Path) -> None:
    target, other = tmp_path / "own.service", tmp_path / "other.service"
    (tmp_path / "default.target.wants").mkdir()
    for folder, leads_to in ((tmp_path / "default.target.wants", target), (tmp_path, other)):
        (folder / "watch.service").symlink_to(leads_to)
    remove_links(str(tmp_path), "watch", str(target))
    assert not os.path.lexists(tmp_path / "default.target.wants/watch.service")
    assert (tmp_path / "watch.service").readlink() == other
    assert is_foreign(str(tmp_path / "watch.service"), str(target))
    assert not is_foreign(str(tmp_path / "watch.service"), str(other))
    assert not is_foreign(str(tmp_path / "missing.service"), str(target))


def test_wheel_is_unpacked_without_its_scripts_and_headers(tmp_path: Path) -> None:
    staging = Staging(str(tmp_path))
    names = ("pkg/__init__.py", "p-1.data/purelib/pure.py", "p-1.data/platlib/deep/plat.so", "p-1.data/scripts/run")
    with staging.create("p-1.whl") as file, zipfile.ZipFile(file, "w") as wheel:
        for name in (*names, "p-1.data/headers/x.h", "p-1.dist-info/METADATA"):
            wheel.writestr(name, name)
    unpack_wheel("p-1.whl", staging)
    root = Path(staging.path)
    assert {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} == {
        "pkg/__init__.py", "pure.py", "deep/plat.so", "p-1.dist-info/METADATA",
    }  # fmt: skip
    staging.discard()


def test_frames_are_limited_in_number_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_frames, "MOST_FRAMES", 3)
    monkeypatch.setattr(saved_frames, "_LARGEST_FRAME", 4)
    for number, label in enumerate("dbca"):
        (tmp_path / label).mkdir()
        (tmp_path / label / f"collected-20260101-000000-0000{number}.jpg").write_bytes(b"12345"[: number + 2])
    found = list_frames(str(tmp_path))
    assert found == {
        "a/collected-20260101-000000-00003.jpg": 5, "b/collected-20260101-000000-00001.jpg": 3,
        "c/collected-20260101-000000-00002.jpg": 4,
    }  # fmt: skip
    assert list(found) == sorted(found)
    assert read_frame(str(tmp_path / "a/collected-20260101-000000-00003.jpg")) == b"1234"
    (tmp_path / "a/collected-20260101-000000-00009.jpg").symlink_to(tmp_path / "b")
    (tmp_path / "a/notes.jpg").touch()
    for name in ("a/collected-20260101-000000-00009.jpg", "a/notes.jpg", "a/collected-20260101-000000-0001.jpg"):
        with pytest.raises(OSError):
            read_frame(str(tmp_path / name))


@pytest.mark.parametrize(("read", "expected"), [(read_state, None), (read_frame, b"")])
def test_reading_a_pipe_in_place_of_a_file_does_not_block(
    tmp_path: Path, read: Callable[[str], object], expected: object
) -> None:
    path = tmp_path / "collected-20260101-000000-00001.jpg"
    os.mkfifo(path)
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.append(read(str(path))), daemon=True)
    reader.start()
    reader.join(5)
    assert found == [expected]


def test_description_of_a_device_resolves_links_to_the_parent_of_the_programs_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    monkeypatch.setenv("XDG_DATA_HOME", str(link))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for kind, folder, expected, usual in (
        ("data", "", real, True), ("cache", str(real), real, True), ("cache", str(link), real, True),
        ("cache", "", tmp_path / "cache", False),
    ):  # fmt: skip
        found = describe_device(kind, folder, [])
        assert (found["folder"], found["usual"]) == (str(expected / "poets-edge"), usual)


@pytest.mark.parametrize("last", [1, 999, "damaged", None])
def test_unused_item_expires_even_if_the_record_of_its_last_use_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: object
) -> None:
    monkeypatch.setattr(own_folder, "SESSIONS", 2)
    folder, uses = OwnFolder(str(tmp_path / "poets-edge")), tmp_path / "poets-edge/.poets-edge-uses.json"
    folder.open(adopt=False)
    with folder.new_item("models/a") as staging, staging.create("model") as file:
        file.write(b"content")
    folder.close()
    uses.write_text(json.dumps({**json.loads(uses.read_text()), "items": {"models/a": last}}))
    kept = []
    for _ in range(4):
        folder.open(adopt=False)
        kept.append((tmp_path / "poets-edge/models/a/model").exists())
        folder.close()
    assert kept == [True, True, False, False]


def test_unit_file_that_was_replaced_with_a_link_is_not_overwritten(tmp_path: Path) -> None:
    folder = OwnFolder(str(tmp_path / "poets-edge"))
    folder.open(adopt=False)
    folder.service.write({"unit": "watch"}, "text")
    unit, copy = Path(folder.service.unit_path("watch")), tmp_path / "copy"
    unit.rename(copy)
    unit.symlink_to(copy)
    with pytest.raises(OSError, match="was changed since"):
        folder.service.write({"unit": "watch"}, "other text")
    assert unit.is_symlink() and copy.read_text() == "text"
    folder.close()
