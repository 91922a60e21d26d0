"""Tests of photo and archive uploads: names, limits, damaged and malicious files, interrupted requests."""

from __future__ import annotations

import io
import json
import socket
import time
import zipfile
import zlib
from pathlib import Path

import pytest
from PIL import Image

from poets_edge.demo.draw import draw_photo
from tests.studio.client import StudioClient, running
from tests.studio.test_changes import contents, counts, tree


def archive(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return packed.getvalue()


@pytest.fixture(scope="module")
def photo() -> bytes:
    return draw_photo("daisy", 999)


def leftovers(folder: Path) -> list[Path]:
    return list((folder / ".poets-edge/incoming").iterdir())


def test_uploaded_photo_is_added_unchanged(flowers: Path, photo: bytes) -> None:
    with running(flowers) as client:
        answer = client.upload(photo, "new.jpg", "daisy").ok()
        assert (answer["added"], answer["skipped"], answer["undo"]) == (1, [], "add 1 photo")
        assert (flowers / "daisy/new.jpg").read_bytes() == photo
        again = client.upload(photo, "new.jpg", "daisy").ok()
        assert (again["added"], again["skipped"]) == (0, [["new.jpg", "in daisy already"]])
        assert client.upload(draw_photo("daisy", 998), "new.jpg", "daisy").ok()["added"] == 1
        assert (flowers / "daisy/new (2).jpg").is_file()
        assert client.upload(photo, "first.jpg", "weeds").ok()["added"] == 1
        assert counts(client)["weeds"] == 1 and not leftovers(flowers)
        client.post("/api/undo").ok()
        assert not (flowers / "weeds").exists()
        client.post("/api/redo").ok()
        assert (flowers / "weeds/first.jpg").read_bytes() == photo


def test_batch_of_uploads_is_undone_in_one_step(flowers: Path) -> None:
    before = tree(flowers)
    with running(flowers) as client:
        for number in range(3):
            client.upload(draw_photo("roses", 900 + number), f"{number}.jpg", "roses", batch="b1").ok()
        client.upload(draw_photo("roses", 950), "other.jpg", "roses", batch="b2").ok()
        client.post("/api/undo").ok()
        assert client.get("/api/project").ok()["undo"] == "add 3 photos"
        after = contents(flowers)
        client.post("/api/undo").ok()
        assert tree(flowers) == before and contents(flowers) == after


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("../../../evil.jpg", "evil.jpg"),
        ("C:\\Users\\me\\evil.jpg", "evil.jpg"),
        ("/etc/cron.d/evil", "evil.jpg"),
        ("a\nb\x00c.jpg", "a_b_c.jpg"),
        (".htaccess", "htaccess.jpg"),
        ("con.jpg", "photo_con.jpg"),
        ("<script>alert(1)<", "_script_alert(1)_.jpg"),
        ("evil.html", "evil.html.jpg"),
        ("", "photo.jpg"),
        ("..", "photo.jpg"),
        ("х" * 300 + ".jpg", "х" * 92 + ".jpg"),
    ],
)
def test_uploaded_file_names_are_made_safe(studio: StudioClient, photo: bytes, name: str, saved: str) -> None:
    before = set(studio.photos())
    assert studio.upload(photo, name, "tulips").ok()["added"] == 1
    assert set(studio.photos()) - before == {f"tulips/{saved}"}
    studio.post("/api/undo").ok()


@pytest.mark.parametrize("data", [b"", b"hello", b"<html><script>", b"\xff\xd8\xff" + b"x" * 100, b"GIF89a"])
def test_files_that_are_not_photos_are_skipped(studio: StudioClient, data: bytes) -> None:
    answer = studio.upload(data, "odd.jpg", "daisy").ok()
    assert answer["added"] == 0 and answer["skipped"][0][0] == "odd.jpg"
    assert not leftovers(studio.folder) and "daisy/odd.jpg" not in studio.photos()


def test_decompression_bomb_is_skipped(studio: StudioClient) -> None:
    """A PNG of 60 kB declares 3.6 billion pixels."""
    bomb = io.BytesIO()
    Image.new("1", (8, 8)).save(bomb, "PNG")
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    data = bomb.getvalue()[:12] + header + zlib.crc32(header).to_bytes(4, "big") + bomb.getvalue()[33:] + bytes(60_000)
    answer = studio.upload(data, "bomb.png", "daisy").ok()
    assert answer["added"] == 0 and answer["skipped"][0][0] == "bomb.png"
    assert not leftovers(studio.folder)


def test_uploads_without_a_class_are_refused(studio: StudioClient, photo: bytes) -> None:
    studio.upload(photo, "a.jpg").refused(400)
    for label in ("../x", "a/b", ".poets-edge", "..", "a\nb"):
        answer = studio.upload(photo, "a.jpg", label)
        assert answer.status == 400
    assert not leftovers(studio.folder)


