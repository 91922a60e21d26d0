"""Tests of the settings of the server, the order of its start, and the conversion of results to responses."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from poets_edge.errors import DatasetError, OutputError, UsageError
from poets_edge.progress import Silent
from poets_edge.studio import app, events, job_routes, server
from poets_edge.studio.answers import answered, as_json
from poets_edge.studio.decoding import Decoded
from poets_edge.studio.page_files import PageFiles
from poets_edge.studio.phone import phone_address
from poets_edge.studio.places import Places
from poets_edge.studio.refusal import RefusedError, missing
from poets_edge.studio.scan import Found
from poets_edge.studio.security import Access
from poets_edge.studio.server import StudioOptions, _bound, _locked, _prepared, _studio, studio
from tests.studio.event_loop import run_coroutine


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(tmp_path / "flowers")
    found.create()
    return found


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the parts of the server, in the order in which they are created."""
    order: list[str] = []

    def part(name: str) -> Any:
        def make(*arguments: Any, **named: Any) -> Any:
            order.append(name)
            return SimpleNamespace(thumbnails=SimpleNamespace(pause="pause"), arguments=arguments, named=named)

        return make

    for name in ("Project", "Changes", "clear_incoming", "Jobs", "studio_app"):
        monkeypatch.setattr(server, name, part(name))
    return order


def test_interrupted_changes_are_completed_before_temporary_uploads_are_removed(
    places: Places, listening: socket.socket, started: list[str]
) -> None:
    options = StudioOptions(folder=places.root, demo=True)
    made = _studio(options, places, "127.0.0.1", None, listening)
    assert started == ["Project", "Changes", "clear_incoming", "Jobs", "studio_app"]
    app: Any = made._server.config.app
    project, _, jobs, access = app.arguments
    assert project.named == {"demo": True} and project.arguments == (places,)
    assert jobs.arguments == (places,) and jobs.named == {"on_change": "pause"}
    port = listening.getsockname()[1]
    assert access.origins == (f"http://127.0.0.1:{port}", f"http://localhost:{port}") and access.port == port
    assert made.url == f"http://127.0.0.1:{port}/?token={access.token}" and len(access.token) == 32


@pytest.mark.parametrize("lan", [False, True])
def test_server_trusts_no_proxy_and_reveals_nothing_about_itself(
    places: Places, listening: socket.socket, started: list[str], lan: bool, tmp_path: Path
) -> None:
    certificate = tmp_path / "cert.pem" if lan else None
    made = _studio(StudioOptions(folder=places.root, lan=lan), places, "192.168.1.2", certificate, listening)
    config: Any = made._server.config
    assert (config.proxy_headers, config.server_header, config.access_log, config.lifespan) == (
        False,
        False,
        False,
        "off",
    )
    assert (config.limit_concurrency, config.timeout_keep_alive, config.timeout_graceful_shutdown) == (500, 20, 1)
    assert (config.ws, config.http, config.loop, config.log_config) == ("none", "h11", "asyncio", None)
    assert config.ssl_certfile == certificate
    origins = config.app.arguments[3].origins
    assert len(origins) == (1 if lan else 2) and all(one.startswith("https:" if lan else "http:") for one in origins)


def test_tokens_differ_between_starts_of_the_server(
    places: Places, listening: socket.socket, started: list[str]
) -> None:
    urls = {_studio(StudioOptions(folder=places.root), places, "127.0.0.1", None, listening).url for _ in range(3)}
    assert len(urls) == 3


@pytest.mark.parametrize("lan", [False, True])
def test_studio_holds_the_project_lock_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[str], lan: bool
) -> None:
    monkeypatch.setattr(server, "network_address", lambda: "127.0.0.1")
    monkeypatch.setattr(server, "certificate_for", lambda host: tmp_path / f"{host}.pem")
    folder = tmp_path / "flowers"
    with studio(StudioOptions(folder=folder, lan=lan), Silent()) as made:
        assert made._server.config.ssl_certfile == (tmp_path / "127.0.0.1.pem" if lan else None)
        with (
            pytest.raises(UsageError, match="another studio works on this folder"),
            studio(StudioOptions(folder=folder), Silent()),
        ):
            pass
    with studio(StudioOptions(folder=folder), Silent()):
        assert started.count("studio_app") == 2


def test_project_lock_is_released_after_an_error(places: Places) -> None:
    for _ in range(2):
        with pytest.raises(KeyError), _locked(places):
            raise KeyError
    assert places.lock.parent == places.own


def test_port_in_use_is_reported(listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    with (
        pytest.raises(UsageError, match=f"cannot serve on 127.0.0.1, port {port}: .*`port`"),
        _bound("127.0.0.1", port),
    ):
        pass
    with pytest.raises(UsageError, match="port 70000"), _bound("127.0.0.1", 70000):
        pass
    with _bound("127.0.0.1", 0) as free:
        assert free.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) and free.proto == socket.IPPROTO_TCP


