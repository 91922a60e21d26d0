"""Run a model under sustained load in a helper process, and measure its inference times in time windows."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.bench.machine import MachineState, machine_state
from poets_edge.bench.timing import NOT_NEGATIVE, POSITIVE
from poets_edge.bench.worker import sample_photo
from poets_edge.core.json_checks import COUNT, Check, check
from poets_edge.device.classifier import Classifier
from poets_edge.photos.image import read_photo
from poets_edge.tflite.interpreter import find_runtime

_MAX_SAMPLES = 1000
"""Maximum number of inference times stored per window; longer series are thinned out evenly."""

_SHAPE = {
    "seconds": POSITIVE,
    "runs": COUNT,
    "late": COUNT,
    "median_ms": POSITIVE,
    "p90_ms": POSITIVE,
    "samples_ms": Check([NOT_NEGATIVE], f"at most {_MAX_SAMPLES} times", lambda samples: len(samples) <= _MAX_SAMPLES),
    "state": dict,
}


@dataclass(frozen=True, kw_only=True)
class LoadWindow:
    """Measurements of the inferences in one time window.

    Attributes:
        seconds: length of the window in seconds.
        runs: number of inferences.
        late: number of inferences that were skipped because the model was too slow for the requested rate.
        median_ms, p90_ms: median and 90th percentile of the inference times, in milliseconds.
        samples_ms: inference times, in milliseconds; if there are more than 1000, every second, third, ... of them.
        state: state of the machine at the end of the window.
    """

    seconds: float
    runs: int
    late: int
    median_ms: float
    p90_ms: float
    samples_ms: tuple[float, ...]
    state: MachineState

    @classmethod
    def from_json(cls, value: Any) -> LoadWindow:
        """Return the window from JSON values written by `to_json`. Raises RecordError if they are invalid."""
        found = check(value, _SHAPE)
        named = {name: found[name] for name in _SHAPE}
        state = MachineState.from_json(found["state"])
        return cls(**{**named, "samples_ms": tuple(found["samples_ms"]), "state": state})

    def to_json(self) -> dict[str, Any]:
        named = {name: getattr(self, name) for name in _SHAPE}
        return {**named, "samples_ms": list(self.samples_ms), "state": self.state.to_json()}


class Load:
    """Callable that runs a model at full load or at a fixed rate; the first call loads the model."""

    def __init__(self, model: Path, *, threads: int, rate: float | None) -> None:
        """Store the options, without loading the model.

        Args:
            model: path of a `.tflite` file.
            threads: CPU threads per inference.
            rate: inferences per second; None for full load.
        """
        self._model = model
        self._threads = threads
        self._interval = 1 / rate if rate else 0.0
        self._invoke: Callable[[], object] | None = None
        self._due = 0.0

    def __call__(self, seconds: float) -> LoadWindow:
        """Run the model for `seconds` seconds and return the measurements of this time window.

        Raises:
            ModelError, RuntimeMissingError: the model cannot be run.
        """
        if self._invoke is None:
            self._invoke = self._open()
            self._due = time.perf_counter()
        clock = time.perf_counter
        samples: list[float] = []
        begin = after = clock()
        late = 0
        while after - begin < seconds:
            if self._interval:
                ahead = self._due - clock()
                if ahead > 0:
                    time.sleep(ahead)
                elif ahead < -self._interval:
                    late += int(-ahead / self._interval)
                    self._due = clock()  # overdue inferences are skipped, like the frames of a camera
                self._due += self._interval
            before = clock()
            self._invoke()
            after = clock()
            samples.append((after - before) * 1e3)
        return _window(samples, after - begin, late)

    def _open(self) -> Callable[[], object]:
        find_runtime()
        classifier = Classifier(self._model, threads=self._threads, unlabeled=True)
        classifier.score_pixels(classifier.resize(read_photo(sample_photo())))
        invoke: Callable[[], object] = classifier.session.interpreter.invoke
        gc.collect()
        gc.disable()
        return invoke


def _window(samples: Sequence[float], seconds: float, late: int) -> LoadWindow:
    ordered = sorted(samples)
    step = -(-len(samples) // _MAX_SAMPLES)
    return LoadWindow(
        seconds=seconds,
        runs=len(samples),
        late=late,
        median_ms=ordered[len(ordered) // 2],
        p90_ms=ordered[int(0.9 * (len(ordered) - 1))],
        samples_ms=tuple(round(sample, 4) for sample in samples[::step]),
        state=machine_state(),
    )
