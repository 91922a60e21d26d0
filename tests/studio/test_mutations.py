"""Tests of the requests that change a project, with stand-ins for the project and its changes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from poets_edge.studio import job_routes, mutations
from poets_edge.studio.jobs import Job, State
from poets_edge.studio.mutations import mutation_routes
from poets_edge.studio.refusal import RefusedError
from poets_edge.studio.uploads import Received, Upload
from tests.studio.event_loop import run_coroutine


class Changes:
    """Stand-in for `Changes`, which records the calls of its methods."""

    undo_text, redo_text = "undo it", None

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def record(*arguments: Any) -> Any:
            self.calls.append((name, *arguments))
            return "step", {"a/1.jpg": "b/1.jpg"}

        return record


@pytest.fixture
def changes() -> Changes:
    return Changes()


def send(changes: Changes, path: str, *parts: bytes, **request: Any) -> Any:
    async def stream() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    project: Any = SimpleNamespace(version=7)
    made: Any = SimpleNamespace(stream=stream, **request)
    routes = mutation_routes(project, changes)  # type: ignore[arg-type]
    response: Any = run_coroutine(routes[path](made))  # type: ignore[arg-type]
    return json.loads(bytes(response.body))


STATE = {"version": 7, "undo": "undo it", "redo": None}


@pytest.mark.parametrize(
    ("path", "body", "call"),
    [
        ("/api/classes", {"add": "a"}, ("add_class", "a")),
        ("/api/classes", {"rename": "a", "to": "b"}, ("rename_class", "a", "b")),
        ("/api/classes", {"remove": "a", "add": None}, ("remove_class", "a")),
        ("/api/photos/exclude", {"photos": ["a/1.jpg"]}, ("exclude", ["a/1.jpg"])),
        ("/api/photos/include", {"photos": ["a/1.jpg"]}, ("include", ["a/1.jpg"])),
        ("/api/photos/keep", {"photos": ["a/1.jpg"]}, ("keep", ["a/1.jpg"])),
        ("/api/photos/delete", {"photos": ["a/1.jpg"]}, ("delete", ["a/1.jpg"])),
        ("/api/undo", {}, ("undo",)),
        ("/api/redo", {}, ("redo",)),
    ],
)
def test_each_request_path_calls_the_corresponding_change_of_the_project(
    changes: Changes, path: str, body: dict[str, Any], call: tuple[Any, ...]
) -> None:
    text = json.dumps(body).encode()
    assert send(changes, path, text[:3], text[3:]) == STATE and changes.calls == [call]


def test_move_request_returns_the_new_names_of_the_photos(changes: Changes) -> None:
    found = send(changes, "/api/photos/move", json.dumps({"photos": ["a/1.jpg"], "to": "b"}).encode())
    assert found == {**STATE, "moved": {"a/1.jpg": "b/1.jpg"}} and changes.calls == [("move", ["a/1.jpg"], "b")]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/classes", b"{}"),
        ("/api/classes", b'{"add": "a", "remove": "b"}'),
        ("/api/classes", b'{"rename": "a"}'),
        ("/api/classes", b'{"add": 3}'),
        ("/api/photos/move", b'{"photos": [], "to": "b"}'),
        ("/api/photos/exclude", b'{"photos": "a"}'),
        ("/api/photos/keep", b'{"photos": []}'),
        ("/api/undo", b"[]"),
        ("/api/undo", b"{"),
        ("/api/undo", b"\xff"),
    ],
)
def test_invalid_requests_change_nothing(changes: Changes, path: str, body: bytes) -> None:
    with pytest.raises(RefusedError):
        send(changes, path, body)
    assert changes.calls == []


def test_size_of_requests_is_limited(changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutations, "_LARGEST_BODY", 4)
    assert send(changes, "/api/undo", b"{}", b"  ") == STATE
    with pytest.raises(RefusedError) as raised:
        send(changes, "/api/undo", b"{}", b"   ")
    assert raised.value.status == 413 and len(changes.calls) == 1


@pytest.mark.parametrize(("length", "size"), [("12", 12), ("", None), ("-1", None)])
def test_uploads_are_described_by_query_parameters_and_content_length(
    changes: Changes, monkeypatch: pytest.MonkeyPatch, length: str, size: int | None
) -> None:
    received: list[Upload] = []

    async def receive(project: object, changes: object, upload: Upload, body: object) -> Received:
        received.append(upload)
        return Received(None, 3, (("x", "reason"),))

    monkeypatch.setattr(mutations, "receive", receive)
    query = {"name": "n" * 5000, "class": "a", "batch": "b" * 80}
    headers = {"content-length": length} if length else {}
    found = send(changes, "/api/upload", query_params=query, headers=headers)
    assert found == {**STATE, "added": 3, "skipped": [["x", "reason"]]}
    assert received == [Upload("n" * 4096, "a", "b" * 64, size)]
    send(changes, "/api/upload", query_params={}, headers={})
    assert received[1] == Upload("", None, "", None)


@pytest.mark.parametrize(("kind", "reads_photos"), [("train", True), ("audit", True), ("grid", True), ("take", False)])
def test_jobs_are_started_with_the_state_of_the_photos_after_a_scan(
    monkeypatch: pytest.MonkeyPatch, kind: str, reads_photos: bool
) -> None:
    made: list[Any] = []
    checked: list[Any] = []
    project: Any = SimpleNamespace(state="old", places=SimpleNamespace(root="root"))

    def refresh(*, now: bool) -> None:
        project.state = "new" if now else "old"

    def start(make: Callable[[str], Any]) -> Any:
        made.append(make("7"))
        return SimpleNamespace(number="7")

    project.refresh = refresh
    monkeypatch.setattr(job_routes, "_check_links", checked.append)
    monkeypatch.setattr(job_routes, "job_request", lambda *given: SimpleNamespace(kind=kind, given=given))

    async def stream() -> AsyncIterator[bytes]:
        yield json.dumps({"kind": kind}).encode()

    posts = job_routes.job_posts(project, SimpleNamespace(start=start, cancel=made.append))  # type: ignore[arg-type]
    response: Any = run_coroutine(posts["/api/jobs"](SimpleNamespace(stream=stream)))  # type: ignore[arg-type]
    assert json.loads(response.body) == {"id": "7"}
    assert made[0].given == ({"kind": kind}, "root", "7", "new") and checked == [project] * reads_photos
    run_coroutine(posts["/api/jobs/{number}/cancel"](SimpleNamespace(path_params={"number": "8"})))  # type: ignore[arg-type]
    assert made[1] == "8"


def test_only_finished_jobs_have_a_result() -> None:
    jobs = {state: Job(number="1", kind="audit", state=state, result={"a": 1}) for state in get_args(State)}
    project: Any = SimpleNamespace(places=None)
    gets = job_routes.job_gets(project, SimpleNamespace(find=jobs.get, all=lambda: [jobs["done"]]))  # type: ignore[arg-type]

    def result(state: str) -> Any:
        request: Any = SimpleNamespace(path_params={"number": state})
        response: Any = run_coroutine(gets["/api/jobs/{number}/result"](request))  # type: ignore[arg-type]
        return json.loads(response.body)

    assert result("done") == {"a": 1}
    for state in ("running", "failed", "canceled"):
        with pytest.raises(RefusedError, match=f"The job is {state}") as raised:
            result(state)
        assert raised.value.status == 409
