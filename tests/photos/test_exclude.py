"""Tests of exclusion lists: validation, file names, and their effect on `evaluate`."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from poets_edge.errors import DatasetError
from poets_edge.photos.exclude import (
    Exclusions,
    exclusions_json,
    exclusions_of_training,
    read_exclusions,
    scan_without_excluded,
)
from poets_edge.photos.folder import scan
from poets_edge.progress import Silent
from tests.conftest import poets_edge
from tests.photos.archive_files import FEW


@pytest.mark.parametrize(
    "content",
    [
        {"leave_out": ["\ud800"]},
        {"leave_out": ["a\0b"]},
        {"leave_out": [""]},
        {"belongs_to": {"\udfff": "tulips"}},
        {"belongs_to": {"a.jpg": "\ud800"}},
        {"belongs_to": {"a.jpg": "\udcff"}},
        {"belongs_to": {"a.jpg": "one\ntwo"}},
        {"belongs_to": {"a.jpg": "\u001b[2J"}},
        {"belongs_to": {"a.jpg": "\u2028"}},
        {"belongs_to": {"a.jpg": "x" * 300}},
        {"leave_out": {"a.jpg": 1}},
    ],
)
def test_invalid_file_and_class_names_in_an_exclusion_list_are_rejected(content: object, tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="not a list of photos") as raised:
        read_exclusions(path)
    str(raised.value).encode()
    assert "\x1b" not in str(raised.value)


def test_json_object_without_exclusion_fields_is_rejected_as_an_exclusion_list(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text('{"leaveout": ["roses/1.jpg"]}')
    with pytest.raises(DatasetError, match="contains none of leave_out, belongs_to"):
        read_exclusions(tmp_path / "list.json")


def test_named_pipe_is_rejected_as_an_exclusion_list_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list.json")
    with pytest.raises(DatasetError, match="not a regular file"):
        read_exclusions(tmp_path / "list.json")


def test_exclusions_json_preserves_arbitrary_file_names(tmp_path: Path) -> None:
    names = [os.fsdecode(b"daisy/\xff.jpg"), "daisy/a\nb.jpg", "daisy/\u65e5\u672c.jpg"]
    (tmp_path / "list.json").write_bytes(exclusions_json(names))
    assert read_exclusions(tmp_path / "list.json").leave_out == set(names)


def test_exclusions_reject_class_names_that_differ_only_in_case(photos: Path) -> None:
    folder = scan(photos)
    with pytest.raises(DatasetError, match="differ only in case or spaces"):
        Exclusions(belongs_to={folder.photos[0].name: "Roses"}).apply(folder)


def test_exclusions_are_stored_in_models_without_file_names() -> None:
    exclusions = Exclusions(frozenset({"roses/1.jpg"}), {"roses/2.jpg": "tulips"})
    facts = exclusions.to_facts()
    assert "roses" not in json.dumps(facts) and ".jpg" not in json.dumps(facts)
    names = ["roses/1.jpg", "roses/2.jpg", "roses/3.jpg"]
    assert exclusions_of_training({"exclude_hashes": facts}, names) == exclusions
    assert exclusions_of_training({"exclude": exclusions.to_json()}, names[1:]).leave_out == frozenset()


def test_evaluate_applies_the_exclusions_of_the_training_run(photos: Path, tmp_path: Path) -> None:
    names = [photo.name for photo in scan(photos).photos]
    swapped = {name: "roses" if name.startswith("tulips") else "tulips" for name in names if name[0] in "rt"}
    (tmp_path / "list.json").write_text(json.dumps({"leave_out": names[:3], "belongs_to": swapped}))
    train = ("train", "--image_dir", photos, *FEW, "--exclude", tmp_path / "list.json", "--json")
    trained = json.loads(poets_edge(*train, cwd=tmp_path).ok().stdout)
    poets_edge("export", cwd=tmp_path).ok()
    for model in ("retrained_graph.tflite", "retrained_graph.pb"):
        ran = poets_edge("evaluate", tmp_path / "tf_files" / model, photos, "--json", cwd=tmp_path).ok()
        found = json.loads(ran.stdout)
        assert (found["correct"], found["photos"]) == (trained["test"]["correct"], trained["test"]["photos"])
        assert "3 photos excluded" in ran.stderr
    (tmp_path / "other/roses").mkdir(parents=True)
    (tmp_path / "other/roses/1.jpg").write_bytes((photos / names[-1]).read_bytes())
    file = tmp_path / "tf_files/retrained_graph.tflite"
    ran = poets_edge("evaluate", file, tmp_path / "other", "--split", "all", cwd=tmp_path).ok()
    assert "excluded" not in ran.stderr


def test_comments_and_blank_lines_in_an_exclusion_list_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# blurred\nroses/1.jpg\n\n  daisy/two words.jpg  \n#roses/2.jpg\n")
    found = read_exclusions(tmp_path / "list.txt")
    assert found.leave_out == {"roses/1.jpg", "daisy/two words.jpg"} and not found.belongs_to


def test_applying_exclusions_removes_photos_and_changes_classes(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\xff\xd8\xff")
    found = Exclusions(frozenset({"a/1.jpg"}), {"b/3.jpg": "c"}).apply(scan(tmp_path))
    assert [(one.name, one.label) for one in found.photos] == [("a/2.jpg", "a"), ("b/3.jpg", "c"), ("b/4.jpg", "b")]


def test_byte_order_mark_of_an_exclusion_list_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfroses/1.jpg\r\ndaisy/2.jpg\r\n")
    assert read_exclusions(tmp_path / "list.txt").leave_out == {"roses/1.jpg", "daisy/2.jpg"}
    (tmp_path / "list.json").write_bytes(b'\xef\xbb\xbf {"belongs_to": {"a/1.jpg": "b"}}')
    assert read_exclusions(tmp_path / "list.json").belongs_to == {"a/1.jpg": "b"}


@pytest.mark.parametrize(("label", "valid"), [("", False), ("x", True), ("x" * 255, True), ("x" * 256, False)])
def test_length_of_class_names_in_an_exclusion_list_is_limited(label: str, valid: bool, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(json.dumps({"belongs_to": {"a/1.jpg": label}}))
    if valid:
        assert read_exclusions(tmp_path / "list.json").belongs_to == {"a/1.jpg": label}
    else:
        with pytest.raises(DatasetError, match="the name of a class, one line of text"):
            read_exclusions(tmp_path / "list.json")


def test_exclusions_of_training_returns_only_the_exclusions_for_the_given_photos() -> None:
    exclusions = Exclusions(frozenset({"a/1.jpg", "a/2.jpg"}), {"b/3.jpg": "c", "b/4.jpg": "d"})
    names = ["a/1.jpg", "b/4.jpg", "b/5.jpg"]
    expected = Exclusions(frozenset({"a/1.jpg"}), {"b/4.jpg": "d"})
    assert exclusions_of_training({"exclude": exclusions.to_json()}, names) == expected
    assert exclusions_of_training({"exclude_hashes": exclusions.to_facts()}, names) == expected
    assert exclusions_of_training({}, names) == Exclusions() and not Exclusions()
    assert Exclusions(frozenset({"a"})) and Exclusions(belongs_to={"a": "b"})
    assert exclusions.to_json() == {
        "leave_out": ["a/1.jpg", "a/2.jpg"], "belongs_to": {"b/3.jpg": "c", "b/4.jpg": "d"}
    }  # fmt: skip
    assert json.loads(exclusions_json(["b", "a"])) == {
        "format": "poets_edge-exclude-1", "leave_out": ["a", "b"], "belongs_to": {}
    }  # fmt: skip


class _Recorder(Silent):
    """Reporter that records the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def test_excluded_photos_are_skipped_and_nonexistent_ones_cause_a_warning(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"\xff\xd8\xff")
    (tmp_path / "list.txt").write_text("a/1.jpg\n")
    reporter = _Recorder()
    folder, exclusions = scan_without_excluded(tmp_path / "photos", tmp_path / "list.txt", reporter)
    assert folder.photos.names == ["a/2.jpg", "b/3.jpg"] and exclusions.leave_out == {"a/1.jpg"}
    assert reporter.warnings == []
    (tmp_path / "list.txt").write_text("a/1.jpg\na/9.jpg\nc/1.jpg\n")
    scan_without_excluded(tmp_path / "photos", tmp_path / "list.txt", reporter)
    [warning] = reporter.warnings
    assert "2 of its photos are not in" in warning and warning.endswith("as a/9.jpg.")
    assert scan_without_excluded(tmp_path / "photos", None, reporter)[1] == Exclusions()


