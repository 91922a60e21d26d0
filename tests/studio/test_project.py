"""Tests of the state of a project and of the order in which its photos are decoded, without a server."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.core.processes import HelperEndedError
from poets_edge.errors import DatasetError
from poets_edge.photos.exclude import exclusions_json
from poets_edge.studio import project as project_module
from poets_edge.studio import thumbnails as thumbnails_module
from poets_edge.studio.decoding import Decoded, DecodeRequest, decode
from poets_edge.studio.places import Places
from poets_edge.studio.project import Project
from poets_edge.studio.refusal import RefusedError
from poets_edge.studio.scan import scan_project, stamp_of
from poets_edge.studio.thumbnails import SIDE, Thumbnails, _Task

JPEG = b"\xff\xd8\xff\xe0"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    for name in ("daisy/1.jpg", "daisy/2.jpg", "roses/3.jpg"):
        (tmp_path / "flowers" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "flowers" / name).write_bytes(JPEG + name.encode())
    found = Places(tmp_path / "flowers")
    found.create()
    return found


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Names of the photos in each call of `Thumbnails.check`, in order of the calls."""
    calls: list[set[str]] = []
    monkeypatch.setattr(Thumbnails, "check", lambda self, stamps: calls.append(set(stamps)))
    return calls


def test_project_state_depends_on_names_and_stamps_of_the_included_photos(
    places: Places, checked: list[set[str]]
) -> None:
    project = Project(places)
    (places.excluded).write_bytes(exclusions_json(["daisy/2.jpg"]))
    project.refresh(now=True)
    stamps = {name: stamp_of((places.root / name).lstat()) for name in ("daisy/1.jpg", "roses/3.jpg")}
    lines = "".join(f"{name} {stamp}\n" for name, stamp in stamps.items())
    assert project.state == hashlib.blake2b(lines.encode(), digest_size=16).hexdigest()
    before = project.state
    (places.kept).write_bytes(exclusions_json(["daisy/1.jpg"]))
    project.refresh(now=True)
    assert project.state == before, "photos to keep are trained on as they were"
    (places.root / "roses/3.jpg").write_bytes(JPEG + b"other content")
    project.refresh(now=True)
    assert project.state != before


def test_project_version_increases_only_if_classes_photos_lists_or_problems_change(
    places: Places, checked: list[set[str]]
) -> None:
    project = Project(places)
    assert checked == [{"daisy/1.jpg", "daisy/2.jpg", "roses/3.jpg"}]
    version = project.version
    project.refresh(now=True)
    assert project.version == version and len(checked) == 1

    def changed() -> bool:
        nonlocal version
        project.refresh(now=True)
        before, version = version, project.version
        return version == before + 1

    (places.root / "tulips").mkdir()
    assert changed() and len(checked) == 1, "no photo has changed"
    (places.root / "tulips/4.jpg").write_bytes(JPEG)
    assert changed() and len(checked) == 2
    places.excluded.write_bytes(exclusions_json(["daisy/1.jpg"]))
    assert changed()
    places.kept.write_bytes(exclusions_json(["daisy/1.jpg"]))
    assert changed()
    project.thumbnails._problems = {"x": "damaged"}
    assert changed() and not changed() and len(checked) == 2


