"""The program that runs on the device: it is sent over the connection, and needs nothing there but Python.

Comes in, on standard input: requests, each a line of JSON, some with chunks of bytes behind them. Goes out, on standard
output: a line with MARKER, then answers, each a line of JSON with the request's number. It exists because a device's
login shell may be any (fish quotes otherwise than sh) and may print what it likes: nothing that is asked goes
through a shell, and all that comes before the marker is thrown away.

When standard input ends, or nothing has been heard for a while, it kills what it has started, removes what it was
receiving, and ends: nothing keeps running on a device whose connection was cut.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from typing import IO, Any

MARKER = "poets-edge agent 1"
SILENCE = 60.0
"""Seconds without a word from the other side after which it is taken for gone."""

_CHUNK = 1 << 16
_LEFT_OVER = 3600.0
"""Seconds after which a half received folder is nobody's any more."""
_WHEEL_ROOTS = ("purelib", "platlib")

Message = dict[str, Any]


class Payload:
    """The bytes behind a request: chunks, each after a line with its size, up to a size of 0. For reading once."""

    def __init__(self, source: IO[bytes], heard: Callable[[], None]) -> None:
        self._source = source
        self._heard = heard
        self._left = 0
        self._ended = False

    def read(self, size: int = _CHUNK) -> bytes:
        """Up to `size` bytes; nothing at the end. Raises EOFError where the connection ends first."""
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
        """Skip the rest, so that the next request is found behind it."""
        while self.read():
            pass


class Agent:
    """Answers requests until there are no more."""

    def __init__(self, requests: IO[bytes], answers: IO[str]) -> None:
        self._requests = requests
        self._answers = answers
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._staging: set[str] = set()
        self._last = time.monotonic()
        self._silence = SILENCE

    def serve(self) -> None:
        """Answer; does not return."""
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.end())
        threading.Thread(target=self._watch, daemon=True).start()
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
        """Leave nothing behind, and go."""
        for child in list(self._children):
            _kill(child)
        for path in list(self._staging):
            shutil.rmtree(path, ignore_errors=True)
        os._exit(0)

    def _heard(self) -> None:
        self._last = time.monotonic()

    def _watch(self) -> None:
        while time.monotonic() - self._last < self._silence:
            time.sleep(min(1.0, self._silence / 4))
        self.end()

    def _answer(self, request: Message) -> None:
        number = request.get("id")
        try:
            answer = getattr(self, f"do_{request['do']}")(request)
        except (OSError, zipfile.BadZipFile, tarfile.TarError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            answer = {"error": reason, "path": str(getattr(error, "filename", None) or "")}
        if number is not None:
            self._say({"id": number, "done": True, **(answer or {})})

    def _say(self, message: Message) -> None:
        try:
            with self._lock:
                self._answers.write(json.dumps(message) + "\n")
                self._answers.flush()
        except OSError:
            self.end()

    def do_ping(self, request: Message) -> None:
        """A sign of life; `silence` sets how long one may take to come."""
        self._silence = request.get("silence", self._silence)

    def do_facts(self, request: Message) -> Message:
        """The facts that decide how to install here."""
        folder = os.path.abspath(os.path.expanduser(request["folder"] or _default_folder(request["kind"])))
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
            "free": shutil.disk_usage(_existing(folder)).free,
            "writable": os.access(_existing(folder), os.W_OK),
            "versions": {name: _version(name) for name in request["packages"]},
        }

    def do_have(self, request: Message) -> Message:
        """Which of the paths are there. Those that are count as used now."""
        found = [path for path in request["paths"] if os.path.exists(path)]
        for path in found:
            with contextlib.suppress(OSError):
                os.utime(path)
        return {"paths": found}

    def do_receive(self, request: Message) -> None:
        """Make a folder of the tar archive that follows: seen whole or not at all. Wheels in it are unpacked."""
        payload = Payload(self._requests, self._heard)
        try:
            with (
                self._new_folder(request["folder"]) as staging,
                tarfile.open(fileobj=payload, mode="r|") as archive,  # type: ignore[call-overload]
            ):
                for member in archive:
                    if member.isfile():
                        path = _inside(staging, member.name)
                        with open(path, "wb") as file:
                            shutil.copyfileobj(archive.extractfile(member), file, _CHUNK)
                        if request.get("wheels"):
                            _unpack_wheel(path, staging)
        finally:
            payload.drain()

    def do_file(self, request: Message) -> None:
        """Put the bytes that follow into a file's place at once: a reader sees the old one or the new one."""
        payload = Payload(self._requests, self._heard)
        path = request["path"]
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _tidy(os.path.dirname(path))
            handle, temporary = tempfile.mkstemp(prefix=".incoming-", dir=os.path.dirname(path))
            try:
                with open(handle, "wb") as file:
                    while data := payload.read():
                        file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(temporary, request.get("mode", 0o644))
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
        finally:
            payload.drain()

    def do_folder(self, request: Message) -> Message:
        """Make a new folder by a command that fills it; `{}` in the command is where. Seen whole or not at all."""
        with self._new_folder(request["folder"]) as staging:
            command = [word.replace("{}", staging) for word in request["command"]]
            ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True)
            if ended.returncode:
                raise OSError((ended.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1])
        return {}

    def do_remove(self, request: Message) -> None:
        """Remove files and folders; those that are not there are as wanted. `empty` only if nothing is in it."""
        for path in request["paths"]:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        for path in request.get("empty", []):
            with contextlib.suppress(OSError):
                os.rmdir(path)

    def do_prune(self, request: Message) -> None:
        """Remove what has not been used for `seconds`, out of the folders named."""
        for parent in request["folders"]:
            for entry in os.scandir(parent) if os.path.isdir(parent) else ():
                if entry.path not in request["keep"] and abs(time.time() - entry.stat().st_mtime) > request["seconds"]:
                    shutil.rmtree(entry.path, ignore_errors=True)

    def do_run(self, request: Message) -> Message:
        """Run a program; lines of its standard output are passed on as they come."""
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
        said: deque[str] = deque(maxlen=50)
        listener = threading.Thread(target=lambda: said.extend(_lines(child.stderr)), daemon=True)
        listener.start()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(request.get("input", "").encode())
            child.stdin.close()
        for line in _lines(child.stdout):
            self._say({"id": request["id"], "line": line})
        status = child.wait()
        listener.join(5)
        self._children.discard(child)
        return {"status": status, "stderr": list(said)}

    def do_stop(self, request: Message) -> None:
        """End what runs."""
        for child in list(self._children):
            _kill(child)

    @contextlib.contextmanager
    def _new_folder(self, folder: str) -> Iterator[str]:
        parent = os.path.dirname(folder)
        os.makedirs(parent, exist_ok=True)
        _tidy(parent)
        staging = tempfile.mkdtemp(prefix=".incoming-", dir=parent)
        self._staging.add(staging)
        try:
            yield staging
            os.chmod(staging, 0o755)
            os.sync()  # a device that loses its power now has the whole folder, or none
            try:
                os.rename(staging, folder)
            except OSError:
                if not os.path.isdir(folder):  # else somebody else has just made it
                    raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            self._staging.discard(staging)


