"""Tests of the files that are sent to the agent: which are written, and where."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.bench.remote.session import ITEM, Session, payload, sent

pytestmark = pytest.mark.skipif(os.name == "nt", reason="agents run on Unix")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pi/poets-edge"


def _wheel(name: str) -> bytes:
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing/__init__.py", "answer = 42\n")
        archive.writestr(name, "outside")
    return wheel.getvalue()


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt", "{root}/out.txt", "../../../out.txt"])
@pytest.mark.parametrize("in_wheel", [False, True], ids=["archive", "wheel"])
def test_archive_members_outside_the_destination_folder_are_rejected(
    folder: Path, tmp_path: Path, name: str, in_wheel: bool
) -> None:
    name = name.format(root=tmp_path)
    session = Session(folder)
    archive = sent("thing-1-py3-none-any.whl", _wheel(name)) if in_wheel else sent(name, b"outside")
    session.agent._requests = io.BytesIO(archive)
    with pytest.raises(OSError, match="not a name for a file in an item"):
        session.agent.do_receive({"item": ITEM, "wheels": in_wheel})
    assert session.agent._requests.read() == b"", "the next request is found behind the archive"
    assert session.have(ITEM) == [] and "out.txt" not in _files(tmp_path)
    session.receive()
    assert session.have(ITEM) == [ITEM]


def test_symbolic_links_in_archives_are_skipped(folder: Path, tmp_path: Path) -> None:
    """If links were created, later files in the archive could be written through them to other folders."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w|") as archive:
        link = tarfile.TarInfo("a")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        entry = tarfile.TarInfo("a/inside.txt")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"yes"))
    session = Session(folder)
    session.agent._requests = io.BytesIO(b"%d\n%s0\n" % (len(tar.getvalue()), tar.getvalue()))
    session.agent.do_receive({"item": ITEM, "wheels": False})
    assert session.have(ITEM) == [ITEM]
    assert (folder / ITEM / "a/inside.txt").read_text() == "yes" and not (tmp_path / "inside.txt").exists()


def test_nothing_is_created_from_a_truncated_archive(folder: Path) -> None:
    session = Session(folder)
    session.agent._requests = io.BytesIO(payload()[:600])  # within the wheel
    with pytest.raises(EOFError):
        session.agent.do_receive({"item": ITEM, "wheels": True})
    assert session.have(ITEM) == []


def test_unpacked_wheel_contains_libraries_but_no_scripts(folder: Path) -> None:
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in (
            "thing/a.py",
            "thing-1.data/purelib/b.py",
            "thing-1.data/platlib/sub/c.so",
            "thing-1.data/scripts/d",
        ):
            archive.writestr(name, name)
    session = Session(folder)
    session.agent._requests = io.BytesIO(sent("thing-1-py3-none-any.whl", wheel.getvalue()))
    session.agent.do_receive({"item": ITEM, "wheels": True})
    found = {str(path.relative_to(folder / ITEM)) for path in (folder / ITEM).rglob("*") if path.is_file()}
    assert {name for name in found if not name.startswith(".")} == {"thing/a.py", "b.py", "sub/c.so"}
