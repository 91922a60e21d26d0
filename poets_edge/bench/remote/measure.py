"""Measurements on a device: `python -m poets_edge.bench.remote.measure`.

One request comes in on standard input; progress and the result go out as lines of JSON on standard output.

    {"task": "facts"}      the machine
    {"task": "benchmark"}  all that `benchmark` gives, and the scores, for checking against another machine's
    {"task": "rounds"}     the times alone
    {"task": "sustained"}  all that `sustain` gives

A line holds one of: begin (of progress), advance, end, note, warn, machine, round, result, or error with its kind. It
exists so that the device is measured by the same code that measures this machine, and no round is lost when it goes.
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

from poets_edge.bench.benchmark import BenchmarkOptions, benchmark
from poets_edge.bench.machine import machine_facts
from poets_edge.bench.measurement import Settings, Variant, measure_variants
from poets_edge.bench.sustained import SustainedOptions, sustain
from poets_edge.errors import MeasurementError, PoetsEdgeError

Request = dict[str, Any]


class Told:
    """A reporter whose words go over the connection, and the place where finished rounds go."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def say(self, **message: Any) -> None:
        self._stream.write(json.dumps(message, allow_nan=False) + "\n")
        self._stream.flush()

    def note(self, text: str) -> None:
        self.say(note=text)

    def status(self, text: str) -> None:
        """Not sent: it is a line that the next replaces, and there is a terminal at the other end only."""

    def warn(self, text: str) -> None:
        self.say(warn=text)

    @contextlib.contextmanager
    def progress(self, what: str, total: int, unit: str = "photo") -> Iterator[Callable[[int], object]]:
        self.say(begin=what, total=total, unit=unit)
        try:
            yield lambda amount: self.say(advance=amount)
        finally:
            self.say(end=what)


def measure(request: Request, told: Told) -> Any:
    """Do what is asked.

    Raises:
        PoetsEdgeError: as `benchmark` does.
    """
    facts = machine_facts()
    told.say(machine=facts)
    if request["task"] == "facts":
        return facts
    models = [Path(model) for model in request["models"]]
    if request["task"] == "sustained":
        load = {name: request[name] for name in ("seconds", "threads", "rate")}
        with _alone(told):
            return sustain(SustainedOptions(models=tuple(models), **load), told).to_json()
    numbers = {model: number for number, model in enumerate(models)}
    settings = Settings(**request["settings"])
    same = request["known"].get("machine") == facts
    known = {
        (Variant(models[model], threads), number): entry
        for model, threads, number, entry in (request["known"]["rounds"] if same else ())
    }

    def keep(variant: Variant, number: int, entry: dict[str, Any]) -> None:
        told.say(round=[numbers[variant.model], variant.threads, number, entry])

    with _alone(told):
        if request["task"] == "rounds":
            variants = [Variant(model, threads) for model in models for threads in request["threads"]]
            rounds, troubles = measure_variants(variants, settings, (), told, known, keep)
            found = [[numbers[variant.model], variant.threads, entries] for variant, entries in rounds.items()]
            return {"rounds": found, "warnings": troubles}
        options = BenchmarkOptions(
            models=tuple(models),
            threads=tuple(request["threads"]),
            settings=settings,
            image_dir=Path(request["image_dir"]) if request["image_dir"] else None,
            split="all",
            labels=Path(request["labels"]) if request["labels"] else None,
        )
        result = benchmark(options, told, known=known, keep=keep)
    scores = [
        [numbers[model], [photo.name for photo in scored.photos], scored.scores.tolist()]
        for model, scored in result.scored.items()
    ]
    variants = [measured.variant for measured in result.measurements]
    which = [[numbers[variant.model], variant.threads] for variant in variants]
    return {**result.to_json(), "variants": which, "scores": scores}


@contextlib.contextmanager
def _alone(told: Told) -> Iterator[None]:
    """Two measurements at once would measure each other, so the second waits: the lock goes with the process."""
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
            told.note("another poets-edge is measuring there; waiting for it to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Answer one request. What else prints on standard output gets to standard error."""
    told = Told(os.fdopen(os.dup(1), "w", encoding="ascii"))
    os.dup2(2, 1)
    try:
        told.say(result=measure(json.load(sys.stdin), told))
    except PoetsEdgeError as error:
        told.say(error=str(error), kind=type(error).__name__)


if __name__ == "__main__":
    main()
