"""Tests of the responses that describe the project, its events and its downloads, with stand-ins for the project."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette

from poets_edge.errors import DatasetError
from poets_edge.studio import app, job_routes
from poets_edge.studio.app import studio_app
from poets_edge.studio.job_reporter import JobProgress
from poets_edge.studio.jobs import Job
from poets_edge.studio.refusal import RefusedError, missing
from poets_edge.studio.security import Access
from tests.studio.event_loop import run_coroutine


def refresh(*, fails: bool = False) -> None:
    if fails:
        raise DatasetError("flowers: moved")


def project(**changes: Any) -> Any:
    fields = {"to_json": lambda: {"name": "flowers"}, "places": None, "version": 3, "refresh": refresh}
    return SimpleNamespace(**{**fields, **changes})


def made(project: Any, *, newest: Job | None = None, origin: str = "http://127.0.0.1:1") -> Starlette:
    unused = dict.fromkeys(("exclude", "include", "keep", "delete", "undo", "redo"))
    changes: Any = SimpleNamespace(undo_text="move 1 photo", redo_text="delete 2 photos", **unused)
    jobs: Any = SimpleNamespace(newest=newest)
    return studio_app(project, changes, jobs, Access("t", (origin,), 1))


def get(application: Starlette, path: str, **request: Any) -> Any:
    """Return the response of the endpoint for a path pattern."""
    endpoints = {route.path: route.endpoint for route in application.routes if "GET" in route.methods}  # type: ignore[attr-defined]
    return run_coroutine(endpoints[path](SimpleNamespace(**request)))


@pytest.mark.parametrize(("origin", "is_lan"), [("http://127.0.0.1:1", False), ("https://192.168.1.2:1", True)])
def test_project_request_returns_the_model_undo_steps_and_available_options(
    monkeypatch: pytest.MonkeyPatch, origin: str, is_lan: bool
) -> None:
    monkeypatch.setattr(app, "model_state", lambda project: {"model": None, "needs_training": True})
    monkeypatch.setattr(app, "offered_networks", lambda: ("net_a", "net_b"))
    monkeypatch.setattr(app, "offered_forms", lambda: ({"form": "int8", "missing": ""},))
    monkeypatch.setattr(app, "BOARDS", [SimpleNamespace(name="board", title="A board")])
    response = get(made(project(), origin=origin), "/api/project")
    assert json.loads(response.body) == {
        "name": "flowers", "model": None, "needs_training": True, "undo": "move 1 photo", "redo": "delete 2 photos",
        "architectures": ["net_a", "net_b"], "takes": [{"form": "int8", "missing": ""}],
        "boards": [["board", "A board"]], "lan": is_lan,
    }  # fmt: skip


def first_events(application: Starlette, count: int) -> list[tuple[str, Any]]:
    """Return the names and the values of the first server-sent events."""
    response = get(application, "/api/events")
    assert response.media_type == "text/event-stream"

    async def read() -> list[bytes]:
        found = []
        async for event in response.body_iterator:
            found.append(event)
            if len(found) == count:
                break
        return found

    lines = [event.decode().splitlines() for event in run_coroutine(read())]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data, _ in lines]


def test_events_contain_the_version_of_the_project_and_the_newest_job() -> None:
    progress = JobProgress(text="training", fraction=0.5, curve=((0, 0.5, None), (10, 0.75, 0.625)))
    job = Job(number="7", kind="train", progress=progress)
    [(first, state), (second, shown)] = first_events(made(project(), newest=job), 2)
    assert (first, state) == ("project", {"version": 3, "problem": ""})
    assert (second, shown) == ("job", job.to_json(curve=True)) and shown["curve"] == [[0, 0.5, None], [10, 0.75, 0.625]]


def test_events_state_why_the_project_cannot_be_read() -> None:
    application = made(project(refresh=lambda: refresh(fails=True)))
    assert first_events(application, 1) == [("project", {"version": 3, "problem": "flowers: moved"})]


def test_only_photos_of_the_project_are_shown() -> None:
    def stamp(name: str) -> str:
        raise missing(name)

    thumbnails = SimpleNamespace(photo=lambda *_: pytest.fail("decoded"), thumbnail=lambda *_: pytest.fail("decoded"))
    other = project(stamp=stamp, thumbnails=thumbnails)
    with pytest.raises(RefusedError) as raised:
        app._photo(other, "a/notes.txt")
    assert raised.value.status == 404
    with pytest.raises(RefusedError):
        app._thumbnail(other, "a/notes.txt", None)


def test_downloads_are_saved_under_the_name_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "web_page.zip").write_bytes(b"PK")
    (tmp_path / "m.tflite").write_bytes(b"TFL3")
    taken: list[Any] = []

    def taken_file(places: object, form: str) -> Path:
        taken.append((places, form))
        return tmp_path / "web_page.zip"

    monkeypatch.setattr(job_routes, "taken_file", taken_file)
    model = SimpleNamespace(file=lambda form: tmp_path / f"{form}.tflite")
    monkeypatch.setattr(job_routes, "current_model", lambda places: model)
    application = made(project(places="places"))
    download = get(application, "/api/take/{form}", path_params={"form": "web"})
    assert taken == [("places", "web")] and download.path == tmp_path / "web_page.zip"
    assert download.headers["content-disposition"] == 'attachment; filename="web_page.zip"'
    file = get(application, "/api/model/{form}.tflite", path_params={"form": "m"})
    assert file.path == tmp_path / "m.tflite" and file.headers["cache-control"] == "no-cache"
    assert "content-disposition" not in file.headers, "the page reads it"
