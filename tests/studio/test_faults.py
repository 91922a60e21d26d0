"""Tests under adverse conditions: killed servers and jobs, full disks, many simultaneous requests."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from poets_edge.demo.draw import draw_photo
from tests.needs import missing
from tests.studio.client import StudioClient, running, start
from tests.studio.test_changes import contents, tree
from tests.studio.test_jobs import helpers

KILLS = int(os.environ.get("POETS_EDGE_KILLS", "12"))  # random ones; tests of recovery kill at every system call
JOB_KILLS = int(os.environ.get("POETS_EDGE_JOB_KILLS", "4"))
CONCURRENT = 100


def change_at_random(client: StudioClient, rng: random.Random, sent: set[bytes]) -> None:
    """Make random changes until the server is killed, and add to `sent` each photo whose upload was confirmed."""
    labels = [one["name"] for one in client.get("/api/project").ok()["classes"]]
    while True:
        photos, label = sorted(client.photos()), rng.choice(labels)
        action = rng.choice(("move", "delete", "exclude", "undo", "redo", "upload"))
        if len(photos) < 4:  # a fast server has deleted the others
            action = rng.choice(("undo", "upload"))
        if action == "upload":
            data = draw_photo("roses", rng.randrange(10**9))
            if client.upload(data, "up.jpg", label).ok()["added"]:
                sent.add(data)
        elif action in ("undo", "redo"):
            client.post(f"/api/{action}")
        else:
            client.post(f"/api/photos/{action}", {"photos": rng.sample(photos, 2), "to": label})


def test_nothing_is_lost_when_server_or_job_is_killed(flowers: Path) -> None:
    rng = random.Random(5)
    before, expected = tree(flowers), contents(flowers)
    for kill in range(KILLS):
        client = start(flowers)
        sent: set[bytes] = set()
        if kill % 3 == 0:
            client.post("/api/jobs", {"kind": "train" if kill % 2 else "audit"}).ok()

        def work(client: StudioClient = client, sent: set[bytes] = sent) -> None:
            with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
                change_at_random(client, rng, sent)

        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(rng.uniform(0.05, 1.0))
        if kill % 3 == 0:
            for pid in helpers(client):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        client.kill()
        thread.join()
        expected += [hash_of(data) for data in sent]
        left = contents(flowers)
        lost = [digest for digest in set(expected) if digest not in left]
        assert not lost, f"kill {kill}: {len(lost)} photos lost"
    with running(flowers) as client:
        assert all(status in ("ok", "excluded") for _, status in client.photos().values())
        assert set(client.photos()) == {name for name, digest in tree(flowers).items() if digest}
        while client.get("/api/project").ok()["undo"] is not None:
            client.post("/api/undo").ok()
        assert tree(flowers) == before
        assert not list((flowers / ".poets-edge/incoming").iterdir())
        assert client.run_job(kind="train", choice="quick")["files"]


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_killed_jobs_leave_the_project_and_the_previous_model_intact(flowers: Path) -> None:
    """Jobs are killed at points that are spread evenly over the duration of a training run."""
    with running(flowers) as client:
        started = time.monotonic()
        client.run_job(kind="train", choice="quick")
        seconds = time.monotonic() - started
        before, model = tree(flowers), client.get("/api/model/int8.tflite").body
        states = Counter[str]()
        for kill in range(JOB_KILLS):
            kind = ("train", "audit", "take")[kill % 3]
            number = client.post("/api/jobs", {"kind": kind, "form": "web"}).ok()["id"]
            time.sleep(seconds * kill / JOB_KILLS)
            for pid in helpers(client):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            job = client.wait_for_job(number)
            states[job["state"]] += 1
            if job["state"] == "failed":
                assert "signal 9" in job["error"] and len(job["error"].splitlines()) == 1
            assert client.get("/api/model/int8.tflite").body == model
            assert client.get("/api/project").ok()["model"]["files"] and tree(flowers) == before
        assert states["failed"] >= JOB_KILLS / 4  # others had ended, or had not begun and were started again
        client.run_job(kind="train", choice="quick")
        assert client.get("/api/model/int8.tflite").body == model
        assert len([folder for folder in (flowers / ".poets-edge/models").iterdir() if folder.name.isdecimal()]) <= 2


@pytest.mark.parametrize("largest", [0, 1_000, 4_000])
def test_full_disk_is_reported_in_one_line_and_no_data_are_lost(flowers: Path, largest: int) -> None:
    before, state = contents(flowers), tree(flowers)
    with running(flowers, largest_file=largest) as client:
        names = sorted(client.photos())
        refused = client.upload(draw_photo("daisy", 777), "new.jpg", "daisy")
        refused.refused(507 if refused.status == 507 else 400)
        statuses = set()
        for number in range(40):
            answer = client.post("/api/photos/move", {"photos": names[number % 6 : number % 6 + 1], "to": "roses"})
            statuses.add(answer.status)
            if answer.status != 200:
                answer.refused(answer.status)
            else:
                client.post("/api/undo")
        assert statuses - {200}, "the journal never became too large"
        if (job := client.post("/api/jobs", {"kind": "train"})).status == 200:
            ended = client.wait_for_job(job.json()["id"])
            assert ended["state"] == "failed" and "Traceback" not in ended["error"]
    assert contents(flowers) == before
    with running(flowers) as client:
        while client.get("/api/project").ok()["undo"] is not None:
            client.post("/api/undo").ok()
        assert tree(flowers) == state


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """File system of 4 MB that a test may fill."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        missing("root may not mount a file system here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system requires root")
def test_full_file_system_is_reported_in_one_line_and_no_data_are_lost(drawn_photos: Path, small_disk: Path) -> None:
    """Uploads, moves, exclusions and training fail on a full file system; everything works when it has space again."""
    project = Path(shutil.copytree(drawn_photos, small_disk / "flowers"))
    before, state = contents(project), tree(project)
    with running(project) as client:
        names = sorted(client.photos())
        filling = small_disk / "filling"
        with filling.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 12))
        messages = [
            client.upload(draw_photo("daisy", 777), "new.jpg", "daisy"),
            client.post("/api/photos/move", {"photos": names[:2], "to": "roses"}),
            client.post("/api/photos/exclude", {"photos": names[:2]}),
            client.post("/api/photos/keep", {"photos": names[:2]}),
            client.post("/api/photos/delete", {"photos": names[:2]}),
            client.post("/api/jobs", {"kind": "train"}),
        ]
        for answer in messages:
            assert "space" in answer.refused(answer.status), answer.body
        assert contents(project) == before and tree(project) == state
        assert client.get("/thumb/daisy/daisy-000.jpg").body[:3] == b"\xff\xd8\xff"
        filling.unlink()
        client.post("/api/photos/move", {"photos": names[:2], "to": "roses"}).ok()
        client.post("/api/undo").ok()
        assert client.get("/api/project").ok()["undo"] is None and tree(project) == state


