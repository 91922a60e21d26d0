"""Helper processes, which run a function of this package in a separate Python process.

A helper receives a function once, then any number of requests, and answers each request with the result of the
function. A function that is wrapped in `Messaging` can also send messages before its result. Requests and answers are
frozen dataclasses, sent as pickles, which is safe because both processes run the same program as the same user. If a
helper crashes, only its current request fails, and the program continues. Output that native code prints is kept
separate from the answers.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import poets_edge
from poets_edge.core.orphans import end_with_parent, helper_environment
from poets_edge.errors import ModelError, PoetsEdgeError

_START = f"from {__name__} import serve; serve()"

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class HelperEndedError(ModelError):
    """Raised if a helper process ended without returning an answer.

    Attributes:
        status: exit status of the process; negative if a signal killed it.
        timed_out: whether the process was killed because it exceeded the time limit.
    """

    def __init__(self, message: str, *, status: int = 0, timed_out: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.timed_out = timed_out


@dataclass(frozen=True)
class _Failure:
    """Message that a helper process sends instead of an answer: the exception that its function raised."""

    error: PoetsEdgeError


@dataclass(frozen=True)
class _Message:
    """Message that a helper process sends before its answer to a request."""

    value: object


@dataclass(frozen=True)
class Messaging(Generic[Request, Answer]):
    """Wrapper of a helper function that sends messages, such as progress reports, before it returns its answer.

    Attributes:
        function: picklable function with two arguments: the request, and a function that sends a picklable value as
            a message and may be called from any thread.
    """

    function: Callable[[Request, Callable[[object], None]], Answer]

    def __call__(self, request: Request, send: Callable[[object], None]) -> Answer:
        return self.function(request, send)


class Helper(Generic[Request, Answer]):
    """A helper process, which answers requests one at a time. It ends when the program that started it ends."""

    def __init__(
        self, function: Callable[[Request], Answer] | Messaging[Request, Answer], *, one_core: bool = False
    ) -> None:
        """Start the process.

        Args:
            function: picklable function that maps a request to an answer. It may keep state between requests.
            one_core: whether to limit linear algebra libraries to one thread, because several helpers run concurrently.

        Raises:
            OSError: the process cannot be started.
        """
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        # The last argument is not read; it identifies the process in a list of processes.
        command = [sys.executable, "-c", _START, _module_name(function)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=_environment(one_core),
                start_new_session=True,  # Ctrl-C is handled by the parent only; `kill` ends the whole session
            )
        except OSError:
            self._stderr.close()
            raise
        self._send(function)

    def __enter__(self) -> Helper[Request, Answer]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def process_id(self) -> int:
        return self._process.pid

    def ask(
        self,
        request: Request,
        subject: str,
        *,
        seconds: float | None = None,
        receive: Callable[[Any], None] | None = None,
    ) -> Answer:
        """Send a request to the helper process and return its answer.

        Args:
            request: picklable argument for the function that the process runs.
            subject: what the request is about, such as a path; error messages begin with it.
            seconds: time limit in seconds, after which the process is killed; by default there is none.
            receive: function that is called with each message that a `Messaging` function sends.

        Raises:
            HelperEndedError: the process ended or exceeded the time limit.
            PoetsEdgeError: the exception that the function raised.
        """
        assert self._process.stdout is not None
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self.kill()

        timer = threading.Timer(seconds or 0, expire)
        if seconds is not None:
            timer.start()
        try:
            self._send(request)
            while isinstance(answer := pickle.load(self._process.stdout), _Message):
                if receive is not None:
                    receive(answer.value)
        except (EOFError, pickle.UnpicklingError):
            raise self._ended(subject, seconds if expired.is_set() else None) from None
        finally:
            timer.cancel()
        if isinstance(answer, _Failure):
            raise answer.error
        result: Answer = answer
        return result

    def kill(self) -> None:
        """Kill the process and the programs that it has started; a running `ask` raises HelperEndedError.

        This may be called from any thread.
        """
        if os.name == "posix" and self._process.returncode is None:  # its id cannot belong to another process yet
            with contextlib.suppress(OSError):  # the process has ended
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def close(self) -> None:
        """End the process, even if it is answering a request."""
        self.kill()
        self._process.communicate()
        self._stderr.close()

    def _send(self, value: object) -> None:
        assert self._process.stdin is not None
        try:
            pickle.dump(value, self._process.stdin, pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # `ask` reports the missing answer

    def _ended(self, subject: str, limit: float | None) -> HelperEndedError:
        self.kill()
        status = self._process.wait()
        if limit is not None:
            return HelperEndedError(f"{subject}: no answer after {limit:.0f} seconds.", status=status, timed_out=True)
        self._stderr.seek(0)
        last = (self._stderr.read().decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        how = f"killed by signal {-status}" if status < 0 else f"status {status}"
        return HelperEndedError(
            f"{subject}: the process that works on it ended early ({how}: {last[:200]}).", status=status
        )


def serve() -> None:
    """Read requests from standard input and answer them on standard output, until the end of the input.

    Standard output is first redirected to standard error, because native libraries print to it.
    """
    end_with_parent()
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        function = pickle.load(sys.stdin.buffer)
        lock = threading.Lock()

        def send(value: object) -> None:
            with lock:
                pickle.dump(_Message(value), answers, pickle.HIGHEST_PROTOCOL)
                answers.flush()

        if isinstance(function, Messaging):
            function = partial(function, send=send)
        while True:
            try:
                request = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            try:
                answer = function(request)
            except PoetsEdgeError as error:
                answer = _Failure(_portable(error))
            with lock:
                pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
                answers.flush()


def _portable(error: PoetsEdgeError) -> PoetsEdgeError:
    """Return `error` if it can be pickled, else a PoetsEdgeError with its message."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return PoetsEdgeError(str(error))
    return error


def _module_name(function: Callable[..., Any]) -> str:
    if isinstance(function, Messaging):
        return _module_name(function.function)
    return _module_name(function.func) if isinstance(function, partial) else str(function.__module__)


def _environment(one_core: bool) -> dict[str, str]:
    """Return the environment variables for a helper process; PYTHONPATH includes the folder of this package.

    Args:
        one_core: whether to limit linear algebra libraries to one thread.
    """
    root = str(Path(poets_edge.__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    # With several helpers, linear algebra on all cores in each of them is three times slower, because threads wait.
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} if one_core else {}
    return {**helper_environment(), "PYTHONPATH": path, **threads}
