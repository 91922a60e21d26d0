"""Tests of requests that change photos and classes: moves, exclusions, the bin, undo and redo."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path

import pytest

from poets_edge.photos.exclude import read_exclusions
from tests.studio.client import StudioClient, running, start

ONE, TWO, THREE = "daisy/daisy-000.jpg", "daisy/daisy-001.jpg", "roses/roses-000.jpg"


def contents(folder: Path) -> list[str]:
    """Return the sorted digests of all user files, including those in the bin and unfinished uploads."""
    files = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and (parts[0] != ".poets-edge" or parts[1] in ("bin", "incoming")):
            files.append(path)
    return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)


def tree(folder: Path) -> dict[str, str]:
    """Return a dictionary by path, with the digest of each visible file and "" for each visible folder."""
    return {
        path.relative_to(folder).as_posix(): "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if not path.relative_to(folder).parts[0].startswith(".")
    }


def counts(client: StudioClient) -> dict[str, int]:
    return {one["name"]: one["photos"] for one in client.get("/api/project").ok()["classes"]}


def test_moving_photos_renames_their_files_and_preserves_their_file_stamps(flowers: Path) -> None:
    with running(flowers) as client:
        before, version = client.photos(), client.get("/api/project").ok()["version"]
        answer = client.post("/api/photos/move", {"photos": [ONE, TWO], "to": "roses"}).ok()
        assert answer["moved"] == {ONE: "roses/daisy-000.jpg", TWO: "roses/daisy-001.jpg"}
        assert answer["version"] > version and answer["undo"] == "move 2 photos to roses"
        after = client.photos()
        assert after["roses/daisy-000.jpg"] == before[ONE] and ONE not in after
        assert (flowers / "roses/daisy-000.jpg").is_file()


def test_moving_photos_never_overwrites_files(flowers: Path) -> None:
    shutil.copy(flowers / ONE, flowers / "roses/daisy-000.jpg")
    (flowers / "roses/daisy-000 (2).jpg").write_bytes(b"not a photo")
    with running(flowers) as client:
        moved = client.post("/api/photos/move", {"photos": [ONE], "to": "roses"}).ok()["moved"]
        assert moved == {ONE: "roses/daisy-000 (3).jpg"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/photos/move", {"photos": [ONE, THREE], "to": "tulips"}),
        ("/api/photos/delete", {"photos": [ONE, THREE]}),
        ("/api/classes", {"rename": "daisy", "to": "marguerite"}),
        ("/api/classes", {"remove": "daisy"}),
        ("/api/classes", {"add": "weeds"}),
    ],
)
def test_undo_restores_every_path_and_redo_repeats_the_step(flowers: Path, path: str, body: dict[str, object]) -> None:
    before, files = tree(flowers), contents(flowers)
    with running(flowers) as client:
        client.post(path, body).ok()
        changed = tree(flowers)
        assert changed != before and contents(flowers) == files
        client.post("/api/undo").ok()
        assert tree(flowers) == before
        client.post("/api/redo").ok()
        assert tree(flowers) == changed
        client.post("/api/undo").ok()
        assert tree(flowers) == before and contents(flowers) == files
        client.post("/api/undo").refused(409)


def test_excluded_photos_are_stored_as_a_list_that_train_accepts(flowers: Path) -> None:
    with running(flowers) as client:
        client.post("/api/photos/exclude", {"photos": [ONE, THREE]}).ok()
        assert client.photos()[ONE][1] == "excluded"
        assert read_exclusions(flowers / ".poets-edge/excluded.json").leave_out == {ONE, THREE}
        client.post("/api/photos/move", {"photos": [ONE], "to": "roses"}).ok()
        client.post("/api/classes", {"rename": "roses", "to": "rosa"}).ok()
        listed = read_exclusions(flowers / ".poets-edge/excluded.json").leave_out
        assert listed == {"rosa/daisy-000.jpg", "rosa/roses-000.jpg"}
        client.post("/api/photos/delete", {"photos": ["rosa/daisy-000.jpg"]}).ok()
        assert read_exclusions(flowers / ".poets-edge/excluded.json").leave_out == {"rosa/roses-000.jpg"}
        for _ in range(3):
            client.post("/api/undo").ok()
        assert read_exclusions(flowers / ".poets-edge/excluded.json").leave_out == {ONE, THREE}
        client.post("/api/photos/include", {"photos": [ONE]}).ok()
        assert client.photos()[ONE][1] == "ok"
        [daisy] = [one for one in client.get("/api/project").ok()["classes"] if one["name"] == "roses"]
        assert daisy["excluded"] == 1


def test_marking_photos_as_kept_is_stored_in_the_project_and_can_be_undone(flowers: Path) -> None:
    """A photo remains in the list of kept photos if its class is renamed, but not if it is moved or deleted."""

    def kept(client: StudioClient) -> set[str]:
        return set(client.get("/api/photos").ok()["kept"])

    with running(flowers) as client:
        client.post("/api/photos/keep", {"photos": [ONE, THREE]}).ok()
        assert kept(client) == {ONE, THREE} == read_exclusions(flowers / ".poets-edge/kept.json").leave_out
        client.post("/api/photos/keep", {"photos": [ONE]}).refused(409)
        client.post("/api/classes", {"rename": "roses", "to": "rosa"}).ok()
    with running(flowers) as client:
        assert kept(client) == {ONE, "rosa/roses-000.jpg"}
        client.post("/api/photos/move", {"photos": [ONE], "to": "rosa"}).ok()
        client.post("/api/photos/delete", {"photos": ["rosa/roses-000.jpg"]}).ok()
        assert not kept(client)
        for _ in range(3):
            client.post("/api/undo").ok()
        assert kept(client) == {ONE, THREE}
        assert client.post("/api/undo").ok()["redo"] == "keep 2 photos" and not kept(client)
        client.post("/api/redo").ok()
        assert kept(client) == {ONE, THREE}


def test_undo_works_after_a_restart(flowers: Path) -> None:
    before = tree(flowers)
    with running(flowers) as client:
        client.post("/api/photos/move", {"photos": [ONE], "to": "roses"}).ok()
        client.post("/api/photos/delete", {"photos": [TWO]}).ok()
        version = client.post("/api/undo").ok()["version"]
    with running(flowers) as client:
        state = client.get("/api/project").ok()
        assert (state["undo"], state["redo"]) == ("move 1 photo to roses", "delete 1 photo")
        assert state["version"] > version
        client.post("/api/undo").ok()
        assert tree(flowers) == before


def test_undo_skips_photos_that_were_moved_by_other_programs(flowers: Path) -> None:
    with running(flowers) as client:
        client.post("/api/photos/move", {"photos": [ONE, TWO], "to": "roses"}).ok()
        (flowers / "roses/daisy-000.jpg").rename(flowers / "tulips/by-hand.jpg")
        shutil.copy(flowers / THREE, flowers / TWO)
        client.post("/api/undo").ok()
        assert (flowers / "daisy/daisy-001 (2).jpg").is_file() and not (flowers / ONE).exists()
        assert (flowers / "tulips/by-hand.jpg").is_file()


def test_undo_skips_steps_whose_photos_were_removed_by_other_programs(flowers: Path) -> None:
    before = tree(flowers)
    with running(flowers) as client:
        client.post("/api/photos/move", {"photos": [ONE], "to": "roses"}).ok()
        client.post("/api/photos/move", {"photos": [TWO], "to": "roses"}).ok()
        gone = (flowers / "roses/daisy-001.jpg").rename(flowers.parent / "gone.jpg")
        assert client.post("/api/undo").ok()["undo"] == "move 1 photo to roses"
        assert client.post("/api/undo").ok()["undo"] is None
        gone.rename(flowers / TWO)
        assert tree(flowers) == before


def test_moved_project_is_reported_until_it_is_moved_back(flowers: Path, tmp_path: Path) -> None:
    """A copy in its place is another project, which another studio may have opened."""
    photos = tree(flowers)
    with running(flowers) as client:
        away = flowers.rename(tmp_path / "away")
        assert "moved" in client.post("/api/classes", {"add": "asters"}).refused(400)
        shutil.copytree(away, flowers)
        assert "moved" in client.post("/api/classes", {"add": "asters"}).refused(400)
        assert any("moved" in event["problem"] for event in client.events("project", until=""))
        shutil.rmtree(flowers)
        away.rename(flowers)
        client.post("/api/classes", {"add": "asters"}).ok()
        client.post("/api/undo").ok()
        assert tree(flowers) == photos


def test_changes_that_other_programs_make_to_the_photo_folder_are_detected(flowers: Path) -> None:
    with running(flowers) as client:
        version = client.get("/api/project").ok()["version"]
        (flowers / ONE).unlink()
        (flowers / "weeds").mkdir()
        shutil.copy(flowers / THREE, flowers / "weeds/new.jpg")
        end = time.monotonic() + 20
        while client.get("/api/project").ok()["version"] == version and time.monotonic() < end:
            time.sleep(0.1)
        assert counts(client) == {"daisy": 5, "dandelion": 6, "roses": 6, "sunflowers": 6, "tulips": 6, "weeds": 1}
        client.post("/api/photos/move", {"photos": [ONE], "to": "roses"}).refused(404)


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", ".hidden", "a/b", "a\\b", "a\nb", "a:b", "con", "NUL.x", "Daisy", "x" * 300, "a\0b", "\ud800"],
)
def test_unsuitable_class_names_are_refused(studio: StudioClient, name: str) -> None:
    for body in ({"add": name}, {"rename": "daisy", "to": name}):
        if name == "Daisy" and "rename" in body:
            continue
        answer = studio.post("/api/classes", body)
        assert answer.status in (400, 409), answer.body
        answer.refused(answer.status)
    assert set(counts(studio)) == {"daisy", "dandelion", "roses", "sunflowers", "tulips"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"photos": "x"}', b'{"photos": []}', b'{"photos": [1]}', b"\xff"])
def test_requests_with_malformed_bodies_are_refused(studio: StudioClient, body: bytes) -> None:
    studio.request("POST", "/api/photos/delete", body).refused(400)


def test_requests_with_oversized_bodies_are_refused(studio: StudioClient) -> None:
    studio.request("POST", "/api/photos/delete", b" " * ((16 << 20) + 1)).refused(413)


@pytest.mark.parametrize("name", ["../outside.jpg", "daisy/../../outside.jpg", "/etc/passwd", ".poets-edge/lock"])
@pytest.mark.parametrize("action", ["move", "exclude", "delete", "include", "keep"])
def test_photos_outside_the_project_are_not_changed(studio: StudioClient, name: str, action: str) -> None:
    outside = studio.folder.parent / "outside.jpg"
    outside.write_bytes(b"mine")
    body = {"photos": [name], "to": "roses"}
    studio.post(f"/api/photos/{action}", body).refused(404)
    studio.post("/api/photos/move", {"photos": [ONE], "to": name}).refused(404)
    assert outside.read_bytes() == b"mine"


def test_journal_entries_with_paths_outside_the_project_are_ignored(flowers: Path) -> None:
    outside = flowers.parent / "outside.jpg"
    outside.write_bytes(b"mine")
    own = flowers / ".poets-edge"
    own.mkdir()
    (flowers.parent / "elsewhere").mkdir()
    (flowers / "link").symlink_to(flowers.parent / "elsewhere")
    lines = [
        {"number": 1, "text": "x", "kind": "do", "renames": [["../outside.jpg", "daisy/x.jpg"]]},
        {"number": 2, "text": "y", "kind": "do", "renames": [["daisy/daisy-000.jpg", "link/x.jpg"]]},
        {"done": 2},
        "not a step",
    ]
    (own / "journal.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"number": 3, "te', encoding="ascii")
    with running(flowers) as client:
        assert counts(client)["daisy"] == 6
        client.post("/api/undo")
        client.post("/api/photos/delete", {"photos": [ONE]}).ok()
    assert outside.read_bytes() == b"mine" and not any((flowers.parent / "elsewhere").iterdir())


def test_second_studio_for_the_same_folder_is_refused(flowers: Path) -> None:
    with running(flowers), pytest.raises(AssertionError, match="another studio works on this folder") as refused:
        start(flowers)
    assert "Traceback" not in str(refused.value)