def test_hundred_simultaneous_requests_are_answered(flowers: Path) -> None:
    before = tree(flowers)
    with running(flowers) as client:
        names = sorted(client.photos())
        paths = ["/api/photos", "/api/project", *(f"/thumb/{name}" for name in names)]

        def ask(number: int) -> int:
            if number % 4 == 0:
                return client.post("/api/photos/move", {"photos": [names[number % 30]], "to": "tulips"}).status
            if number % 4 == 1:
                return client.upload(draw_photo("roses", number), f"{number}.jpg", "roses").status
            return client.get(paths[number % len(paths)]).status

        with ThreadPoolExecutor(CONCURRENT) as pool:
            statuses = list(pool.map(ask, range(CONCURRENT)))
        assert set(statuses) <= {200, 404, 409} and statuses.count(200) >= 60  # a photo may have moved meanwhile
        assert set(client.photos()) == {name for name, digest in tree(flowers).items() if digest}
        while client.get("/api/project").ok()["undo"] is not None:
            client.post("/api/undo").ok()
        assert tree(flowers) == before


def test_idle_connections_do_not_block_the_server(flowers: Path) -> None:
    with running(flowers) as client, contextlib.ExitStack() as stack:
        for _ in range(100):
            connection = http.client.HTTPConnection(client.host, client.port, timeout=30)
            connection.connect()
            stack.callback(connection.close)
        client.get("/api/project").ok()
