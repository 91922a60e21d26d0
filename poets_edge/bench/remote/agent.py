"""The agent, a program that carries out requests on another device. It is sent over ssh and requires only Python.

The agent first writes a line with MARKER to standard output. It then reads requests from standard input (lines of JSON,
some followed by chunks of bytes) and writes one answer for each request: a line of JSON with the number of the request.
Requests do not pass through the login shell of the device, since shells differ in quoting (fish and sh, for example).
Output of the shell before the marker is ignored.

The agent writes to the program's folder only (`own_folder.py`). When standard input ends, or after SILENCE seconds
without a message, it kills its child processes, removes partially received files and exits, so that no process keeps
running on the device after the connection is lost.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import platform
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from poets_edge.bench.remote.own_folder import NAME, OwnFolder, older_deployment
from poets_edge.bench.remote.own_items import Staging

MARKER = "poets-edge agent 1"
SILENCE = 60.0
"""Time in seconds after which the agent treats the connection as lost if it has received no message."""

BEAT = b'{"beat": true}\n'
"""Heartbeat message. The agent sends it every 3 s, even while it carries out a request."""
_BEAT_SECONDS = 3.0
_LONGEST_TEXT = 4096
_MOST_TEXTS = 1000
_CHUNK = 1 << 16
_FRAME = re.compile(r"collected-\d{8}-\d{6}-\d{5,}\.jpg")
"""Pattern for the names of the files that `watch --collect` writes."""
_MOST_FRAMES = 10_000
_LARGEST_FRAME = 8 << 20
_WHEEL_ROOTS = ("purelib", "platlib")

Message = dict[str, Any]


class Payload:
    """Stream of the bytes that follow a request, in chunks. Each follows a line with its size; size 0 is the end."""

    def __init__(self, source: IO[bytes], heard: Callable[[], None]) -> None:
        self._source = source
        self._heard = heard
        self._left = 0
        self._ended = False

    def read(self, size: int = _CHUNK) -> bytes:
        """Return up to `size` bytes, or b"" at the end. Raises EOFError if the connection is lost before the end."""
        if not self._left and not self._ended:
            line = self._source.readline()
            if not line:
                raise EOFError
            self._left = int(line)
            self._ended = self._left == 0
        if self._ended:
            return b""
        data = self._source.read(min(size, self._left))
        if not data:
            raise EOFError
        self._heard()
        self._left -= len(data)
        return data

    def drain(self) -> None:
        """Discard the remaining bytes, so that the next request can be read."""
        while self.read():
            pass


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
        """Receive a heartbeat. Its value `silence`, if present, is the new limit for the time without a message."""
        self._silence = request.get("silence", self._silence)

    def do_facts(self, request: Message) -> Message:
        """Return facts about the device, such as its system, Python and free disk space, with the keys of `Facts`."""
        usual = _usual_folder(request["kind"])
        parent = _in_home(request["folder"]) if request["folder"] else os.path.dirname(usual)
        folder = os.path.join(os.path.realpath(parent), NAME)
        older = [path for place in dict.fromkeys((parent, folder)) for path in older_deployment(place)]
        return {
            "python": list(sys.version_info[:3]),
            "executable": sys.executable,
            "bits": 8 * struct.calcsize("P"),
            "machine": platform.machine(),
            "system": platform.system(),
            "libc": _libc(),
            "host": platform.node(),
            "home": os.path.expanduser("~"),
            "user": _user(),
            "uid": os.getuid(),
            "config": os.environ.get("XDG_CONFIG_HOME"),
            "runtime": os.environ.get("XDG_RUNTIME_DIR"),
            "boot": _text("/proc/sys/kernel/random/boot_id"),
            "time": time.time(),
            "folder": folder,
            "usual": folder == os.path.join(os.path.realpath(os.path.dirname(_usual_folder("data"))), NAME),
            "state": OwnFolder(folder).state,
            "older": _few(older),
            "free": shutil.disk_usage(_existing(folder)).free,
            "writable": os.access(_existing(folder), os.W_OK),
            "versions": {name: _version(name) for name in request["packages"]},
        }

    def do_open(self, request: Message) -> Message:
        """Open the program's folder for this session, and create it if needed; see `OwnFolder.open`."""
        self._folder = OwnFolder(request["folder"])
        return {"left": _few(self._folder.open(adopt=request["adopt"], alone=request["alone"]))}

    def do_have(self, request: Message) -> Message:
        """Return those of the requested folders (`<kind>/<key>`) that are complete, and record that they were used."""
        return {"items": self._own.have(request["items"])}

    def do_receive(self, request: Message) -> None:
        """Create a folder atomically from the tar archive that follows the request, and unpack wheels if requested."""
        payload = Payload(self._requests, self._heard)
        try:
            with (
                self._new_item(request["item"]) as staging,
                tarfile.open(fileobj=payload, mode="r|") as archive,  # type: ignore[call-overload]
            ):
                for member in archive:
                    if member.isfile():
                        with staging.create(member.name) as file:
                            shutil.copyfileobj(archive.extractfile(member), file, _CHUNK)
                        if request["wheels"]:
                            _unpack_wheel(member.name, staging)
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
                _unpack_wheel(f"wheels/{name}", staging)
            staging.drop("wheels")

    def do_service(self, request: Message) -> Message:
        """Return the record of the deployed service from the program's folder; None if no service is deployed."""
        return {"note": self._own.service() or None}

    def do_set_service(self, request: Message) -> Message:
        """Write the unit file of a service, record the deployment, and return the path of the unit file."""
        self._own.set_service(request["note"], request["text"])
        return {"path": self._own.unit_path(request["note"]["unit"])}

    def do_links(self, request: Message) -> Message:
        """Return the path of the link to a unit in systemd's folder, and whether a different file exists at this path.

        The answer also contains the folders of other deployments of the program.
        """
        path = os.path.join(request["folder"], f"{request['unit']}.service")
        others = []
        for entry in os.scandir(request["folder"]) if os.path.isdir(request["folder"]) else ():
            if entry.path != path and entry.name.startswith(request["prefix"]) and entry.is_symlink():
                folder = os.path.dirname(os.path.dirname(os.readlink(entry.path)))
                if os.path.basename(folder) == NAME and OwnFolder(folder).state == "ours":
                    others.append(folder)
        own = os.path.islink(path) and os.readlink(path) == self._own.unit_path(request["unit"])
        return {"foreign": os.path.lexists(path) and not own, "path": path, "others": _few(others)}

    def do_unlink(self, request: Message) -> None:
        """Remove any links to a unit file from systemd's folders."""
        target = self._own.unit_path(request["unit"])
        for folder in (request["folder"], os.path.join(request["folder"], "default.target.wants")):
            path = os.path.join(folder, f"{request['unit']}.service")
            if os.path.islink(path) and os.readlink(path) == target:
                os.unlink(path)

    def do_give_linger(self, request: Message) -> None:
        """Record in another deployment by the same user that its removal must disable lingering."""
        other = OwnFolder(request["folder"])
        note = other.service()
        if note:
            other.set_service({**note, "lingered": True})

    def do_remove(self, request: Message) -> Message:
        """Remove the program's folder. Return the paths of files that are kept because other programs created them."""
        return {"left": _few(self._own.remove())}

    def do_frames(self, request: Message) -> Message:
        """Return the names (`<label>/<file>`) and sizes in bytes of frames that `watch --collect` saved in a folder."""
        folder = _in_home(request["folder"])
        found = {}
        for entry in os.scandir(folder):
            for file in os.scandir(entry.path) if entry.is_dir(follow_symlinks=False) else ():
                if _FRAME.fullmatch(file.name) and file.is_file(follow_symlinks=False):
                    found[f"{entry.name}/{file.name}"] = file.stat(follow_symlinks=False).st_size
        names = sorted(found)[:_MOST_FRAMES]
        return {"folder": folder, "names": names, "sizes": [found[name] for name in names]}

    def do_frame(self, request: Message) -> Message:
        """Return the content of a frame that `watch --collect` saved, as base64.

        The request contains the folder and the name of the frame, as returned by `do_frames`.
        """
        path = os.path.join(_in_home(request["folder"]), request["name"])
        if not _FRAME.fullmatch(os.path.basename(path)):
            raise OSError(0, "not a frame that this program has saved", path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            return {"data": base64.b64encode(file.read(_LARGEST_FRAME)).decode("ascii")}

    def do_run(self, request: Message) -> Message:
        """Run a program, and send each line of its output immediately. Return its exit status and last error lines."""
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
    """Return the first 1000 of `texts`, each truncated to 4096 characters, so that they fit into a message."""
    return [_cut(text) for text in list(texts)[:_MOST_TEXTS]]


def _lines(stream: IO[bytes]) -> Iterator[str]:
    for line in stream:
        yield line.decode(errors="replace").rstrip("\r\n")


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)


