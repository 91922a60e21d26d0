"""Functions that tests run in helper processes, and the classes of their requests and replies."""

from __future__ import annotations

import contextlib
import os
import pickle
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from poets_edge.errors import PoetsEdgeError, RemoteError


@dataclass(frozen=True)
class Question:
    """Request with a number; -1 ends the helper process, -2 raises a RemoteError, and -3 sleeps for ten minutes."""

    number: int


@dataclass(frozen=True)
class Reply:
    number: int
    process: int


def reply(question: Question) -> Reply:
    """Return the number in the question and the id of this process, after printing text as a native library might."""
    os.write(1, b"printed by a native library")
    if question.number == -1:
        os._exit(3)
    if question.number == -2:
        raise RemoteError("raised in the helper", reason="a test")
    if question.number == -3:
        time.sleep(600)
    return Reply(question.number, os.getpid())


def reply_with_messages(question: Question, send: Callable[[object], None]) -> Reply:
    """Send the numbers below `question.number` as messages, then return the same reply as `reply`."""
    for number in range(question.number):
        send(number)
    return reply(question)


def reply_after_a_program(question: Question, send: Callable[[object], None]) -> Reply:
    """Start a program that runs for a minute, send its process id, wait for its end, and reply."""
    with subprocess.Popen(["sleep", "60"]) as program:
        send(program.pid)
    return reply(question)


THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


def thread_variables(question: Question) -> tuple[str, ...]:
    """Return the values of the environment variables that limit the threads of linear algebra."""
    return tuple(os.environ.get(name, "") for name in THREAD_VARIABLES)


class LockedError(PoetsEdgeError):
    """Exception that cannot be pickled, because it contains a lock."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


def raise_error_with_a_lock(question: Question) -> Reply:
    """Raise an exception that cannot be pickled, unless the number is 0."""
    if question.number:
        raise LockedError(f"holds a lock {question.number}")
    return Reply(0, os.getpid())


def print_and_exit(question: Question) -> Reply:
    """Print two lines to standard error, and end the process with status 5."""
    os.write(2, f"first line\nlast line {question.number}\n".encode())
    os._exit(5)


class TwoArgumentsError(PoetsEdgeError):
    """Exception that can be pickled but not restored, because its message is the only argument that is stored."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first}, {second}")


def raise_error_with_two_arguments(question: Question) -> Reply:
    """Raise an exception that cannot be restored from its pickle, unless the number is 0."""
    if question.number:
        raise TwoArgumentsError(f"first {question.number}", "second")
    return Reply(0, os.getpid())


def reply_in_part(question: Question) -> Reply:
    """Write the first half of a reply to the pipe for answers, and end the process with status 6."""
    content = pickle.dumps(Reply(question.number, os.getpid()), pickle.HIGHEST_PROTOCOL)
    for descriptor in range(3, 20):
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.write(descriptor, content[: len(content) // 2])
    os._exit(6)
