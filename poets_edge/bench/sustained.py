"""The command `benchmark --sustained`, which measures the latency of models under load for several minutes.

A small board without a fan heats up and slows down, so the fastest model at the start may not be the fastest model
under sustained load. Each model runs in its own process, and the running time is divided into windows.
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
from poets_edge.core.arguments import check_fields, check_threads
from poets_edge.core.files import distinct_names
from poets_edge.core.processes import Helper
from poets_edge.device.classifier import Classifier
from poets_edge.errors import UsageError
from poets_edge.progress import Reporter, Silent

FORMAT = "poets_edge-sustained-1"
"""Value of the key `format` in the JSON form of a `SustainedResult`."""

_SHORTEST_WINDOW = 0.25
_LONGEST_WINDOW = 5.0
_FEWEST_WINDOWS = 20
_SLOWER = 1.05
"""Minimum ratio of the median latency after a slowdown to that before it; smaller increases are ignored."""

_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, kw_only=True)
class SustainedOptions:
    """Options of `sustain`.

    Attributes:
        models: `.tflite` files, which are measured one after the other.
        seconds: duration of the load for each model, in seconds.
        threads: CPU threads per inference.
        rate: inferences per second, such as the frame rate of a camera; None for full load.
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
        check_threads(self.threads)
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise UsageError(f"`rate` must be above 0, not {self.rate:g}.")


@dataclass(frozen=True)
class Slowdown:
    """Lasting increase in the latency of a model under load.

    Attributes:
        after: time of the increase, in seconds from the start of the load.
        before, since: median latency before and after the increase, in milliseconds.
    """

    after: float
    before: float
    since: float

    @property
    def ratio(self) -> float:
        return self.since / self.before


@dataclass(frozen=True)
class Sustained:
    """Measurements of one model under continuous load, which is divided into time windows.

    Attributes:
        model: path of the model file.
        name: how the model is called in tables.
        windows: latencies and machine state in each time window, in chronological order.
    """

    model: Path
    name: str
    windows: tuple[LoadWindow, ...]

    @property
    def ends(self) -> list[float]:
        """End times of the windows, in seconds from the start of the load."""
        total, found = 0.0, []
        for window in self.windows:
            total += window.seconds
            found.append(total)
        return found

    @property
    def medians(self) -> list[float]:
        """Median latencies in the windows, in milliseconds."""
        return [window.median_ms for window in self.windows]

    @property
    def slowdown(self) -> Slowdown | None:
        """Lasting increase in the latency of the model; None if there is no increase of at least 5 %."""
        place = step_up(self.medians)
        if place is None:
            return None
        before, since = (statistics.median(part) for part in (self.medians[:place], self.medians[place:]))
        return Slowdown(self.ends[place - 1], before, since) if since >= _SLOWER * before else None

    @property
    def late(self) -> int:
        """Number of inferences that were skipped because the model was too slow for the requested rate."""
        return sum(window.late for window in self.windows)

    @property
    def hottest(self) -> float | None:
        """Highest temperature in any window, in °C; None if the system does not report it."""
        return max((t for w in self.windows if (t := w.state.temperature) is not None), default=None)

    @property
    def limits(self) -> tuple[str, ...]:
        """CPU limits, such as "under-voltage", that the firmware of a Raspberry Pi reported during the load."""
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
    """Result of `sustain`.

    Attributes:
        machine: description of the device; see `machine_facts`.
        models: measurements of the models, in the order of `SustainedOptions.models`.
        host: SSH destination of the measured device; "" for this machine.
    """

    machine: dict[str, Any]
    options: SustainedOptions
    models: tuple[Sustained, ...]
    warnings: tuple[str, ...]
    host: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-compatible values."""
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
    """Measure the latency of models under sustained load, one after the other.

    Raises:
        ModelError: a file is not an image classification model, or the process that runs the model ended early.
        RuntimeMissingError: no interpreter is installed.
    """
    reporter = reporter or Silent()
    for model in options.models:
        Classifier(model, unlabeled=True)
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
    """Return the index of the first value after the upward step that fits `values` best.

    The result is None if the median never increases, that is, if no index divides the values into two parts of which
    the second has the higher median. The step minimizes the sum of absolute deviations from the medians of the two
    parts, so that a single outlier in a long series does not count as a step.
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
    """Convert a string such as `10m`, `90s`, `1h` or `30` to a duration in seconds.

    Raises:
        UsageError: the string is not a duration.
    """
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([a-z]*)", text.strip().lower())
    if not match or match[2] not in _UNITS:
        raise UsageError(f"`sustained` {text}: wanted something like 10m, 90s or 1h.")
    return float(match[1]) * _UNITS[match[2]]


def most_windows(options: SustainedOptions) -> int:
    """Return an upper bound on the number of time windows that `sustain` measures per model."""
    return int(options.seconds / _window_length(options)) + 2


def _window_length(options: SustainedOptions) -> float:
    """Return the length of a window in seconds, which depends on the duration and the rate."""
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
    """Return descriptions of disturbances by other programs or virtual machines, one for each kind.

    Heat and throttling are left out, because the load itself causes them.
    """
    found = disturbances_between(before, machine_state(), seconds, options.threads)
    return [f"{name}: {text}" for text in found if "other programs" in text or "hypervisor" in text]
