"""HTTP client of a studio that runs in a separate process. It sends the requests that a browser would send."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import selectors
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tests.conftest import ROOT

START_SECONDS = 180
JOB_SECONDS = 180


@dataclass(frozen=True)
class Answer:
    """HTTP response from the studio."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def ok(self) -> Any:
        """Assert that the request was successful, and return the JSON value in the response."""
        assert self.status == 200, f"{self.status}: {self.body[:500]!r}"
        return self.json()

    def refused(self, status: int) -> str:
        """Assert that the request was refused with an HTTP status, and return the error message."""
        assert self.status == status, f"{self.status}: {self.body[:500]!r}"
        error: str = self.json()["error"]
        assert error and len(error.splitlines()) == 1 and "Traceback" not in error
        return error


@dataclass
class StudioClient:
    """Client for a running studio; it sends the studio's token with its requests."""

    process: subprocess.Popen[str]
    url: str
    folder: Path = Path()
    cookie: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        assert parts.hostname and parts.port
        self.host, self.port, self.origin = parts.hostname, parts.port, f"{parts.scheme}://{parts.netloc}"
        entry = self.request("GET", f"/?{parts.query}")
        assert entry.status == 303
        self.cookie = entry.headers["set-cookie"].partition(";")[0]

    @property
    def token(self) -> str:
        return self.url.partition("token=")[2]

    def connection(self) -> http.client.HTTPConnection:
        """Return a new connection to the studio. Over HTTPS, the certificate is not verified."""
        if not self.origin.startswith("https:"):
            return http.client.HTTPConnection(self.host, self.port, timeout=60)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection(self.host, self.port, timeout=60, context=context)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str | None] | None = None,
        *,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """Send a request with the cookie and the origin.

        Args:
            headers: headers that replace those of the same name; the value None removes a header.
            connection: connection to use and keep open; by default a new one, which is closed after the request.
        """
        sent: dict[str, str | None] = {"Cookie": self.cookie or None}
        if method == "POST":
            sent |= {"Origin": self.origin, "X-Poets-Edge": "1", "Content-Type": "application/json"}
        sent |= headers or {}
        used = connection or self.connection()
        try:
            used.request(method, path, body, {name: value for name, value in sent.items() if value is not None})
            answer = used.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            if connection is None:
                used.close()

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, path: str, value: object = None) -> Answer:
        return self.request("POST", path, json.dumps({} if value is None else value).encode())

    def upload(
        self,
        data: bytes,
        name: str,
        label: str | None = None,
        batch: str = "",
        *,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        query = f"name={quote(name, safe='')}"
        query += f"&class={quote(label, safe='')}" if label is not None else ""
        query += f"&batch={batch}" if batch else ""
        headers: dict[str, str | None] = {"Content-Type": "application/octet-stream"}
        return self.request("POST", f"/api/upload?{query}", data, headers, connection=connection)

    def photos(self) -> dict[str, tuple[str, str]]:
        """Return a dictionary with a tuple (stamp, status) for each photo name."""
        return {name: (stamp, status) for name, stamp, status in self.get("/api/photos").ok()["photos"]}

    def wait_for_job(self, number: str, seconds: float = JOB_SECONDS) -> dict[str, Any]:
        """Wait until a job has ended, and return it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            job: dict[str, Any] = next(job for job in self.get("/api/jobs").ok() if job["id"] == number)
            if job["state"] != "running":
                return job
            time.sleep(0.05)
        raise AssertionError(f"job still runs: {job}")

    def run_job(self, **request: Any) -> Any:
        """Run a job, assert that it succeeds, and return its result."""
        number = self.post("/api/jobs", request).ok()["id"]
        job = self.wait_for_job(number)
        assert job["state"] == "done", job
        return self.get(f"/api/jobs/{number}/result").ok()

    def events(self, name: str, until: str) -> Iterator[dict[str, Any]]:
        """Yield the data of server-sent events with the given name, until one has the state `until`."""
        with contextlib.closing(self.connection()) as connection:
            connection.request("GET", "/api/events", headers={"Cookie": self.cookie})
            answer = connection.getresponse()
            event = ""
            for line in answer:
                key, _, value = line.decode().strip().partition(": ")
                if key == "event":
                    event = value
                elif key == "data" and event == name:
                    found = json.loads(value)
                    yield found
                    if found.get("state") == until:
                        return

    def kill(self) -> None:
        """Kill the server process, so that it cannot clean up."""
        self.process.kill()
        self.process.communicate()


def start(
    folder: Path,
    *options: str,
    port: int = 0,
    largest_file: int | None = None,
    environment: dict[str, str] | None = None,
) -> StudioClient:
    """Start a studio on a folder and return its client.

    Args:
        port: port number; 0 selects a free port.
        largest_file: maximum size in bytes of files that the server and its helpers can write, to simulate a full disk.
        environment: additional environment variables.
    """
    return start_command(
        str(folder), *options, cwd=folder.parent, port=port, largest_file=largest_file, environment=environment or {}
    )


def start_command(
    *arguments: str,
    cwd: Path,
    port: int = 0,
    largest_file: int | None = None,
    environment: dict[str, str] | None = None,
) -> StudioClient:
    """Start a studio with the given arguments in a working directory, and return its client."""

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    process = subprocess.Popen(
        [sys.executable, "-m", "poets_edge", "studio", *arguments, "--no-open", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        preexec_fn=limit,
    )
    client = StudioClient(process, _first_line(process))
    client.folder = Path(client.get("/api/project").ok()["folder"])
    return client


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(START_SECONDS):
            process.kill()
            raise AssertionError(f"no address after {START_SECONDS} s: {process.communicate()[1]}")
    line = process.stdout.readline().strip()
    if not line:
        raise AssertionError(process.communicate()[1])
    return line


@contextlib.contextmanager
def running(folder: Path, *options: str, **settings: Any) -> Iterator[StudioClient]:
    """Context manager that starts a studio on a folder, yields its client, and stops the studio with Ctrl-C."""
    with stopping(start(folder, *options, **settings)) as client:
        yield client


@contextlib.contextmanager
def running_command(*arguments: str, cwd: Path) -> Iterator[StudioClient]:
    """Context manager that starts a studio with the given arguments, yields its client, and stops the studio."""
    with stopping(start_command(*arguments, cwd=cwd)) as client:
        yield client


@contextlib.contextmanager
def stopping(client: StudioClient) -> Iterator[StudioClient]:
    """Context manager that stops a studio with Ctrl-C on exit, and checks that it has not printed a traceback."""
    try:
        yield client
    finally:
        if client.process.poll() is None:
            client.process.send_signal(signal.SIGINT)
            try:
                _, errors = client.process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                client.process.kill()
                raise
            assert "Traceback" not in errors, errors
