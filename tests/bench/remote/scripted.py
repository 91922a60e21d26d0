"""Fake connections to devices, whose answers a test prescribes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any

from poets_edge.bench.remote.answers import Ended, Facts
from poets_edge.bench.remote.limits import LIMITS
from poets_edge.errors import RemoteError

MACHINE: dict[str, Any] = {
    "kind": "Machine", "board": None, "cpu": "a CPU", "architecture": "aarch64", "cores": 4, "governor": None,
    "max_frequency_mhz": None, "memory_mb": 1024, "system": "Linux", "python": "3.11.2",
    "interpreter": "ai_edge_litert", "interpreter_version": "1.2", "emulated": False,
}  # fmt: skip
"""Message with the description of the device, as JSON values."""


def facts(**changes: Any) -> Facts:
    """Return the description of a 64-bit Raspberry Pi on which nothing is installed; arguments replace some values."""
    values: dict[str, Any] = {
        "python": (3, 11, 2), "executable": "/usr/bin/python3", "bits": 64, "machine": "aarch64", "system": "Linux",
        "libc": "glibc 2.36", "host": "pi", "home": "/home/pi", "user": "pi", "uid": 1000, "config": None,
        "runtime": None, "boot": "", "time": 0.0, "folder": "/home/pi/.cache/poets-edge", "usual": False,
        "state": "missing", "older": (), "free": 10**12, "writable": True, "versions": {},
    }  # fmt: skip
    return Facts(**{**values, **changes})


class ScriptedConnection:
    """Fake connection whose answers are prescribed.

    Args:
        answers: answers by the name of the request. Exceptions are raised; functions are called with the request.
        programs: function that returns the status and the lines of output of a program, given its command.

    Attributes:
        asked: requests that were sent, as tuples (name, values).
        commands: commands of the programs that were run.
    """

    host = "pi"
    limits = LIMITS

    def __init__(
        self,
        answers: dict[str, Any] | None = None,
        programs: Callable[[Sequence[str]], tuple[int, list[str]]] | None = None,
    ) -> None:
        self._answers, self._programs = answers or {}, programs
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.commands: list[list[str]] = []

    def ask(self, do: str, answer: type, /, *, seconds: float | None = None, **request: Any) -> Any:
        self.asked.append((do, request))
        found = self._answers.get(do)
        if isinstance(found, Exception):
            raise found
        return found(request) if callable(found) else found

    def run(self, command: Sequence[str], **_: Any) -> tuple[Ended, list[str]]:
        self.commands.append(list(command))
        status, lines = self._programs(command) if self._programs else (0, [])
        return Ended(status, tuple(lines) if status else ()), [] if status else lines

    def invalid_answer(self, detail: str) -> RemoteError:
        return RemoteError(f"pi: refused ({detail})")


class OpenConnection(ScriptedConnection):
    """Fake connection that is used as a context manager."""

    def __enter__(self) -> OpenConnection:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def installed(
    connection: ScriptedConnection, messages: Sequence[dict[str, Any]] = (), ended: Ended | None = None, **changes: Any
) -> Any:
    """Return an installation that sends prescribed messages when one of its modules is run.

    Args:
        changes: values that replace those that `facts` returns.
    """

    def run(module: str, *, text: str, line: Callable[[str], object], pause: float) -> Ended:
        for message in messages:
            line(json.dumps(message))
        return ended or Ended(0, ())

    return SimpleNamespace(
        connection=connection, host="pi", folder=PurePosixPath("/home/pi/.cache/poets-edge"), facts=facts(**changes),
        environment={}, run=run, items=(), python="/usr/bin/python3",
    )  # fmt: skip