def test_folders_in_an_uploaded_archive_are_its_classes(flowers: Path, photo: bytes) -> None:
    files = {
        "top/weeds/1.jpg": photo,
        "top/daisy/x.jpg": photo,
        "top/daisy/readme.txt": b"no",
        "top/daisy/bad.jpg": b"x",
    }
    with running(flowers) as client:
        answer = client.upload(archive(files), "photos.zip").ok()
        assert answer["added"] == 2
        assert {name for name, _ in answer["skipped"]} == {"bad.jpg", "photos.zip"}
        assert (flowers / "weeds/1.jpg").read_bytes() == photo and (flowers / "daisy/x.jpg").is_file()
        client.post("/api/undo").ok()
        assert not (flowers / "weeds").exists() and not leftovers(flowers)
        mixed = archive({"a/1.jpg": photo, "2.jpg": photo})
        assert client.upload(mixed, "mixed.zip", "roses").ok()["added"] == 2
        assert (flowers / "a/1.jpg").is_file() and (flowers / "roses/2.jpg").is_file()


def test_malicious_archives_are_refused(studio: StudioClient, photo: bytes) -> None:
    for data in (
        archive({"../../evil/1.jpg": photo}),
        archive({"/abs/1.jpg": photo}),
        archive({"daisy/..\\..\\1.jpg": photo}),
        archive({"daisy/1.jpg": photo})[:-30],
        b"PK\x03\x04" + b"\0" * 100,
        b"",
    ):
        answer = studio.upload(data, "evil.zip")
        assert answer.status in (200, 400), answer.body
        if answer.status == 200:
            assert answer.json()["added"] == 0
    assert not leftovers(studio.folder)
    assert set(counts(studio)) == {"daisy", "dandelion", "roses", "sunflowers", "tulips"}


def test_archive_too_large_when_unpacked_is_refused(studio: StudioClient) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("daisy/bomb.jpg", b"\0" * (300 << 20))
    answer = studio.upload(packed.getvalue(), "bomb.zip").ok()
    assert answer["added"] == 0 and "larger" in answer["skipped"][0][1]


def test_declared_size_above_the_limit_is_refused_before_the_body_is_read(studio: StudioClient) -> None:
    head = (
        f"POST /api/upload?class=daisy&name=a.jpg HTTP/1.1\r\nHost: {studio.host}:{studio.port}\r\n"
        f"Cookie: {studio.cookie}\r\nOrigin: {studio.origin}\r\nX-Poets-Edge: 1\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {300 << 20}\r\n\r\n"
    )
    with socket.create_connection((studio.host, studio.port), timeout=20) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_interrupted_upload_leaves_no_files(studio: StudioClient, photo: bytes) -> None:
    before = contents(studio.folder)
    head = (
        f"POST /api/upload?class=daisy&name=half.jpg HTTP/1.1\r\nHost: {studio.host}:{studio.port}\r\n"
        f"Cookie: {studio.cookie}\r\nOrigin: {studio.origin}\r\nX-Poets-Edge: 1\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {len(photo)}\r\n\r\n"
    )
    with socket.create_connection((studio.host, studio.port), timeout=20) as connection:
        connection.sendall(head.encode() + photo[: len(photo) // 2])
        time.sleep(0.2)
    end = time.monotonic() + 10
    while leftovers(studio.folder) and time.monotonic() < end:
        time.sleep(0.05)
    assert not leftovers(studio.folder) and contents(studio.folder) == before
    assert "daisy/half.jpg" not in studio.photos()


def test_server_start_removes_only_files_of_interrupted_uploads(flowers: Path) -> None:
    incoming = flowers / ".poets-edge/incoming"
    ours = incoming / "0123456789abcdef"
    unpacked = incoming / "fedcba9876543210.photos"
    mixed = incoming / "00112233445566ff.photos"
    foreign = [incoming / "diary.txt", incoming / "holiday/1.jpg", mixed / "diary.txt"]
    for path in (ours, unpacked / "12.part", mixed / "3.part", *foreign):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    with running(flowers):
        assert not ours.exists() and not unpacked.exists() and not (mixed / "3.part").exists()
        assert all(path.read_bytes() == b"content" for path in foreign)


def test_server_start_completes_a_recorded_upload_that_was_interrupted(flowers: Path, photo: bytes) -> None:
    """The server is killed after it has recorded the upload, but before it has moved the photo to its class."""
    uploaded, unpacked = "0123456789abcdef", "fedcba9876543210.photos/1.part"
    before, lines = tree(flowers), []
    for number, (path, name) in enumerate({uploaded: "daisy/up.jpg", unpacked: "roses/up.jpg"}.items(), start=1):
        incoming = f".poets-edge/incoming/{path}"
        (flowers / incoming).parent.mkdir(parents=True, exist_ok=True)
        (flowers / incoming).write_bytes(photo)
        lines.append(
            json.dumps({"number": number, "text": "add 1 photo", "kind": "do", "renames": [[incoming, name]]}) + "\n"
        )
    (flowers / ".poets-edge/journal.jsonl").write_text("".join(lines))
    with running(flowers) as client:
        assert (flowers / "daisy/up.jpg").read_bytes() == (flowers / "roses/up.jpg").read_bytes() == photo
        assert {"daisy/up.jpg", "roses/up.jpg"} <= client.photos().keys() and not leftovers(flowers)
        for _ in range(2):
            client.post("/api/undo").ok()
        assert tree(flowers) == before
