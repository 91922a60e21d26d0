"""The latencies of a grid, each noted as soon as it is measured."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from poets_edge.bench.measurement import Measurement, Variant, measure_variants, model_facts
from poets_edge.core.files import read_bytes, sha256_of
from poets_edge.errors import ModelError, OutputError, RecordError
from poets_edge.grid.architecture_result import GridModel
from poets_edge.grid.checkpoints import timed_round
from poets_edge.grid.options import GridOptions
from poets_edge.progress import Reporter

_TIMES = "latency.jsonl"

Rounds = tuple[dict[Variant, list[dict[str, Any]]], list[str]]
Measure = Callable[..., Rounds]
"""As `measure_variants`."""


def measure_all(
    options: GridOptions,
    models: Sequence[GridModel],
    facts: dict[str, Any],
    reporter: Reporter,
    measure: Measure = measure_variants,
) -> tuple[dict[Path, Measurement], list[str]]:
    """The latency of every model, measured now or, on the same machine in the same way, before.

    Args:
        facts: the machine.
        measure: does as `measure_variants` does, on that machine.

    Returns:
        Measurements by file, and what makes them doubtful.

    Raises:
        OutputError: a measurement cannot be noted.
    """
    digests = {Variant(model.path, options.threads): model.sha256 for model in models}
    variants = list(digests)
    log = options.output_dir / _TIMES
    stamp = hashlib.sha256(json.dumps([facts, asdict(options.settings)], sort_keys=True).encode()).hexdigest()[:16]
    noted = _read_times(log, stamp, reporter)
    known = {
        (variant, number): noted[digests[variant], options.threads, number]
        for variant in variants
        for number in range(options.settings.rounds)
        if (digests[variant], options.threads, number) in noted
    }

    def keep(variant: Variant, number: int, entry: dict[str, Any]) -> None:
        if sha256_of(variant.model) != digests[variant]:  # replaced meanwhile: whose time is it?
            raise ModelError(f"{variant.model}: has changed while it was being measured. Run again.")
        fields = {"stamp": stamp, "sha256": digests[variant], "threads": variant.threads, "round": number}
        _append(log, json.dumps({**fields, "entry": entry}))

    rounds, troubles = measure(variants, options.settings, (), reporter, known, keep)
    measured = {
        variant.model: Measurement(variant, model_facts(variant.model), tuple(rounds[variant])) for variant in variants
    }
    noisy = [measurement for measurement in measured.values() if measurement.troubles()]
    if noisy:
        worst = max(noisy, key=lambda measurement: measurement.rounds_differ)
        troubles.append(
            f"the times of {len(noisy)} of {len(measured)} models are noisy: medians of one model's rounds differ by"
            f" up to {100 * worst.rounds_differ:.0f} %. Smaller differences may be noise."
        )
    return measured, troubles


def _read_times(log: Path, stamp: str, reporter: Reporter) -> dict[tuple[str, int, int], dict[str, Any]]:
    """(file's checksum, threads, round) -> what was measured with this stamp."""
    found = {}
    try:
        lines = read_bytes(log).decode("utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    for number, line in enumerate(lines, 1):
        try:
            if timed := timed_round(line, stamp):
                found[timed[0]] = timed[1]
        except RecordError as error:
            # A line that was being written when the program was killed is nothing to speak of.
            if line.endswith("}"):
                reporter.warn(f"{log}, line {number}: {error}. That round is measured again.")
    return found


def _append(path: Path, line: str) -> None:
    """Add a line; a line cut short by a crash before is ended first. Raises OutputError."""
    try:
        with path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else "\n" + line
            file.write(f"{line}\n".encode())
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}. All architectures are done and stay; free some space and"
            " run again."
        ) from None
