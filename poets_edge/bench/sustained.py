"""`benchmark --sustained`: latency of models over minutes of load.

A small board without a fan heats up and slows down, and the fastest model of the first seconds may not be the fastest
one then. Each model runs in one process for the whole time, which is divided into windows.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import poets_edge
from poets_edge.bench.load import Load, LoadWindow
from poets_edge.bench.machine import MachineState, disturbances_between, machine_facts, machine_state
from poets_edge.core.arguments import check_fields
from poets_edge.core.files import distinct_names
from poets_edge.core.processes import Helper
from poets_edge.device.classifier import Classifier
from poets_edge.errors import UsageError
from poets_edge.progress import Reporter, Silent

FORMAT = "poets_edge-sustained-1"

_SHORTEST_WINDOW = 0.25
_LONGEST_WINDOW = 5.0
_FEWEST_WINDOWS = 20
_SLOWER = 1.05
"""Ratio of the times after and before a step from which it counts as a slowdown."""

_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, kw_only=True)
class SustainedOptions:
    """Options of `sustain`.

    Attributes:
        models: `.tflite` files, loaded one after the other.
        seconds: of load for each model.
        threads: CPU threads of an inference.
        rate: inferences per second, as of a camera; None for full load.
    """

    models: tuple[Path, ...]
    seconds: float
    threads: int = 1
    rate: float | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.models:
            raise UsageError("no model given. Name a .tflite file, or several.")
        if not 1 <= self.seconds < float("inf"):
            raise UsageError(f"`sustained` must be 1s or more, not {self.seconds:g}s.")
        if self.threads < 1:
            raise UsageError(f"`threads` must be 1 or more, not {self.threads}.")
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise UsageError(f"`rate` must be above 0, not {self.rate:g}.")


@dataclass(frozen=True)
class Slowdown:
    """A lasting increase of latency.

    Attributes:
        after: seconds from the start of the load.
        before, since: milliseconds, median of the windows before and after.
    """

    after: float
    before: float
    since: float

    @property
    def ratio(self) -> float:
        return self.since / self.before


@dataclass(frozen=True)
class Sustained:
    """One model under load.

    Attributes:
        name: for tables.
        windows: in order of time.
    """

    model: Path
    name: str
    windows: tuple[LoadWindow, ...]

    @property
    def ends(self) -> list[float]:
        """End of each window, seconds from the start of the load."""
        total, found = 0.0, []
        for window in self.windows:
            total += window.seconds
            found.append(total)
        return found

    @property
    def medians(self) -> list[float]:
        """Median latency of each window, milliseconds."""
        return [window.median_ms for window in self.windows]

    @property
    def slowdown(self) -> Slowdown | None:
        """The step that fits the times best; None if it is smaller than 5 %."""
        place = step_up(self.medians)
        if place is None:
            return None
        before, since = (statistics.median(part) for part in (self.medians[:place], self.medians[place:]))
        return Slowdown(self.ends[place - 1], before, since) if since >= _SLOWER * before else None

    @property
    def late(self) -> int:
        """Number of inferences that were skipped because the model was too slow for the rate; 0 without a rate."""
        return sum(window.late for window in self.windows)

    @property
    def hottest(self) -> float | None:
        """Highest temperature, °C; None if the system does not report it."""
        return max((t for w in self.windows if (t := w.state.temperature) is not None), default=None)

    @property
    def limits(self) -> tuple[str, ...]:
        """Limits of the CPU in any window, in the words of the Raspberry Pi's firmware."""
        return tuple(sorted({limit for window in self.windows for limit in window.state.throttled or ()}))

    def to_json(self) -> dict[str, Any]:
        slow = self.slowdown
        return {
            "name": self.name,
            "first_ms": self.medians[0],
            "last_ms": self.medians[-1],
            "slowdown": None if slow is None else {**vars(slow), "ratio": slow.ratio},
            "late": self.late,
            "hottest_c": self.hottest,
            "throttled": list(self.limits),
            "windows": [window.to_json() for window in self.windows],
        }