def test_listed_photos_that_are_not_in_the_folder_are_reported_as_unknown(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.jpg").write_bytes(b"photo")
    listed = Exclusions(frozenset({"a/3.jpg", "a/1.jpg"}), {"a/2.jpg": "b", "a/1.jpg": "b"})
    assert listed.unknown(scan(tmp_path)) == ["a/2.jpg", "a/3.jpg"]


def test_exclusions_of_training_accepts_reassigned_photos_without_excluded_photos() -> None:
    own = Exclusions(frozenset(), {"a/1.jpg": "b", "a/2.jpg": "c"})
    for training in ({"exclude": own.to_json()}, {"exclude_hashes": own.to_facts()}):
        assert exclusions_of_training(training, ["a/1.jpg", "a/9.jpg"]) == Exclusions(frozenset(), {"a/1.jpg": "b"})


def test_file_names_in_models_are_replaced_by_sixteen_digits_of_their_sha256() -> None:
    """Models of an earlier version are understood."""
    digest = hashlib.sha256(b"roses/1.jpg").hexdigest()[:16]
    assert Exclusions(frozenset({"roses/1.jpg"})).to_facts() == {"leave_out": [digest], "belongs_to": {}}


def test_exclusions_of_training_accepts_excluded_photos_without_reassigned_photos() -> None:
    own = Exclusions(frozenset({"a/1.jpg", "a/2.jpg"}))
    for training in ({"exclude": own.to_json()}, {"exclude_hashes": own.to_facts()}):
        assert exclusions_of_training(training, ["a/1.jpg", "a/9.jpg"]) == Exclusions(frozenset({"a/1.jpg"}))


def test_exclusion_list_has_one_photo_per_line() -> None:
    lines = exclusions_json(["b/ä.jpg", "a/1.jpg"]).decode().splitlines()
    assert ' "leave_out": [' in lines and '  "a/1.jpg",' in lines and '  "b/ä.jpg"' in lines


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("listed", [None, "# none", "daisy/1.jpg", "daisy/more/3.jpg"])
def test_photos_in_subfolders_are_included_on_request_with_or_without_a_list(
    listed: str | None, recursive: bool, tmp_path: Path
) -> None:
    names = ["daisy/1.jpg", "daisy/2.jpg", *["daisy/more/3.jpg"] * recursive, "roses/1.jpg"]
    for name in ("daisy/1.jpg", "daisy/2.jpg", "daisy/more/3.jpg", "roses/1.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    (tmp_path / "list.txt").write_text(listed or "")
    exclude = None if listed is None else tmp_path / "list.txt"
    folder, _ = scan_without_excluded(tmp_path / "photos", exclude, Silent(), recursive=recursive)
    assert list(folder.photos.names) == [name for name in names if name != listed]
