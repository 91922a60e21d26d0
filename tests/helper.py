"""A function for helper processes, and its request and answer."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from poets_edge.errors import RemoteError


@dataclass(frozen=True)
class Question:
    """Request: a number; -1 ends the process, -2 raises an error of ours, -3 never returns."""

    number: int


@dataclass(frozen=True)
class Reply:
    number: int
    process: int


def reply(question: Question) -> Reply:
    """Answer with the number and the process."""
    os.write(1, b"printed by a native library")
    if question.number == -1:
        os._exit(3)
    if question.number == -2:
        raise RemoteError("raised in the helper", reason="a test")
    if question.number == -3:
        time.sleep(600)
    return Reply(question.number, os.getpid())


def reply_with_messages(question: Question, send: Callable[[object], None]) -> Reply:
    """Send the numbers below `question.number` as messages, then answer like `reply`."""
    for number in range(question.number):
        send(number)
    return reply(question)


def reply_after_a_program(question: Question, send: Callable[[object], None]) -> Reply:
    """Start a program that runs for a minute, send its process id, and wait for its end."""
    with subprocess.Popen(["sleep", "60"]) as program:
        send(program.pid)
    return reply(question)
