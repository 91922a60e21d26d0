"""Kills of commands at each file rename and database commit, or at random moments, with checks of the files."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from random import Random

from tools.crash.points import Point, When
from tools.crash.trial import Trial

_KILLS_PER_CHECK = 5
"""Number of times a command is killed before it is run to completion and its results are checked."""


def every_point(trial: Trial, most: int = 0) -> tuple[int, int, list[str]]:
    """Kill a command before and after each of its renames and commits, and check its files after each kill.

    Args:
        trial: the crash test of the command.
        most: maximum number of kills, evenly spaced; if 0, the maximum set for the command is used.

    Returns:
        The number of renames and commits, the number of kills, and descriptions of the faults.
    """
    command = trial.command
    counter = trial.place / "points"
    trial.runner.run(command.line, trial.begin(), Point(counter, removals=command.removals))
    points = Point(counter).passed()
    whens: tuple[When, ...] = ("before", "after")
    kills = [(number, when) for number in range(1, points + 1) for when in whens]
    most = most or command.most or len(kills)
    if len(kills) > most:
        kills = [kills[index * (len(kills) - 1) // (most - 1)] for index in range(most)]
    done, wrong = 0, []
    with suppress(KeyboardInterrupt):
        for number, when in kills:
            status, _ = trial.runner.run(command.line, trial.begin(), Point(counter, number, when, command.removals))
            faults = [*trial.after_kill(), *trial.after_next()]
            done += status == -signal.SIGKILL
            wrong += [f"{command.name}, {when} point {number} of {points}: {fault}" for fault in faults]
    return points, done, wrong


def random_kills(
    trials: list[Trial], count: int, seed: int, seconds: float = math.inf
) -> tuple[Counter[str], list[str]]:
    """Kill commands at random moments; return the number of kills by command name, and descriptions of the faults.

    Args:
        trials: crash tests of the commands to choose from.
        count: total number of kills.
        seed: seed of the random number generator.
        seconds: time limit in seconds, after which no command is started.
    """
    rng, wrong = Random(seed), []
    end = time.monotonic() + seconds
    killed: Counter[str] = Counter()
    since = dict.fromkeys([trial.command.name for trial in trials], 0)

    def kill(trial: Trial) -> list[str]:
        name = trial.command.name
        if not since[name] or trial.command.once:
            trial.begin()
        process = trial.runner.start(trial.command.line, trial.torn)
        try:
            process.communicate(timeout=rng.uniform(0.02, 1.0) * trial.seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            killed[name] += 1
        faults = trial.after_kill()
        since[name] += 1
        if since[name] == _KILLS_PER_CHECK or trial.command.once:
            faults += trial.after_next()
            since[name] = 0
        return faults

    with suppress(KeyboardInterrupt):
        while killed.total() < count and time.monotonic() < end:
            [trial] = rng.choices(trials, [trial.command.share for trial in trials])
            wrong += [f"{trial.command.name}, kill {killed.total()}: {fault}" for fault in kill(trial)]
    for trial in trials:
        if since[trial.command.name]:
            wrong += [f"{trial.command.name}, in the end: {fault}" for fault in trial.after_next()]
    return killed, wrong
