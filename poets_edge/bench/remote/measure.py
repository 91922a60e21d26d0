"""Program that carries out measurements on a device: `python -m poets_edge.bench.remote.measure`.

The program reads one request from standard input, and writes progress and results to standard output as lines of JSON;
see `messages.py`. Each round is sent as soon as it is finished, so that it is not lost if the connection fails later.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from poets_edge.bench.benchmark import BenchmarkOptions, stage_photos, thread_counts
from poets_edge.bench.machine import machine_facts
from poets_edge.bench.measurement import measure_variants
from poets_edge.bench.remote.answers import shortened
from poets_edge.bench.remote.messages import (
    Advance,
    Begin,
    End,
    FactsRequest,
    Failure,
    FinishedRound,
    LoadRequest,
    Machine,
    Message,
    Note,
    PhotoScores,
    Request,
    Result,
    RoundsRequest,
    Wait,
    Warn,
    Window,
    message_json,
    read_request,
)
from poets_edge.bench.rounds import RoundLog, round_stamp, variants_of
from poets_edge.bench.sustained import SustainedOptions, sustain
from poets_edge.core.orphans import end_with_parent
from poets_edge.device.classifier import Classifier
from poets_edge.device.predictions import Predictions, score_photos
from poets_edge.errors import PoetsEdgeError
from poets_edge.photos.folder import scan

_WAIT_SECONDS = 60
"""Interval, in seconds, between messages that are sent while this program waits for another measurement to end."""


class JsonReporter:
    """Reporter that writes each message as a line of JSON to a stream."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def send(self, message: Message) -> None:
        """Write a message to the stream as a line of JSON."""
        self._stream.write(json.dumps(message_json(message), allow_nan=False) + "\n")
        self._stream.flush()

    def note(self, text: str) -> None:
        self.send(Note(shortened(text)))

    def status(self, text: str) -> None:
        """Do nothing, because status lines, which replace each other, are for terminals only."""

    def warn(self, text: str) -> None:
        self.send(Warn(shortened(text)))

    @contextlib.contextmanager
    def progress(self, what: str, total: int, unit: str = "photo") -> Iterator[Callable[[int], object]]:
        self.send(Begin(what=shortened(what), total=total, unit=unit))
        try:
            yield lambda amount: self.send(Advance(amount))
        finally:
            self.send(End())


def measure(request: Request, reporter: JsonReporter) -> tuple[str, ...]:
    """Carry out a request on this device, and send the results through `reporter`.

    Returns:
        Descriptions of disturbances of the device during the measurement.

    Raises:
        PoetsEdgeError: see `benchmark` and `sustain`.
    """
    machine = machine_facts()
    reporter.send(Machine(**machine))
    if isinstance(request, FactsRequest):
        return ()
    with _alone(reporter):
        if isinstance(request, RoundsRequest):
            return _measure_rounds(request, machine, reporter)
        return _sustain(request, reporter)


def _measure_rounds(request: RoundsRequest, machine: dict[str, Any], reporter: JsonReporter) -> tuple[str, ...]:
    options = BenchmarkOptions(
        models=tuple(map(Path, request.models)),
        timing=request.config,
        image_dir=Path(request.image_dir) if request.image_dir else None,
        labels=Path(request.labels) if request.labels else None,
        input_range=request.input_range or None,
    )
    predictions = _predict(options, reporter)
    warnings = measure_variants(
        variants_of(options.models, thread_counts(request.threads, machine)),
        request.config,
        stage_photos(predictions),
        reporter,
        log=RoundLog.of(request.known, keep=lambda round: reporter.send(FinishedRound(round.to_json()))),
        stamp=round_stamp(machine, request.config),
    )
    for number, found in enumerate(predictions.values()):
        distances = [None] * len(found.photos) if found.distances is None else found.distances.tolist()
        for photo, scores, distance in zip(found.photos, found.scores.tolist(), distances, strict=True):
            reporter.send(PhotoScores(model=number, photo=photo.name, scores=tuple(scores), distance=distance))
    return tuple(warnings)


def _predict(options: BenchmarkOptions, reporter: JsonReporter) -> dict[Path, Predictions]:
    """Return each model's predictions for the photos in `image_dir`; an empty dictionary if `image_dir` is None."""
    if options.image_dir is None:
        return {}
    photos, models = scan(options.image_dir).photos, tuple(dict.fromkeys(options.models))
    with reporter.progress("scoring", len(photos) * len(models)) as advance:
        return {
            model: score_photos(
                photos,
                Classifier(model, labels=options.labels, input_range=options.input_range).clone,
                advance=advance,
            )
            for model in models
        }


def _sustain(request: LoadRequest, reporter: JsonReporter) -> tuple[str, ...]:
    options = SustainedOptions(
        models=tuple(map(Path, request.models)), seconds=request.seconds, threads=request.threads, rate=request.rate
    )
    result = sustain(options, reporter)
    for number, model in enumerate(result.models):
        for window in model.windows:
            reporter.send(Window(model=number, window=window.to_json()))
    return tuple(result.warnings)


@contextlib.contextmanager
def _alone(reporter: JsonReporter) -> Iterator[None]:
    """Wait until no other measurement runs on this device, and prevent new ones until the `with` block ends."""
    # A folder is locked, not a file in it: nothing is left, and nothing of another user is opened for writing.
    descriptor = os.open(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir(), os.O_RDONLY)
    try:
        noted = False
        while not _locked(descriptor):
            if noted:
                reporter.send(Wait())
            else:
                reporter.note("another poets-edge is measuring there; waiting for it to end")
            noted = True
            for _ in range(_WAIT_SECONDS):
                time.sleep(1)
                if _locked(descriptor):
                    break
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Try to lock an open folder. Return False if another process has locked it, otherwise True."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def main() -> None:
    """Carry out one request. Output to standard output other than messages is redirected to standard error."""
    reporter = JsonReporter(os.fdopen(os.dup(1), "w", encoding="ascii"))
    os.dup2(2, 1)
    end_with_parent()  # of an agent that was killed
    try:
        warnings = measure(read_request(json.load(sys.stdin)), reporter)
        reporter.send(Result(tuple(map(shortened, warnings))))
    except PoetsEdgeError as error:
        reporter.send(Failure(shortened(str(error)), type(error).__name__))


if __name__ == "__main__":
    main()