def test_scans_of_the_project_are_limited_to_a_fraction_of_the_elapsed_time(
    places: Places, checked: list[set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=1000.0, scans=0, seconds=0.01)

    def scan(root: Path) -> Any:
        clock.scans += 1
        clock.now += clock.seconds
        return scan_project(root)

    monkeypatch.setattr(project_module, "scan_project", scan)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    project = Project(places)
    for step, scans in ((0.0, 1), (0.9, 1), (0.2, 2), (0.9, 2)):
        clock.now += step
        project.refresh()
        assert clock.scans == scans
    clock.seconds = 2.0
    project.refresh(now=True)  # the scan takes 2 s, so that the next one follows after 40 s
    for step, scans in ((39.0, 3), (2.0, 4)):
        clock.now += step
        project.refresh()
        assert clock.scans == scans


def test_renamed_photos_are_updated_without_a_scan(
    places: Places, checked: list[set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(places)
    version, stamp = project.version, project.stamp("daisy/1.jpg")
    places.excluded.write_bytes(exclusions_json(["roses/1.jpg"]))
    (places.root / "daisy/1.jpg").rename(places.root / "roses/1.jpg")
    (places.bin / "1").mkdir()
    (places.root / "daisy/2.jpg").rename(places.bin / "1/2.jpg")
    monkeypatch.setattr(project_module, "scan_project", None)
    project.apply([("daisy/1.jpg", "roses/1.jpg"), ("daisy/2.jpg", ".poets-edge/bin/1/2.jpg")], [".poets-edge/bin/1"])
    assert dict(project.found.stamps) == {"roses/1.jpg": stamp, "roses/3.jpg": project.stamp("roses/3.jpg")}
    assert (project.version, project.excluded) == (version + 1, frozenset({"roses/1.jpg"}))


@pytest.mark.parametrize("what", ["folder", "class", "list"])
def test_project_is_scanned_after_changes_to_folders_classes_or_exclusions(
    places: Places, checked: list[set[str]], what: str
) -> None:
    project = Project(places)
    version, renames, created = project.version, [], []
    if what == "folder":
        (places.root / "daisy").rename(places.root / "bellis")
        renames = [("daisy", "bellis")]
    elif what == "class":
        (places.root / "new").mkdir()
        created = ["new"]
    else:
        places.excluded.write_bytes(exclusions_json(["daisy/1.jpg"]))
    project.apply(renames, created)
    expected = {"folder": ("bellis", "roses"), "class": ("daisy", "new", "roses"), "list": ("daisy", "roses")}
    assert project.found.classes == expected[what] and project.version == version + 1
    assert project.excluded == ({"daisy/1.jpg"} if what == "list" else set())


def test_project_counts_photos_by_class_and_status(places: Places, checked: list[set[str]]) -> None:
    project = Project(places, demo=True)
    places.excluded.write_bytes(exclusions_json(["daisy/1.jpg"]))
    places.kept.write_bytes(exclusions_json(["roses/3.jpg", "daisy/2.jpg"]))
    damaged, excluded = project.stamp("roses/3.jpg"), project.stamp("daisy/1.jpg")
    project.thumbnails._problems = {damaged: "truncated", excluded: "odd", "of another photo": "x"}
    project.refresh(now=True)
    shown = project.to_json()
    assert shown["classes"] == [
        {"name": "daisy", "photos": 2, "excluded": 1, "unreadable": 0},
        {"name": "roses", "photos": 1, "excluded": 0, "unreadable": 1},
    ]
    assert (shown["name"], shown["folder"], shown["demo"]) == ("flowers", str(places.root), True)
    photos = project.photos_json()
    assert [(name, status) for name, _, status in photos["photos"]] == [
        ("daisy/1.jpg", "excluded"), ("daisy/2.jpg", "ok"), ("roses/3.jpg", "unreadable"),
    ]  # fmt: skip
    assert photos["kept"] == ["daisy/2.jpg", "roses/3.jpg"]
    assert photos["reasons"] == {"roses/3.jpg": "truncated", "daisy/1.jpg": "odd"}
    assert photos["version"] == shown["version"] == project.version


@pytest.mark.parametrize("replaced", [False, True])
def test_project_folder_that_was_moved_or_replaced_is_reported(
    places: Places, checked: list[set[str]], replaced: bool
) -> None:
    """Otherwise, uploads and undone steps would end up in a different folder."""
    project = Project(places)
    moved = places.root.rename(places.root.with_name("moved"))
    if replaced:
        places.create()
    with pytest.raises(DatasetError, match="flowers was moved, deleted or replaced"):
        project.refresh(now=True)
    if replaced:
        shutil.rmtree(places.root)
    moved.rename(places.root)
    project.refresh(now=True)
    assert len(project.found.stamps) == 3


def test_request_for_the_stamp_of_an_unknown_photo_causes_a_scan(places: Places, checked: list[set[str]]) -> None:
    project = Project(places)
    (places.root / "daisy/9.jpg").write_bytes(JPEG)
    project._next_scan = 0.0
    assert project.stamp("daisy/9.jpg") == stamp_of((places.root / "daisy/9.jpg").lstat())
    with pytest.raises(RefusedError, match="daisy/10"):
        project.stamp("daisy/10.jpg")


class Decoders:
    """Stand-in for the helper processes, which decodes photos in the order of the requests.

    Attributes:
        asked: names of the decoded photos, in order.
        go: semaphore that is released once for each photo that may be decoded.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = threading.Semaphore(0)
        self.answer = Decoded()
        self.error: Exception | None = None
        self.started = self.closed = 0

    def __call__(self, function: object, *, one_core: bool) -> Decoders:
        assert one_core and function is decode
        self.started += 1
        return self

    def ask(self, request: DecodeRequest, name: str, *, seconds: float) -> Decoded:
        self.go.acquire()
        assert seconds == 60
        self.asked.append(name)
        if self.error is not None:
            raise self.error
        return self.answer

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def decoders(monkeypatch: pytest.MonkeyPatch) -> Decoders:
    found = Decoders()
    monkeypatch.setattr(thumbnails_module, "Helper", found)
    monkeypatch.setattr(thumbnails_module, "_MOST_HELPERS", 1)
    return found


def until(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_background_decoding_follows_the_order_of_photos_and_skips_known_ones(
    places: Places, decoders: Decoders
) -> None:
    thumbnails = Thumbnails(places)
    stamps = {f"daisy/{number}.jpg": f"s{number}" for number in (5, 3, 4)}
    thumbnails.pause(True)
    thumbnails.check(stamps)
    decoders.go.release()
    assert thumbnails.photo("daisy/1.jpg", 800) == decoders.answer
    assert decoders.asked == ["daisy/1.jpg"], "nothing is decoded in the background while a job runs"
    thumbnails.pause(False)
    for _ in range(3):
        decoders.go.release()
    until(lambda: len(decoders.asked) == 4)
    assert decoders.asked[1:] == list(stamps)
    until(lambda: thumbnails._known == {"s3", "s4", "s5"})
    thumbnails.check({**stamps, "roses/3.jpg": "s9"})
    decoders.go.release()
    until(lambda: len(decoders.asked) == 5)
    assert decoders.asked[4] == "roses/3.jpg", "photos that were decoded before are skipped"


def test_pausing_ends_background_decoding_after_the_current_photo(places: Places, decoders: Decoders) -> None:
    thumbnails = Thumbnails(places)
    thumbnails.check({"daisy/1.jpg": "a", "daisy/2.jpg": "b"})
    until(lambda: len(thumbnails._waiting) == 1)
    thumbnails.pause(True)
    decoders.go.release(2)
    until(lambda: "a" in thumbnails._known)
    assert decoders.asked == ["daisy/1.jpg"] and list(thumbnails._waiting) == ["b"]


def test_decoding_errors_are_saved_except_for_missing_photos(places: Places, decoders: Decoders) -> None:
    thumbnails = Thumbnails(places)
    decoders.answer = Decoded(problem="truncated")
    decoders.go.release()
    thumbnails.check({"daisy/1.jpg": "a"})
    until(lambda: (places.thumbnails / "a.txt").is_file())
    assert dict(thumbnails.problems) == {"a": "truncated"} == dict(Thumbnails(places).problems)
    assert thumbnails.thumbnail("daisy/1.jpg", "a") == Decoded(problem="truncated"), "without decoding it again"
    thumbnails.check({"daisy/1.jpg": "a"})
    assert not thumbnails._waiting, "not in the background, either"
    decoders.answer = Decoded(problem="no longer exists", gone=True)
    decoders.go.release()
    thumbnails.check({"daisy/2.jpg": "b"})
    until(lambda: len(decoders.asked) == 2 and not thumbnails._waiting)
    decoders.go.release()
    thumbnails.photo("daisy/2.jpg", 5)
    assert dict(thumbnails.problems) == {"a": "truncated"} and not (places.thumbnails / "b.txt").exists()


def test_photo_that_crashes_a_helper_is_reported_and_the_helper_is_replaced(places: Places, decoders: Decoders) -> None:
    thumbnails = Thumbnails(places)
    decoders.error = HelperEndedError("ended by signal 11")
    decoders.go.release()
    assert thumbnails.photo("daisy/1.jpg", 9) == Decoded(problem="ended by signal 11") and decoders.closed == 1
    decoders.error, decoders.answer = OSError("no process"), Decoded(b"jpeg")
    decoders.go.release(2)
    assert thumbnails.photo("daisy/1.jpg", 9) == Decoded(problem="no process", gone=True)
    decoders.error = None
    assert thumbnails.photo("daisy/1.jpg", 9).jpeg == b"jpeg"
    assert (decoders.started, decoders.closed) == (2, 1), "another helper was started after the crash only"


def test_requested_photos_are_decoded_in_the_order_of_the_requests(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Thumbnails, "_start", lambda self: None)
    thumbnails = Thumbnails(places)
    for name in ("daisy/2.jpg", "daisy/1.jpg"):
        thumbnails._queue(_Task(DecodeRequest(places.root / name, name, 9), Future()))
    assert [thumbnails._next().request.name for _ in range(2)] == ["daisy/2.jpg", "daisy/1.jpg"]


def test_cached_thumbnail_is_returned_without_decoding(places: Places, decoders: Decoders) -> None:
    (places.thumbnails / "abc.jpg").write_bytes(b"cached")
    assert Thumbnails(places).thumbnail("daisy/1.jpg", "abc") == Decoded(b"cached") and not decoders.asked
    assert SIDE == 192