@dataclass(frozen=True)
class SustainedResult:
    """The result of `sustain`.

    Attributes:
        models: in the order of the options.
        host: the device that was measured; "" for this machine.
    """

    machine: dict[str, Any]
    options: SustainedOptions
    models: tuple[Sustained, ...]
    warnings: tuple[str, ...]
    host: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the value as JSON-compatible dictionaries, lists, strings and numbers."""
        return {
            **({"host": self.host} if self.host else {}),
            "format": FORMAT,
            "poets_edge": poets_edge.__version__,
            "machine": self.machine,
            "threads": self.options.threads,
            "seconds": self.options.seconds,
            "rate": self.options.rate,
            "warnings": list(self.warnings),
            "models": [model.to_json() for model in self.models],
        }


def sustain(options: SustainedOptions, reporter: Reporter | None = None) -> SustainedResult:
    """Measure the latency of models under load.

    Raises:
        ModelError: a file is not a model that takes a picture, or its process died.
        RuntimeMissingError: no interpreter is installed.
    """
    reporter = reporter or Silent()
    for model in options.models:
        Classifier(model, unlabelled=True)
    names = distinct_names(options.models)
    facts, found, warnings = machine_facts(), [], []
    for model, name in zip(options.models, names, strict=True):
        before, begin = machine_state(), time.monotonic()
        found.append(Sustained(model, name, _load(options, model, name, reporter)))
        warnings += _disturbances(name, before, time.monotonic() - begin, options)
    for warning in warnings:
        reporter.warn(warning)
    return SustainedResult(facts, options, tuple(found), tuple(warnings))


def step_up(values: Sequence[float]) -> int | None:
    """Return the index at which values step up; None if they do not rise.

    The index minimizes the sum of absolute deviations from the medians before and after; a single outlier is therefore
    not reported as a step.
    """
    best, place = float("inf"), None
    for candidate in range(1, len(values)):
        before, since = values[:candidate], values[candidate:]
        low, high = statistics.median(before), statistics.median(since)
        misfit = sum(abs(value - low) for value in before) + sum(abs(value - high) for value in since)
        if high > low and misfit < best:
            best, place = misfit, candidate
    return place


def parse_duration(text: str) -> float:
    """Return the seconds of text such as `10m`, `90s`, `1h` or `30`. Raises UsageError."""
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([a-z]*)", text.strip().lower())
    if not match or match[2] not in _UNITS:
        raise UsageError(f"`sustained` {text}: wanted something like 10m, 90s or 1h.")
    return float(match[1]) * _UNITS[match[2]]


def most_windows(options: SustainedOptions) -> int:
    """Return the largest number of windows that `sustain` gives for one model."""
    return int(options.seconds / _window_length(options)) + 2


def _window_length(options: SustainedOptions) -> float:
    """Seconds of a window."""
    length = min(max(options.seconds / _FEWEST_WINDOWS / 6, _SHORTEST_WINDOW), _LONGEST_WINDOW)
    return max(length, min(10 / options.rate, options.seconds)) if options.rate else length  # several inferences each


def _load(options: SustainedOptions, model: Path, name: str, reporter: Reporter) -> tuple[LoadWindow, ...]:
    length = _window_length(options)
    windows: list[LoadWindow] = []
    load = Load(model, threads=options.threads, rate=options.rate)
    with (
        Helper(load) as helper,
        reporter.progress(f"{name} under load", round(options.seconds), "s") as advance,
    ):
        elapsed = 0.0
        while elapsed < options.seconds - length / 2:
            window = helper.ask(length, str(model))
            windows.append(window)
            advance(round(elapsed + window.seconds) - round(elapsed))
            elapsed += window.seconds
    return tuple(windows)


def _disturbances(name: str, before: MachineState, seconds: float, options: SustainedOptions) -> list[str]:
    """Describe disturbances by other programs. Heat and throttling are part of the result instead."""
    found = disturbances_between(before, machine_state(), seconds, options.threads)
    return [f"{name}: {text}" for text in found if "other programs" in text or "hypervisor" in text]