def _tidy(folder: str) -> None:
    """Remove what agents that were killed, or lost their power, had begun in a folder."""
    for entry in os.scandir(folder):
        if entry.name.startswith(".incoming-") and abs(time.time() - entry.stat().st_mtime) > _LEFT_OVER:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _lines(stream: IO[bytes] | None) -> Iterator[str]:
    for line in stream or ():
        yield line.decode(errors="replace").rstrip("\r\n")


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)


def _inside(folder: str, name: str) -> str:
    """The path of an archive's member; its folder is made. Raises OSError where it would lie elsewhere."""
    path = os.path.normpath(os.path.join(folder, name))
    if not path.startswith(folder + os.sep):
        raise OSError(f"{name}: not a name for a file in an archive")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def _unpack_wheel(wheel: str, folder: str) -> None:
    """Unpack a wheel as `pip install --target` does, and remove it (PyPA, "Binary distribution format")."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            first, _, rest = member.filename.partition("/")
            if first.endswith(".data"):
                root, _, rest = rest.partition("/")
                if root not in _WHEEL_ROOTS:  # scripts and headers: nobody calls them here
                    continue
            else:
                rest = member.filename
            if rest and not member.is_dir():
                with archive.open(member) as source, open(_inside(folder, rest), "wb") as file:
                    shutil.copyfileobj(source, file, _CHUNK)
    os.unlink(wheel)


def _default_folder(kind: str) -> str:
    variable, usual = {"cache": ("XDG_CACHE_HOME", "~/.cache"), "data": ("XDG_DATA_HOME", "~/.local/share")}[kind]
    return os.path.join(os.environ.get(variable) or usual, "poets-edge")


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
    """Serve on standard input and output. What else prints there gets to standard error."""
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
