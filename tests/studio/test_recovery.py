"""Tests of recovery after the process was killed at any system call, or the journal was truncated."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poets_edge.studio.changes import Changes
from poets_edge.studio.places import Places
from poets_edge.studio.project import Project
from poets_edge.studio.refusal import RefusedError
from poets_edge.studio.thumbnails import Thumbnails

JPEG = b"\xff\xd8\xff\xe0"
CALLS = ("link", "unlink", "rename", "replace", "mkdir", "rmdir", "fsync")
KILLED = 77


@pytest.fixture(autouse=True)
def _without_thumbnails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Thumbnails, "check", lambda self, stamps: None)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Project with distinct files that begin with a JPEG signature but are not valid images."""
    root = tmp_path / "original"
    for label in ("daisy", "roses"):
        (root / label).mkdir(parents=True)
        for number in range(3):
            (root / label / f"{number}.jpg").write_bytes(JPEG + f"{label} {number}".encode())
    return root


def opened(root: Path) -> tuple[Project, Changes]:
    places = Places(root)
    places.create()
    project = Project(places)
    return project, Changes(project)


def work(root: Path) -> None:
    """Make a sequence of changes that includes every kind of change."""
    project, changes = opened(root)
    changes.move(["daisy/0.jpg", "daisy/1.jpg"], "roses")
    changes.exclude(["roses/1.jpg", "roses/2.jpg"])
    changes.keep(["roses/0.jpg", "roses/2.jpg"])
    incoming = project.places.incoming / "upload"
    incoming.write_bytes(JPEG + b"new")
    changes.add_photos([(incoming, "weeds", "new.jpg")])
    changes.delete(["roses/2.jpg", "daisy/2.jpg"])
    changes.rename_class("roses", "rosa")
    changes.undo()
    changes.undo()
    changes.redo()
    changes.remove_class("weeds")
    changes.undo()


def visible(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.relative_to(root).parts[0].startswith(".")
    }


def kept(root: Path) -> set[str]:
    """Return the digests of all photos in a project, including those in the bin and unfinished uploads."""
    own = root / ".poets-edge"
    files = [path for path in root.rglob("*") if path.is_file() and path.parent != own]
    assert len(files) == len({path.read_bytes() for path in files}), "no photo is doubled"
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def undo_everything(changes: Changes) -> None:
    while changes.undo_text is not None:
        changes.undo()
    with pytest.raises(RefusedError, match="nothing to undo"):
        changes.undo()


def killed_at(point: int, *, after: bool, root: Path) -> bool:
    """Run `work` in a child process that is ended before or after its system call number `point`.

    Returns True if the child was ended in this way; False if it made fewer system calls.
    """
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == KILLED
    count = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == point and not after:
                os._exit(KILLED)
            try:
                return call(*args, **options)
            finally:
                if count == point:
                    os._exit(KILLED)

        return run

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    status = 0
    try:
        work(root)
    except BaseException:
        status = 1
    os._exit(status)


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
def test_process_killed_at_any_system_call_leaves_complete_steps(photos: Path, tmp_path: Path, after: bool) -> None:
    before, digests = visible(photos), kept(photos)
    point = 1
    while True:
        root = tmp_path / f"project-{point}"
        shutil.copytree(photos, root)
        if not killed_at(point, after=after, root=root):
            break
        project, changes = opened(root)
        assert digests <= kept(root)
        assert set(project.found.stamps) == set(visible(root))
        assert project.excluded <= {*project.found.stamps, "roses/1.jpg", "roses/2.jpg"}
        assert project.kept <= set(project.found.stamps)
        undo_everything(changes)
        assert visible(root) == before and not project.excluded and not project.kept
        shutil.rmtree(root)
        point += 1
    assert point > 40, f"only {point} points"


def test_journal_truncated_at_any_byte_can_be_read(photos: Path) -> None:
    work(photos)
    journal = photos / ".poets-edge/journal.jsonl"
    lines = journal.read_bytes()
    last = lines.rstrip(b"\n").rpartition(b"\n")[0]
    digests = kept(photos)
    for size in range(len(last) - 200, len(lines)):
        journal.write_bytes(lines[:size])
        opened(photos)[1].add_class(f"class {size}")
        assert kept(photos) == digests
        (photos / f"class {size}").rmdir()


@pytest.mark.parametrize("part", ["create", "remove", "renames"])
def test_interrupted_step_does_not_change_files_behind_a_link(photos: Path, tmp_path: Path, part: str) -> None:
    """The journal was planted in the project by an attacker, together with a link to a folder outside."""
    outside = tmp_path / "outside"
    (outside / "empty").mkdir(parents=True)
    opened(photos)
    (photos / "link").symlink_to(outside)
    paths = {"create": ["link/new"], "remove": ["link/empty"], "renames": [["daisy/0.jpg", "link/0.jpg"]]}
    step = {"number": 1, "text": "planted", "kind": "do", part: paths[part]}
    (photos / ".poets-edge/journal.jsonl").write_text(json.dumps(step) + "\n", encoding="ascii")
    with pytest.raises(RefusedError):
        opened(photos)
    assert [path.name for path in outside.iterdir()] == ["empty"]
    assert (photos / "daisy/0.jpg").exists()


def test_file_that_appears_at_the_target_of_a_rename_is_not_replaced(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program creates a file with the new name after the step was planned and before the rename."""
    project, changes = opened(photos)
    link = os.link

    def late(old: Any, new: Any, **options: Any) -> None:
        if str(new).endswith("1 (2).jpg"):
            Path(new).write_bytes(b"mine")
        link(old, new, **options)

    monkeypatch.setattr(os, "link", late)
    before = visible(photos)
    with pytest.raises(Exception, match="Nothing was changed"):
        changes.move(["daisy/0.jpg", "daisy/1.jpg"], "roses")
    assert visible(photos) == before | {"roses/1 (2).jpg": b"mine"}
    assert changes.undo_text is None and set(project.found.stamps) == set(visible(photos))


def test_photos_can_be_renamed_without_hard_links(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    before = visible(photos)
    changes = opened(photos)[1]
    changes.move(["daisy/0.jpg"], "roses")
    assert "roses/0 (2).jpg" in visible(photos)
    undo_everything(changes)
    assert visible(photos) == before
