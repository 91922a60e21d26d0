"""Tests of the journal of changes, of undo and of renames, without a server."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poets_edge.errors import OutputError
from poets_edge.studio import changes as changes_module
from poets_edge.studio.changes import Changes
from poets_edge.studio.journal import Journal, Step, is_inside
from poets_edge.studio.places import Places
from poets_edge.studio.project import Project
from poets_edge.studio.refusal import RefusedError
from poets_edge.studio.renames import finish_rename, free_name, rename
from poets_edge.studio.thumbnails import Thumbnails
from poets_edge.studio.undoing import inverse

JPEG = b"\xff\xd8\xff\xe0"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def step(number: int, **fields: Any) -> Step:
    return Step(number=number, text=f"step {number}", create=(f"class {number}",), **fields)


def reread(journal: Journal) -> Journal:
    return Journal(journal._path)


def numbers(groups: list[list[Step]]) -> list[list[int]]:
    return [[one.number for one in group] for group in groups]


def test_history_is_unchanged_when_the_journal_is_opened_again(journal: Journal) -> None:
    for one in (step(1), step(2, batch="upload"), step(3, batch="upload"), step(4, batch="other")):
        journal.begin(one)
        journal.end(one)
    assert numbers(journal.history) == numbers(reread(journal).history) == [[1], [2, 3], [4]]
    for one in (step(5, kind="undo"), step(6, kind="undo"), step(7, kind="redo")):
        journal.begin(one)
        journal.end(one)
    for found in (journal, reread(journal)):
        assert numbers(found.history) == [[1], [7]] and numbers(found.undone) == [[5]] and found.next_number == 8
    journal.begin(step(8))
    journal.end(step(8))
    for found in (journal, reread(journal)):
        assert numbers(found.history) == [[1], [7], [8]] and found.undone == [], "a new step ends redo"


def test_journal_lists_interrupted_steps_but_not_reverted_ones(journal: Journal) -> None:
    for one in (step(1), step(2), step(9)):
        journal.begin(one)
    journal.revert(step(9))
    journal.end(step(1))
    found = reread(journal)
    assert [one.number for one in found.interrupted] == [2] and numbers(found.history) == [[1]]
    assert found.next_number == 10, "above the highest number, in any order"
    with journal._path.open("ab") as file:
        file.write(json.dumps({"number": 3, "text": "older", "kind": "do", "create": ["x"]}).encode() + b"\n")
    assert reread(journal).next_number == 10


def test_journal_continues_after_a_truncated_line(journal: Journal) -> None:
    journal.begin(step(1))
    journal.end(step(1))
    with journal._path.open("ab") as file:
        file.write(b'{"number":2,"te')
    journal.begin(step(3))
    journal.end(step(3))
    assert numbers(reread(journal).history) == [[1], [3]]


def test_step_is_flushed_to_disk_before_it_is_carried_out(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: flushed.append(os.fstat(file).st_size))
    journal.begin(step(1))
    assert flushed == [journal._path.stat().st_size]
    journal.end(step(1))
    assert len(flushed) == 1, "without its end line, a step is carried out again, which changes nothing"


def test_journal_is_restored_if_a_line_cannot_be_written(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.begin(step(1))
    journal.end(step(1))
    before = journal._path.read_bytes()

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        journal.begin(step(2))
    assert journal._path.read_bytes() == before


def test_journal_skips_steps_with_paths_outside_the_project(journal: Journal) -> None:
    for path in ("/etc", "../other", "a/../../b", "", "a\\b", "a\0b"):
        assert not is_inside(path)
        line = json.dumps({"number": 1, "text": "", "kind": "do", "create": [path]})
        journal._path.write_text(f"{line}\n")
        assert reread(journal).interrupted == ()
    assert is_inside("roses/..jpg") and is_inside("a/b c.jpg")


@pytest.fixture
def changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Changes:
    """Changes to a project with the classes daisy and roses, each with the photos 0.jpg to 2.jpg."""
    monkeypatch.setattr(Thumbnails, "check", lambda self, stamps: None)
    root = tmp_path / "flowers"
    for label in ("daisy", "roses"):
        (root / label).mkdir(parents=True)
        for number in range(3):
            (root / label / f"{number}.jpg").write_bytes(JPEG + f"{label} {number}".encode())
    return opened(root)


def opened(root: Path) -> Changes:
    places = Places(root)
    places.create()
    return Changes(Project(places))


def files(changes: Changes) -> dict[str, str]:
    """Return the text that follows the JPEG signature in each photo in a class folder, by the name of the photo."""
    root = changes._root
    return {
        path.relative_to(root).as_posix(): path.read_bytes()[len(JPEG) :].decode()
        for path in sorted(root.glob("[!.]*/*"))
    }


def test_moved_photos_get_unused_names_and_undo_restores_the_old_ones(changes: Changes) -> None:
    before = files(changes)
    (changes._root / "weeds").mkdir()
    changes._project.refresh(now=True)
    _, moved = changes.move(["daisy/0.jpg", "roses/0.jpg"], "weeds")
    assert moved == {"daisy/0.jpg": "weeds/0.jpg", "roses/0.jpg": "weeds/0 (2).jpg"}
    assert files(changes)["weeds/0.jpg"] == "daisy 0" and files(changes)["weeds/0 (2).jpg"] == "roses 0"
    changes.undo()
    assert files(changes) == before
    changes.redo()
    (changes._root / "weeds/0.jpg").unlink()  # by hand
    changes.undo()
    assert files(changes) == {name: text for name, text in before.items() if name != "daisy/0.jpg"}


def test_failed_step_is_reverted(changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(changes)

    def fails(old: Path, new: Path) -> None:
        if old.name == "1.jpg":
            raise OSError(errno.EACCES, "not allowed", str(old))
        rename(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(changes_module, "rename", fails)
        with pytest.raises(OutputError, match="not allowed"):
            changes.move(["daisy/0.jpg", "daisy/1.jpg"], "roses")
    assert files(changes) == before and changes.undo_text is None
    assert files(opened(changes._root)) == before, "it is not an interrupted step"
    chain = (("daisy/0.jpg", "daisy/x.jpg"), ("daisy/1.jpg", "daisy/0.jpg"), ("daisy/none.jpg", "daisy/1.jpg"))
    with pytest.raises(OutputError):
        changes._run(changes._step("rename", renames=chain))
    assert files(changes) == before, "the last rename is undone first"
    assert opened(changes._root).undo_text is None


def test_interrupted_step_is_completed_even_if_part_of_it_was_carried_out(changes: Changes) -> None:
    root = changes._root
    interrupted = Step(number=1, text="move", renames=(("daisy/0.jpg", "roses/a.jpg"), ("daisy/1.jpg", "roses/b.jpg")))
    changes._journal.begin(interrupted)
    (root / "daisy/0.jpg").rename(root / "roses/a.jpg")
    os.link(root / "daisy/1.jpg", root / "roses/b.jpg")
    again = opened(root)
    assert {name for name in files(again) if name[0] == "d"} == {"daisy/2.jpg"}
    assert files(again)["roses/a.jpg"] == "daisy 0" and files(again)["roses/b.jpg"] == "daisy 1"
    again.undo()
    assert files(again)["daisy/0.jpg"] == "daisy 0" and files(again)["daisy/1.jpg"] == "daisy 1"


def test_moving_photos_through_a_link_out_of_the_project_is_refused(changes: Changes, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (changes._root / "away").symlink_to(tmp_path / "outside")
    with pytest.raises(RefusedError):
        changes._run(changes._step("move", renames=(("daisy/0.jpg", "away/0.jpg"),)))
    assert list((tmp_path / "outside").iterdir()) == []


def test_deleting_an_excluded_photo_removes_its_exclusion_until_undone(changes: Changes) -> None:
    changes.exclude(["daisy/0.jpg", "daisy/1.jpg"])
    changes.delete(["daisy/0.jpg"])
    assert changes._project.excluded == {"daisy/1.jpg"}
    changes.undo()
    assert changes._project.excluded == {"daisy/0.jpg", "daisy/1.jpg"}
    changes.undo()
    assert changes._project.excluded == set()


def test_class_can_be_respelled_but_not_renamed_to_an_existing_class(changes: Changes) -> None:
    with pytest.raises(RefusedError):
        changes.rename_class("daisy", "Roses")
    changes.rename_class("daisy", "Daisy")
    assert {name.partition("/")[0] for name in files(changes)} == {"Daisy", "roses"}


@pytest.mark.parametrize("kind", ["file", "link"])
def test_class_cannot_get_the_name_of_a_file_or_link(changes: Changes, kind: str) -> None:
    path = changes._root / "tulips"
    if kind == "file":
        path.write_text("mine")
    else:
        path.symlink_to("nowhere")
    attempts: list[Callable[[], Step]] = [
        lambda: changes.rename_class("daisy", "tulips"),
        lambda: changes.add_class("tulips"),
    ]
    for attempt in attempts:
        with pytest.raises(RefusedError, match="There is a file or a link 'tulips'") as raised:
            attempt()
        assert raised.value.status == 409
    assert path.is_symlink() is (kind == "link") and changes.undo_text is None


def test_undone_photos_get_distinct_names_if_an_old_name_is_taken(tmp_path: Path) -> None:
    for name in ("daisy/a.jpg", "roses/a.jpg", "roses/a (2).jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    renames = (("daisy/a.jpg", "roses/a.jpg"), ("daisy/a (2).jpg", "roses/a (2).jpg"))
    found = inverse([Step(number=1, text="move", renames=renames)], tmp_path, kind="undo", number=2, bin_folder="bin")
    assert found.renames == (("roses/a (2).jpg", "daisy/a (2).jpg"), ("roses/a.jpg", "daisy/a (3).jpg"))


def test_inverse_of_a_group_of_steps_undoes_them_in_reverse_order(tmp_path: Path) -> None:
    for name in ("b/1.jpg", "b/2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    group = (
        Step(number=1, text="one", create=("b",), renames=(("a/1.jpg", "b/1.jpg"),), include=("x",), exclude=("y",)),
        Step(number=2, text="two", renames=((".poets-edge/incoming/7", "b/2.jpg"),), include=("z",)),
    )
    found = inverse(group, tmp_path, kind="undo", number=5, bin_folder=".poets-edge/bin/5")
    assert found.renames == (("b/2.jpg", ".poets-edge/bin/5/b/2.jpg"), ("b/1.jpg", "a/1.jpg"))
    assert set(found.create) == {"a", ".poets-edge/bin/5/b"} and found.remove == ("b",)
    assert (found.exclude, found.include) == (("x", "z"), ("y",)) and (found.kind, found.number) == ("undo", 5)


@pytest.mark.parametrize("links", [True, False])
def test_renaming_a_photo_does_not_replace_an_existing_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    old, new, free = (tmp_path / name for name in ("old", "new", "free"))
    old.write_text("old")
    new.write_text("new")
    if not links:  # as on exFAT

        def link(*arguments: Any, **options: Any) -> None:
            raise OSError(errno.EPERM, "no hard links")

        monkeypatch.setattr(os, "link", link)
    with pytest.raises(FileExistsError):
        rename(old, new)
    finish_rename(old, new)
    assert (old.read_text(), new.read_text()) == ("old", "new"), "two different files"
    rename(old, free)
    assert free.read_text() == "old" and not old.exists()


def test_finishing_a_rename_removes_the_old_name_of_the_file(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("photo")
    os.link(old, new)
    finish_rename(old, new)
    assert new.read_text() == "photo" and not old.exists()
    finish_rename(old, new)
    assert new.read_text() == "photo"


def test_renaming_a_photo_reports_errors_other_than_unsupported_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(os, "link", link)
    (tmp_path / "old").write_text("old")
    with pytest.raises(OSError, match="broken disk"):
        rename(tmp_path / "old", tmp_path / "new")


def test_new_file_names_differ_from_existing_files_and_assigned_names(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("")
    (tmp_path / "a (2).jpg").symlink_to("nowhere")
    assert free_name(tmp_path / "a.jpg", {tmp_path / "a (3).jpg"}) == tmp_path / "a (4).jpg"
    assert free_name(tmp_path / "b.jpg", set()) == tmp_path / "b.jpg"


def test_journal_marks_a_step_as_ended_after_it_is_carried_out(
    changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise, a step would remain incomplete if the server was killed in between."""
    calls: list[str] = []
    carry_out, begin, end = Changes._carry_out, Journal.begin, Journal.end

    def record(name: str, function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            calls.append(f"{name} finishing" if named else name)
            return function(*arguments, **named)

        return call

    monkeypatch.setattr(Journal, "begin", record("begin", begin))
    monkeypatch.setattr(Changes, "_carry_out", record("carry out", carry_out))
    monkeypatch.setattr(Journal, "end", record("end", end))
    changes.exclude(["daisy/0.jpg"])
    assert calls == ["begin", "carry out", "end"]
    calls.clear()
    changes._journal.begin(Step(number=99, text="move", renames=(("daisy/0.jpg", "roses/9.jpg"),)))
    found = opened(changes._root)
    assert calls == ["begin", "carry out finishing", "end"] and "roses/9.jpg" in files(found)


def lists(changes: Changes) -> tuple[list[str], list[str]]:
    """Return the excluded and the kept photos of a project, sorted."""
    return sorted(changes._project.excluded), sorted(changes._project.kept)


def test_lists_of_excluded_and_kept_photos_are_written_together(
    changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If only one of them could be written, a step would be half done."""
    changes.exclude(["daisy/0.jpg"])
    changes.keep(["daisy/0.jpg"])
    written: list[set[str]] = []
    monkeypatch.setattr(changes_module, "write_together", lambda files: written.append({path.name for path in files}))
    changes.delete(["daisy/0.jpg"])
    changes.keep(["daisy/1.jpg"])
    assert written == [{"excluded.json", "kept.json"}, {"kept.json"}]


def test_lists_of_excluded_and_kept_photos_are_updated_for_moved_and_deleted_photos(changes: Changes) -> None:
    changes.exclude(["daisy/0.jpg", "daisy/1.jpg"])
    changes.keep(["daisy/0.jpg", "daisy/2.jpg", "roses/1.jpg"])
    step, moved = changes.move(["daisy/2.jpg"], "roses")
    assert step.reopen == ("daisy/2.jpg",) and moved == {"daisy/2.jpg": "roses/2 (2).jpg"}
    assert lists(changes) == (["daisy/0.jpg", "daisy/1.jpg"], ["daisy/0.jpg", "roses/1.jpg"])
    step = changes.delete(["daisy/0.jpg", "roses/0.jpg"])
    assert (step.include, step.reopen) == (("daisy/0.jpg",), ("daisy/0.jpg",))
    assert lists(changes) == (["daisy/1.jpg"], ["roses/1.jpg"])
    step = changes.remove_class("daisy")
    assert (step.include, step.reopen) == (("daisy/1.jpg",), ())
    assert lists(changes) == ([], ["roses/1.jpg"])
    for _ in range(3):
        changes.undo()
    assert lists(changes) == (["daisy/0.jpg", "daisy/1.jpg"], ["daisy/0.jpg", "daisy/2.jpg", "roses/1.jpg"])


def test_inverse_of_several_steps_undoes_their_changes_in_reverse_order(tmp_path: Path) -> None:
    for name in ("roses/1.jpg", "roses/3.jpg", ".poets-edge/bin/1/tulips/4.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    first = Step(
        number=1, text="add", create=("roses", ".poets-edge/bin/1"), exclude=("a/1.jpg",), keep=("b/1.jpg",),
        renames=(
            (".poets-edge/incoming/x", "roses/1.jpg"), ("daisy/2.jpg", "roses/2.jpg"), ("roses/2.jpg", "roses/3.jpg"),
        ),
    )  # fmt: skip
    second = Step(
        number=2, text="delete", create=("new",), remove=("tulips",), include=("a/2.jpg",), reopen=("b/2.jpg",),
        renames=(("tulips/4.jpg", ".poets-edge/bin/1/tulips/4.jpg"),),
    )  # fmt: skip
    found = inverse([first, second], tmp_path, kind="undo", number=7, bin_folder=".poets-edge/bin/7")
    assert found.renames == (
        (".poets-edge/bin/1/tulips/4.jpg", "tulips/4.jpg"), ("roses/3.jpg", "roses/2.jpg"),
        ("roses/1.jpg", ".poets-edge/bin/7/roses/1.jpg"),
    )  # fmt: skip
    assert found.create == ("tulips", ".poets-edge/bin/7/roses")
    assert found.remove == ("new", "roses"), "folders of the studio are kept"
    assert (found.exclude, found.include, found.keep, found.reopen) == (
        ("a/2.jpg",), ("a/1.jpg",), ("b/2.jpg",), ("b/1.jpg",),
    )  # fmt: skip
    assert (found.number, found.kind) == (7, "undo")
