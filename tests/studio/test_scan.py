"""Tests of the scan of a project folder, without a server."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from poets_edge.photos.tree import is_scanned
from poets_edge.studio.scan import scan_project, stamp_of

JPEG = b"\xff\xd8\xff\xe0" + b"0" * 20


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("daisy/1.jpg", "roses/2.png", "roses/3", ".poets-edge/bin/1/daisy/4.jpg", "roses/deeper/5.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(JPEG)
    (tmp_path / "roses/readme.txt").write_text("no photo")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_scan_of_a_project_lists_the_photos_in_class_folders(project: Path) -> None:
    found = scan_project(project)
    assert found.classes == ("daisy", "empty", "roses")
    assert list(found.stamps) == ["daisy/1.jpg", "roses/2.png", "roses/3"]
    assert [note.partition(": ")[2][:8] for note in found.notes] == ["1 folder"]


def test_skipped_files_and_folders_are_counted_by_kind(project: Path) -> None:
    for name in ("loose.jpg", "loose.png", "notes.txt", ".hidden.jpg"):
        (project / name).write_bytes(JPEG if name != "notes.txt" else b"text")
    (project / "daisy/link.jpg").symlink_to("1.jpg")
    (project / "tulips").symlink_to("daisy")
    (project / "daisy/a\nb.jpg").write_bytes(JPEG)
    (project / "daisy/deeper").mkdir()
    name = project.name
    found = scan_project(project)
    assert found.notes == (
        f"{name}: 2 photos directly in the folder, outside of any class. Move them into a class folder.",
        f"{name}: 1 file skipped, because of names that are not plain UTF-8 text. Rename them.",
        f"{name}: 2 files skipped, because the studio does not open links.",
        f"{name}: 2 folders inside class folders skipped. Move their photos one level up.",
    )
    assert found.links == ("daisy/link.jpg", "tulips") and found.classes == ("daisy", "empty", "roses")


def test_stamp_of_a_photo_changes_with_its_content_and_not_with_its_name(project: Path) -> None:
    path = project / "daisy/1.jpg"
    before = stamp_of(path.stat())
    moved = path.rename(project / "roses/1.jpg")
    assert stamp_of(moved.stat()) == before
    moved.write_bytes(JPEG + b"1")
    assert stamp_of(moved.stat()) != before


def test_stamp_of_a_photo_depends_on_its_inode_size_and_modification_time() -> None:
    status = {"st_ino": 1, "st_size": 20, "st_mtime_ns": 300}
    stamps = [
        stamp_of(SimpleNamespace(**{**status, **changes}))  # type: ignore[arg-type]
        for changes in ({}, {"st_ino": 2}, {"st_size": 21}, {"st_mtime_ns": 301}, {"st_mode": 7})
    ]
    assert len(set(stamps)) == 4 and stamps[0] == stamps[4] and re.fullmatch("[0-9a-f]{16}", stamps[0])


def test_hidden_paths_and_paths_outside_the_folder_are_not_scanned(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert is_scanned(project / "graph.pb", project) and is_scanned(Path("roses/left"), project)
    assert not is_scanned(project / ".poets-edge/models/graph.pb", project)
    assert not is_scanned(project.parent / "graph.pb", project) and not is_scanned(Path("../tf_files"), project)
