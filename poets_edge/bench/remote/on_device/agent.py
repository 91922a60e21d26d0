"""The agent, a program that carries out requests on another device. It is sent over ssh and requires only Python.

The agent first writes a marker line, "poets-edge agent 1", to standard output. It then reads requests from standard
input (lines of JSON, some followed by chunks of bytes) and writes one answer for each request: a line of JSON with the
number of the request. Requests do not pass through the login shell of the device, since shells differ in quoting (fish
and sh, for example). Output of the shell before the marker is ignored.

The agent writes to the program's folder only (`own_folder.py`). When standard input ends, or no message arrives
for 60 s (or a time limit set by a request), it kills its child processes, removes partially received files and exits,
so that no process keeps running on the device after the connection is lost.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO, Any

from poets_edge.bench.remote.on_device.chunks import CHUNK, ChunkReader
from poets_edge.bench.remote.on_device.device_description import describe_device
from poets_edge.bench.remote.on_device.own_files import in_home
from poets_edge.bench.remote.on_device.own_folder import OwnFolder
from poets_edge.bench.remote.on_device.own_items import Staging
from poets_edge.bench.remote.on_device.saved_frames import list_frames, read_frame
from poets_edge.bench.remote.on_device.unit_links import is_foreign, link_path, other_deployments, remove_links
from poets_edge.bench.remote.on_device.unpack_wheel import unpack_wheel

MARKER = "poets-edge agent 1"
SILENCE = 60.0
"""Time in seconds after which the agent treats the connection as lost if it has received no message."""

BEAT = b'{"beat": true}\n'
"""Heartbeat message. The agent sends it every 3 s, even while it carries out a request."""
_BEAT_SECONDS = 3.0
_LONGEST_TEXT = 4096
_MOST_TEXTS = 1000

Message = dict[str, Any]


class Agent:
    """Server that answers requests until standard input ends."""

    def __init__(self, requests: IO[bytes], answers: IO[str]) -> None:
        self._requests = requests
        self._answers = answers
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._staging: set[Staging] = set()
        self._folder: OwnFolder | None = None
        self._last = time.monotonic()
        self._silence = SILENCE

    def serve(self) -> None:
        """Answer requests until standard input ends, then exit the process. This method never returns."""
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.end())
        for work in (self._watch, self._beat):
            threading.Thread(target=work, daemon=True).start()
        try:
            while True:
                line = self._requests.readline()
                if not line:
                    break
                self._heard()
                request = json.loads(line)
                if request["do"] == "run":
                    threading.Thread(target=self._answer, args=(request,), daemon=True).start()
                else:
                    self._answer(request)
        except EOFError:
            pass
        finally:
            self.end()

    def end(self) -> None:
        """Kill child processes, remove partially received files, and exit."""
        for child in list(self._children):
            _kill(child)
        for staging in list(self._staging):
            staging.discard()
        os._exit(0)

    def _heard(self) -> None:
        self._last = time.monotonic()

    def _watch(self) -> None:
        while time.monotonic() - self._last < self._silence:
            time.sleep(min(1.0, self._silence / 4))
        self.end()

    def _beat(self) -> None:
        while True:
            time.sleep(_BEAT_SECONDS)
            self._write(BEAT.decode())

    def _answer(self, request: Message) -> None:
        number = request.get("id")
        try:
            answer = getattr(self, f"do_{request['do']}")(request)
        except EOFError:
            raise
        except Exception as error:  # also of files that another program has changed; the host shows it in one line
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            answer = {"error": _cut(reason), "path": _cut(str(getattr(error, "filename", None) or ""))}
        if number is not None:
            self._say({"id": number, "done": True, **(answer or {})})

    def _say(self, message: Message) -> None:
        self._write(json.dumps(message) + "\n")

    def _write(self, line: str) -> None:
        try:
            with self._lock:
                self._answers.write(line)
                self._answers.flush()
        except OSError:
            self.end()

    def do_ping(self, request: Message) -> None:
        """Accept a heartbeat; its value `silence`, if present, is the new time limit for waiting for a message."""
        self._silence = request.get("silence", self._silence)

    def do_facts(self, request: Message) -> Message:
        """Return a description of the device; see `describe_device`."""
        found = describe_device(request["kind"], request["folder"], request["packages"])
        return {**found, "older": _few(found["older"])}

    def do_open(self, request: Message) -> Message:
        """Open the program's folder for this session, and create it if needed; see `OwnFolder.open`."""
        self._folder = OwnFolder(request["folder"])
        return {"left": _few(self._folder.open(adopt=request["adopt"], alone=request["alone"]))}

    def do_have(self, request: Message) -> Message:
        """Return which of the requested folders (`<kind>/<key>`) are complete, and record that they were used."""
        return {"items": self._own.have(request["items"])}

    def do_receive(self, request: Message) -> None:
        """Create a folder atomically from the tar archive that follows the request, and unpack wheels if requested."""
        payload = ChunkReader(self._requests, self._heard)
        try:
            with (
                self._new_item(request["item"]) as staging,
                tarfile.open(fileobj=payload, mode="r|") as archive,  # type: ignore[call-overload]
            ):
                for member in archive:
                    if member.isfile():
                        with staging.create(member.name) as file:
                            shutil.copyfileobj(archive.extractfile(member), file, CHUNK)
                        if request["wheels"]:
                            unpack_wheel(member.name, staging)
        finally:
            payload.drain()

    def do_fetch(self, request: Message) -> None:
        """Run a command that downloads wheels, with `{}` replaced by the path of a folder, and unpack the wheels."""
        with self._new_item(request["item"]) as staging:
            folder = staging.expect("wheels")
            command = [word.replace("{}", folder) for word in request["command"]]
            ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True)
            if ended.returncode:
                raise OSError((ended.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1])
            for name in sorted(os.listdir(folder)):
                unpack_wheel(f"wheels/{name}", staging)
            staging.drop("wheels")

    def do_service(self, request: Message) -> Message:
        """Return the data that were saved about the deployed service; None if no service is deployed."""
        return {"note": self._own.service.read() or None}

    def do_set_service(self, request: Message) -> Message:
        """Write the unit file and the record of a service (see `OwnService`), and return the path of the unit file."""
        self._own.service.write(request["note"], request["text"])
        return {"path": self._own.service.unit_path(request["note"]["unit"])}

    def do_links(self, request: Message) -> Message:
        """Return the path of the link to a unit in systemd's folder, and the folders of other deployments.

        The value `foreign` states whether the path exists but is not a link to the program's unit.
        """
        path = link_path(request["folder"], request["unit"])
        return {
            "path": path,
            "foreign": is_foreign(path, self._own.service.unit_path(request["unit"])),
            "others": _few(other_deployments(request["folder"], request["prefix"], path)),
        }

    def do_unlink(self, request: Message) -> None:
        """Remove any links to a unit file from systemd's folders."""
        remove_links(request["folder"], request["unit"], self._own.service.unit_path(request["unit"]))

    def do_hand_over_linger(self, request: Message) -> None:
        """Make another deployment responsible for disabling lingering when it is removed.

        Lingering lets the user's systemd run without a login. The responsibility is recorded in the other deployment's
        folder.
        """
        other = OwnFolder(request["folder"])
        note = other.service.read()
        if note:
            other.service.write({**note, "lingered": True})

    def do_remove(self, request: Message) -> Message:
        """Remove the program's folder, except files that the program did not create; return their paths."""
        return {"left": _few(self._own.remove())}

    def do_frames(self, request: Message) -> Message:
        """Return the names, as `<label>/<file>`, and the sizes of frames that `watch --collect` saved in a folder."""
        folder = in_home(request["folder"])
        sizes = list_frames(folder)
        return {"folder": folder, "names": list(sizes), "sizes": list(sizes.values())}

    def do_frame(self, request: Message) -> Message:
        """Return the content of a frame that `watch --collect` saved, as base64.

        The request contains the folder and the name of the frame, as returned by `do_frames`.
        """
        content = read_frame(os.path.join(in_home(request["folder"]), request["name"]))
        return {"data": base64.b64encode(content).decode("ascii")}

    def do_run(self, request: Message) -> Message:
        """Run a program, and send each line of its output immediately.

        Return its exit status and the last lines of its standard error.
        """
        child = subprocess.Popen(
            request["command"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **request.get("env", {})},
            start_new_session=True,
        )
        self._children.add(child)
        assert child.stdin and child.stdout and child.stderr
        output, errors = child.stdout, child.stderr
        said: deque[str] = deque(maxlen=50)

        def listen() -> None:
            with errors:
                said.extend(_lines(errors))

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(request.get("input", "").encode())
            child.stdin.close()
        with output:
            for line in _lines(output):
                self._say({"id": request["id"], "line": line})
        status = child.wait()
        listener.join(5)
        self._children.discard(child)
        return {"status": status, "stderr": _few(said)}

    def do_stop(self, request: Message) -> None:
        """Kill all programs that this agent has started."""
        for child in list(self._children):
            _kill(child)

    @property
    def _own(self) -> OwnFolder:
        if self._folder is None:
            raise OSError(0, "no folder is open in this session", "")
        return self._folder

    @contextlib.contextmanager
    def _new_item(self, item: str) -> Iterator[Staging]:
        with self._own.new_item(item) as staging:
            self._staging.add(staging)
            try:
                yield staging
            finally:
                self._staging.discard(staging)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 3]}..."


def _few(texts: Sequence[str] | deque[str]) -> list[str]:
    """Return the first 1000 of the strings, each truncated to 4096 characters, so that the list fits into a message."""
    return [_cut(text) for text in list(texts)[:_MOST_TEXTS]]


def _lines(stream: IO[bytes]) -> Iterator[str]:
    for line in stream:
        yield line.decode(errors="replace").rstrip("\r\n")


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)


def main() -> None:
    """Serve requests on standard input and output; any other output is redirected to standard error."""
    if not os.path.isdir(os.environ.get("HOME", "")):
        # fish garbles umlauts in it where no UTF-8 locale is set; sshd starts a shell in the home folder.
        os.environ["HOME"] = os.getcwd()
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    answers.write(f"\n{MARKER}\n")
    answers.flush()
    Agent(sys.stdin.buffer, answers).serve()


if __name__ == "__main__":
    main()
