"""Measure the latencies of all models in a run of `grid`, in several rounds.

Each finished round is logged, so that a stopped measurement can be continued.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from poets_edge.bench.measurement import Measurement, measure_variants, measurements_of
from poets_edge.bench.rounds import Round, RoundLog, Variant, append_round, read_rounds, round_stamp
from poets_edge.core.files import sha256_of
from poets_edge.errors import ModelError, OutputError
from poets_edge.progress import Reporter
from poets_edge.sweep.architecture_result import GridModel
from poets_edge.sweep.options import GridOptions

_LOG = "latency.jsonl"

Measure = Callable[[Sequence[Variant], RoundLog], tuple[str, list[str]]]
"""Function that measures the latency of models in several rounds, and adds the rounds to a log. It returns the stamp of
the rounds (a fingerprint of the measuring conditions), and warnings about disturbances."""


def measure_here(options: GridOptions, machine: Mapping[str, Any], reporter: Reporter) -> Measure:
    """Return a function that measures the latency of models on this machine.

    Args:
        options: options of the run, such as the duration of the measurements.
        machine: description of this machine. Together with the options, it identifies the measuring conditions of a
            logged round, which is reused only under the same conditions.
        reporter: receives progress and warnings.
    """

    def measure(variants: Sequence[Variant], log: RoundLog) -> tuple[str, list[str]]:
        stamp = round_stamp(machine, options.timing)
        return stamp, measure_variants(variants, options.timing, reporter=reporter, log=log, stamp=stamp)

    return measure


def measure_all(
    options: GridOptions, models: Sequence[GridModel], reporter: Reporter, measure: Measure
) -> tuple[dict[Path, Measurement], list[str]]:
    """Measure the latency of every model, reusing measurement rounds that were logged under the same conditions.

    Args:
        measure: function that measures the missing rounds; see `Measure`.

    Returns:
        A dictionary of measurements, keyed by model path; and warnings, one sentence each.

    Raises:
        OutputError: a round cannot be saved.
        ModelError: a model file was replaced during the measurement.
    """
    variants = [Variant(model.path, options.threads, model.sha256) for model in models]
    files = {variant.sha256: variant.model for variant in variants}
    path = options.output_dir / _LOG

    def keep(round: Round) -> None:
        model = files.get(round.sha256)
        if model is None or sha256_of(model) != round.sha256:  # the latency may belong to a different model
            raise ModelError(f"{model or options.output_dir}: has changed while it was being measured. Run again.")
        try:
            append_round(path, round)
        except OutputError as error:
            raise OutputError(
                f"{error} All architectures are finished and kept. Free some space and run the command again."
            ) from None

    log = RoundLog.of(read_rounds(path, reporter), keep)
    stamp, warnings = measure(variants, log)
    names = [variant.model.name for variant in variants]
    measured = measurements_of(variants, names, log, stamp, options.timing)
    return {measurement.variant.model: measurement for measurement in measured}, [*warnings, *noise_warnings(measured)]


def noise_warnings(measured: Sequence[Measurement]) -> list[str]:
    """Return a list with one warning if the latency measurements of any model are noisy; otherwise an empty list."""
    noisy = [measurement for measurement in measured if measurement.warnings()]
    if not noisy:
        return []
    differ = max(measurement.rounds_differ for measurement in noisy)
    if differ >= 0.01:
        how = f"medians of one model's rounds differ by up to {100 * differ:.0f} %. Smaller differences may be noise."
    else:  # a single round, or rounds that vary alike
        how = "they vary widely within rounds. Measure again on an idle machine."
    return [f"the times of {len(noisy)} of {len(measured)} models are noisy: {how}"]