def test_missing_project_folder_is_created_and_unsuitable_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[Path, int]] = []
    monkeypatch.setattr(server, "draw_photos", lambda folder, per_class, reporter: drawn.append((folder, per_class)))
    monkeypatch.chdir(tmp_path)
    assert _prepared(StudioOptions(folder=Path("new/project")), Silent()) == tmp_path.resolve() / "new/project"
    assert (tmp_path / "new/project").is_dir() and not drawn
    _prepared(StudioOptions(folder=tmp_path / "new/project", demo=True), Silent())
    _prepared(StudioOptions(folder=tmp_path / "absent", demo=True), Silent())
    assert drawn == [(tmp_path / "new/project", 12), (tmp_path / "absent", 12)]
    (tmp_path / "file").touch()
    _prepared(StudioOptions(folder=tmp_path, demo=True), Silent())
    assert len(drawn) == 2, "a folder that contains something is left as it is"
    with pytest.raises(UsageError, match="file: not a folder"):
        _prepared(StudioOptions(folder=tmp_path / "file"), Silent())
    with pytest.raises(OutputError, match="cannot create"):
        _prepared(StudioOptions(folder=tmp_path / "file/below"), Silent())


@pytest.mark.parametrize(
    ("photo", "message"), [("train/daisy/1.jpg", "divided into sets"), ("a/b/1.jpg", "lie deeper")]
)
def test_folder_with_split_folders_or_nested_class_folders_is_refused(tmp_path: Path, photo: str, message: str) -> None:
    for name in (photo, photo.replace("1.jpg", "2.jpg")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\xff\xd8\xff\xe0")
    with contextlib.suppress(DatasetError), pytest.raises(UsageError, match=message):
        _prepared(StudioOptions(folder=tmp_path), Silent())


def test_events_are_sent_for_changes_and_to_detect_closed_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    states: Any = [{"project": {"version": 1}, "job": {"id": "a"}}, {"project": {"version": 2}, "job": {"id": "a"}}]
    polls: list[float] = []

    async def sleep(seconds: float) -> None:
        polls.append(seconds)

    monkeypatch.setattr(events, "asyncio", SimpleNamespace(sleep=sleep))

    async def first(count: int) -> list[bytes]:
        found = []
        async for event in events.state_changes(lambda: states[min(1, len(polls))]):
            found.append(event)
            if len(found) == count:
                return found
        raise AssertionError

    assert run_coroutine(first(5)) == [
        b'event: project\ndata: {"version": 1}\n\n', b'event: job\ndata: {"id": "a"}\n\n',
        b'event: project\ndata: {"version": 2}\n\n', b": \n\n", b": \n\n",
    ]  # fmt: skip
    assert len(polls) == 1 + 75 + 75 and set(polls) == {0.2}


def body(response: Response) -> Any:
    return json.loads(bytes(response.body))


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (RefusedError("no", 409), 409, "no"),
        (RefusedError("no"), 400, "no"),
        (missing("x.jpg"), 404, "x.jpg: not in this project. It may have been moved; load the page again."),
        (DatasetError("bad folder"), 400, "bad folder"),
        (OSError(28, "No space left", "/disk/f"), 507, "/disk/f: No space left."),
        (OSError(28, "No space left"), 507, "the disk: No space left."),
        (ClientDisconnect(), 400, "The request ended early."),
        (KeyError("k"), 500, "A bug in the studio, please report it: KeyError: 'k'"),
    ],
)
def test_errors_become_responses_with_a_one_line_message(error: Exception, status: int, text: str) -> None:
    async def fail(request: Any) -> Response:
        raise error

    request: Any = SimpleNamespace(url=SimpleNamespace(path="/x"))
    response: Any = run_coroutine(answered(fail)(request))  # type: ignore[arg-type]
    assert (response.status_code, body(response)) == (status, {"error": text})


def test_routing_errors_state_the_path_of_the_request() -> None:
    request: Any = SimpleNamespace(url=SimpleNamespace(path="/nothing"))
    response = run_coroutine(app._http_error(request, HTTPException(404)))
    assert (response.status_code, body(response)) == (404, {"error": "/nothing: Not Found."})
    assert bytes(as_json({"a": "é\udcff"}).body) == b'{"a":"\\u00e9\\udcff"}', "ASCII, for any file name"