def _unpack_wheel(wheel: str, staging: Staging) -> None:
    """Unpack a wheel (PyPA, "Binary distribution format") as `pip install --target` does, then delete it."""
    with zipfile.ZipFile(os.path.join(staging.path, wheel)) as archive:
        for member in archive.infolist():
            first, _, rest = member.filename.partition("/")
            if first.endswith(".data"):
                root, _, rest = rest.partition("/")
                if root not in _WHEEL_ROOTS:  # scripts and headers are not needed here
                    continue
            else:
                rest = member.filename
            if rest and not member.is_dir():
                with archive.open(member) as source, staging.create(rest) as file:
                    shutil.copyfileobj(source, file, _CHUNK)
    staging.drop(wheel)


def _in_home(folder: str) -> str:
    """Return the absolute path of a folder; relative paths are resolved against the home folder, as by scp."""
    return os.path.normpath(os.path.join(os.path.expanduser("~"), os.path.expanduser(folder)))


def _usual_folder(kind: str) -> str:
    variable, usual = {"cache": ("XDG_CACHE_HOME", "~/.cache"), "data": ("XDG_DATA_HOME", "~/.local/share")}[kind]
    return os.path.join(os.path.expanduser(os.environ.get(variable) or usual), NAME)


def _existing(path: str) -> str:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        return ""


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


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
