"""Measurements on a device: `python -m poets_edge.bench.remote.measure`.

One request (see `messages.py`) is read from standard input; progress and the result are written to standard output,
as lines of JSON. A line holds one of: begin (of progress), advance, end, note, warn, machine, round, result, or error
with its kind. Rounds are sent as they are finished, so that none is lost when the connection is.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from poets_edge.bench.benchmark import BenchmarkOptions, predict, stage_photos, thread_counts
from poets_edge.bench.machine import machine_facts
from poets_edge.bench.measurement import measure_variants
from poets_edge.bench.remote.messages import (
    DevicePredictions,
    LoadAnswer,
    LoadRequest,
    Request,
    RoundsAnswer,
    RoundsRequest,
    read_request,
)
from poets_edge.bench.rounds import RoundLog, round_stamp, variants_of
from poets_edge.bench.sustained import SustainedOptions, sustain
from poets_edge.errors import MeasurementError, PoetsEdgeError


class JsonReporter:
    """A reporter that writes JSON to the connection."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def say(self, **message: Any) -> None:
        self._stream.write(json.dumps(message, allow_nan=False) + "\n")
        self._stream.flush()

    def note(self, text: str) -> None:
        self.say(note=text)

    def status(self, text: str) -> None:
        """Send nothing: a status is a line of a terminal that the next one replaces."""

    def warn(self, text: str) -> None:
        self.say(warn=text)

    @contextlib.contextmanager
    def progress(self, what: str, total: int, unit: str = "photo") -> Iterator[Callable[[int], object]]:
        self.say(begin=what, total=total, unit=unit)
        try:
            yield lambda amount: self.say(advance=amount)
        finally:
            self.say(end=what)


def measure(request: Request, reporter: JsonReporter) -> dict[str, Any]:
    """Carry out a request.

    Raises:
        PoetsEdgeError: as `benchmark` and `sustain` do.
    """
    machine = machine_facts()
    reporter.say(machine=machine)
    if isinstance(request, RoundsRequest):
        with _alone(reporter):
            return _measure_rounds(request, machine, reporter).to_json()
    if isinstance(request, LoadRequest):
        with _alone(reporter):
            return _sustain(request, reporter).to_json()
    return {}


def _measure_rounds(request: RoundsRequest, machine: dict[str, Any], reporter: JsonReporter) -> RoundsAnswer:
    options = BenchmarkOptions(
        models=tuple(map(Path, request.models)),
        timing=request.config,
        image_dir=Path(request.image_dir) if request.image_dir else None,
        split="all",
        labels=Path(request.labels) if request.labels else None,
    )
    predictions = predict(options, reporter)
    warnings = measure_variants(
        variants_of(options.models, thread_counts(request.threads, machine)),
        request.config,
        stage_photos(predictions),
        reporter,
        log=RoundLog.of(request.known, keep=lambda round: reporter.say(round=round.to_json())),
        stamp=round_stamp(machine, request.config),
    )
    rows = [
        DevicePredictions(tuple(photo.name for photo in found.photos), found.scores.tolist())
        for found in predictions.values()
    ]
    return RoundsAnswer(warnings=tuple(warnings), predictions=tuple(rows))


def _sustain(request: LoadRequest, reporter: JsonReporter) -> LoadAnswer:
    options = SustainedOptions(
        models=tuple(map(Path, request.models)), seconds=request.seconds, threads=request.threads, rate=request.rate
    )
    result = sustain(options, reporter)
    return LoadAnswer(models=tuple(model.windows for model in result.models), warnings=result.warnings)


@contextlib.contextmanager
def _alone(reporter: JsonReporter) -> Iterator[None]:
    """Wait for other measurements on this device, which would disturb this one. The lock ends with the process."""
    path = Path(tempfile.gettempdir()) / f"poets-edge-measuring-{os.getuid()}"
    try:
        # In a folder for everybody: neither through another user's link, nor over what is there.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise MeasurementError(f"{path}: {error.strerror}; measuring there needs it as a lock. Remove it.") from None
    with os.fdopen(descriptor) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            reporter.note("another poets-edge is measuring there; waiting for it to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Answer one request. Anything else that prints to standard output is redirected to standard error."""
    reporter = JsonReporter(os.fdopen(os.dup(1), "w", encoding="ascii"))
    os.dup2(2, 1)
    try:
        reporter.say(result=measure(read_request(json.load(sys.stdin)), reporter))
    except PoetsEdgeError as error:
        reporter.say(error=str(error), kind=type(error).__name__)


if __name__ == "__main__":
    main()