def test_thumbnails_are_cacheable_only_under_the_current_version_of_the_photo() -> None:
    decoded = Decoded(b"jpeg")
    project: Any = SimpleNamespace(
        stamp=lambda name: "s1",
        thumbnails=SimpleNamespace(thumbnail=lambda name, stamp: decoded, photo=lambda name, side: decoded),
    )
    for version, cache in (("s1", "private, max-age=31536000, immutable"), ("s0", "no-cache"), (None, "no-cache")):
        response = app._thumbnail(project, "a.jpg", version)
        assert (response.headers["cache-control"], response.media_type) == (cache, "image/jpeg")
    assert app._photo(project, "a.jpg").headers["cache-control"] == "no-cache"
    for failed, status in ((Decoded(problem="bad"), 422), (Decoded(problem="bad", gone=True), 404)):
        decoded = failed
        for response in (app._thumbnail(project, "a.jpg", "s1"), app._photo(project, "a.jpg")):
            assert (response.status_code, body(response)) == (status, {"error": "bad"})


def test_photos_are_shown_with_at_most_1600_pixels_a_side() -> None:
    sides: Any = []
    thumbnails = SimpleNamespace(photo=lambda name, side: sides.append(side) or Decoded(b"jpeg"))
    app._photo(SimpleNamespace(stamp=lambda name: "s", thumbnails=thumbnails), "a.jpg")  # type: ignore[arg-type]
    assert sides == [1600]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("index.html", "text/html; charset=utf-8"), ("app.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"), ("lib.wasm", "application/wasm"),
        ("x.tflite", "application/octet-stream"),
        ("x", "application/octet-stream"), ("icon.svg", "image/svg+xml"), ("icon.png", "image/png"),
        ("app.webmanifest", "application/manifest+json"), ("x.json", "application/json"),
    ],
)  # fmt: skip
def test_page_files_are_served_with_the_media_type_of_their_suffix(name: str, kind: str) -> None:
    response = app._bytes(b"content", name, "no-cache")
    assert (response.headers["content-type"], response.headers["cache-control"]) == (kind, "no-cache")


def test_names_that_are_not_files_of_the_web_page_are_refused(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_bytes(b"page")
    (tmp_path / "folder").mkdir()
    pages = PageFiles(tmp_path)
    assert pages.page("index.html") == b"page" and b"use strict" in pages.page("worker.js")
    for name in ("folder", "other", "../index.html"):
        with pytest.raises(RefusedError):
            pages.page(name)
    assert PageFiles().page("worker.js") == pages.page("worker.js")


def test_phone_address_opens_the_requested_step() -> None:
    access = Access("t", ("https://192.168.1.2:8000",), 8000)
    for step, shown in (("try", "try"), ("photos", "photos"), ("", "photos"), ("train", "photos")):
        assert phone_address(access, step)["url"] == f"https://192.168.1.2:8000/?token=t#{shown}"
    with pytest.raises(RefusedError, match="studio --lan") as raised:
        phone_address(Access("t", ("http://127.0.0.1:8000",), 8000), "try")
    assert raised.value.status == 409


def project_with(links: tuple[str, ...] = (), stamps: dict[str, str] | None = None) -> Any:
    found = Found(("a",), stamps or {}, (), links)
    return SimpleNamespace(found=found, places=Places(Path("/x/flowers")), state="s2")


def test_jobs_are_refused_if_the_project_contains_links() -> None:
    job_routes._check_links(project_with())
    for links, shown in ((("a", "b", "c"), "(a, b, c)"), (("a", "b", "c", "d"), "(a, b, c, …)")):
        with pytest.raises(RefusedError) as raised:
            job_routes._check_links(project_with(links))
        assert (
            shown in str(raised.value)
            and str(raised.value).startswith("flowers contains")
            and raised.value.status == 409
        )


@pytest.mark.parametrize(
    ("state", "stamps", "needs_training"),
    [("s1", {}, True), ("s2", {}, False), (None, {}, False), (None, {"a": "1"}, True)],
)
def test_training_is_needed_if_photos_have_changed_since_the_last_training(
    monkeypatch: pytest.MonkeyPatch, state: str | None, stamps: dict[str, str], needs_training: bool
) -> None:
    def current(places: Places) -> Any:
        if state is None:
            raise RefusedError("no model")
        return SimpleNamespace(shown={"accuracy": 0.5}, state=state)

    monkeypatch.setattr(job_routes, "current_model", current)
    found = job_routes.model_state(project_with(stamps=stamps))
    assert found == {"model": None if state is None else {"accuracy": 0.5}, "needs_training": needs_training}


def test_predictions_contain_the_current_names_of_moved_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions = [
        SimpleNamespace(photo="a/1.jpg", stamp="s1", label="a", predicted="b", score=0.12345678),
        SimpleNamespace(photo="a/2.jpg", stamp="gone", label="a", predicted="a", score=1.0),
    ]
    monkeypatch.setattr(job_routes, "current_model", lambda places: SimpleNamespace(predictions=lambda: predictions))
    found = job_routes._predictions(project_with(stamps={"b/moved.jpg": "s1"}))
    assert found == [["b/moved.jpg", "a", "b", 0.123457], ["a/2.jpg", "a", "a", 1.0]]
