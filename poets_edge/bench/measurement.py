"""Comparative timing of variants; a variant is a model that runs with a given number of threads.

Every variant is timed in several rounds, each time in a new process. The variants are in random order within a round.
A disturbance of the machine therefore affects all variants, and appears as a difference between rounds. All measured
times are stored.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any

from poets_edge.bench.machine import disturbances_between, machine_state
from poets_edge.bench.rounds import Round, RoundLog, TimingConfig, Variant
from poets_edge.bench.samples import Distribution, describe
from poets_edge.bench.timing import Timing
from poets_edge.bench.worker import Request, measure
from poets_edge.core.processes import Helper
from poets_edge.photos.folder import Photo
from poets_edge.progress import Reporter, Silent
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.read_model import read_model

_ROUNDS_DIFFER = 0.05
"""Relative difference between the medians of two rounds above which a warning is issued."""
_WIDE_SPREAD = 0.15
"""Interquartile range of the inference times, relative to their median, above which a warning is issued."""
_PATIENCE_SECONDS = 60.0
"""Average measuring time per model and thread count, in seconds, above which a benchmark skips its last rounds."""
_PROCESS_SECONDS = 600.0
"""Constant part of the time limit for a measuring process, in seconds; ten times the measuring time is added."""


@dataclass(frozen=True)
class ModelFacts:
    """Description of a model file.

    Attributes:
        name: name of the model for tables, distinct within a benchmark.
        size: file size in bytes.
        sha256: hexadecimal SHA-256 of the file.
        architecture, quantization: values from the metadata; "" if the file was not exported by poets_edge.
    """

    name: str
    size: int
    sha256: str
    architecture: str
    quantization: str


@dataclass(frozen=True)
class Measurement:
    """Times of one variant (model and number of threads) in all rounds, and statistics of these times."""

    variant: Variant
    model: ModelFacts
    timings: tuple[Timing, ...]

    @cached_property
    def latency(self) -> Distribution:
        """Distribution of the inference times from all rounds, in milliseconds."""
        return describe([sample for timing in self.timings for sample in timing.samples_ms])

    @property
    def load(self) -> float:
        """Median time to load the model, in milliseconds; it is measured once per round."""
        return float(statistics.median(timing.load_ms for timing in self.timings))

    @property
    def first(self) -> float:
        """Median time of the first inference after loading, in milliseconds; it is measured once per round."""
        return float(statistics.median(timing.first_ms for timing in self.timings))

    @property
    def stages(self) -> dict[str, float]:
        """Median times, in ms, for a photo, with the keys "decode", "resize" and "inference"; {} if not measured."""
        return {name: statistics.median(samples) for name, samples in self._stage_samples.items() if samples}

    @property
    def photos_per_second(self) -> float | None:
        """Number of photos that can be decoded, resized and scored per second, one by one; None if not measured."""
        if not all(timing.decode_ms for timing in self.timings):
            return None
        photos = zip(*self._stage_samples.values(), strict=True)
        return 1000 / float(statistics.median([sum(parts) for parts in photos]))

    @property
    def peak_memory(self) -> float | None:
        """Highest peak memory use of all measuring processes, in MB; None if the system does not report it."""
        return max((t.peak_memory_mb for t in self.timings if t.peak_memory_mb is not None), default=None)

    @property
    def accelerated(self) -> bool:
        """Whether TFLite ran the model with its optimized XNNPACK kernels in all rounds."""
        return all(timing.accelerated for timing in self.timings)

    @property
    def rounds_differ(self) -> float:
        """Variation between rounds: highest / lowest median inference time of a round, minus 1."""
        return max(self.process_medians) / min(self.process_medians) - 1

    @property
    def process_medians(self) -> tuple[float, ...]:
        """Median inference time of each round, in milliseconds."""
        return tuple(statistics.median(timing.samples_ms) for timing in self.timings)

    @property
    def _stage_samples(self) -> dict[str, list[float]]:
        return {
            "decode": [sample for timing in self.timings for sample in timing.decode_ms or ()],
            "resize": [sample for timing in self.timings for sample in timing.resize_ms or ()],
            "inference": [sample for timing in self.timings for sample in timing.inference_ms or ()],
        }

    def warnings(self) -> list[str]:
        """Return warnings if the inference times vary widely, or had not settled after the warm-up."""
        name = f"{self.model.name}, {self.variant.threads} thread{'s' if self.variant.threads > 1 else ''}"
        found = []
        if self.rounds_differ > _ROUNDS_DIFFER:
            found.append(
                f"{name}: noisy. The medians of its rounds differ by {100 * self.rounds_differ:.0f} %;"
                " smaller differences between models may be noise."
            )
        elif self.latency.spread > _WIDE_SPREAD:
            found.append(
                f"{name}: its times vary by {100 * self.latency.spread:.0f} % of the median (interquartile range)."
            )
        if not all(timing.steady for timing in self.timings):
            found.append(f"{name}: the times had not settled after the warm-up.")
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self.model),
            "threads": self.variant.threads,
            "latency_ms": self.latency.to_json(),
            "rounds_differ": self.rounds_differ,
            "load_ms": self.load,
            "first_ms": self.first,
            "stages_ms": self.stages,
            "photos_per_second": self.photos_per_second,
            "peak_memory_mb": self.peak_memory,
            "accelerated": self.accelerated,
            "rounds": [timing.to_json() for timing in self.timings],
        }


def measure_variants(
    variants: Sequence[Variant],
    config: TimingConfig,
    photos: Sequence[Photo] = (),
    reporter: Reporter | None = None,
    *,
    log: RoundLog | None = None,
    stamp: str = "",
) -> list[str]:
    """Time variants (models with a number of threads) in several rounds, and add the times to `log`.

    In each round, every variant runs in a new process; the order is random.

    Args:
        variants: variants to time.
        config: duration of the measurements, and number of rounds.
        photos: photos for timing decoding and resizing; a generated photo is used if there are none.
        log: log to which finished rounds are added; rounds already in the log with the same `stamp` are skipped.
        stamp: digest of the measurement conditions; see `round_stamp`.

    Returns:
        Descriptions of what disturbed the rounds, such as other programs or a throttled CPU.

    Raises:
        ModelError: a measuring process failed.
        OutputError: the log cannot save a round.
    """
    log = RoundLog() if log is None else log
    known = {variant: log.timings(stamp, variant, config.rounds) for variant in variants}
    todo = [
        (variant, number)
        for number in range(config.rounds)
        for variant in random.Random(number).sample(list(variants), len(variants))
        if number not in known[variant]
    ]
    before, begin = machine_state(), time.monotonic()
    with (reporter or Silent()).progress("measuring", len(todo), "run") as advance:
        for number, of_round in groupby(todo, key=itemgetter(1)):
            if number >= config.enough and time.monotonic() - begin > _PATIENCE_SECONDS * len(variants):
                break
            for variant, _ in of_round:
                log.add(
                    Round(
                        stamp=stamp,
                        sha256=variant.sha256,
                        threads=variant.threads,
                        copy=variant.copy,
                        number=number,
                        timing=_measure_once(variant, config, photos),
                    )
                )
                advance(1)
    used = max((variant.threads for variant, _ in todo), default=0)
    elapsed = time.monotonic() - begin
    # Rounds of an earlier run are included.
    during = [timing.state for v in variants for timing in log.timings(stamp, v, config.rounds).values()]
    return disturbances_between(before, machine_state() if todo else before, elapsed, used, during)


def measurements_of(
    variants: Sequence[Variant], names: Sequence[str], log: RoundLog, stamp: str, config: TimingConfig
) -> tuple[Measurement, ...]:
    """Return one measurement per variant (model and number of threads), computed from the rounds in a log.

    Args:
        names: names of the models for tables, in the order of `variants`.
        stamp: digest of the measurement conditions; rounds with another stamp are ignored.
    """
    return tuple(
        Measurement(variant, model_facts(variant, name), tuple(log.timings(stamp, variant, config.rounds).values()))
        for variant, name in zip(variants, names, strict=True)
    )


def model_facts(variant: Variant, name: str = "") -> ModelFacts:
    """Return a description of the model in `variant`. If `name` is empty, the model is named after its file.

    Raises:
        ModelError: the model is damaged.
    """
    facts = read_metadata(read_model(variant.model, compiled=variant.delegate is not None)).facts
    training = facts.get("training") or {}
    return ModelFacts(
        name or variant.model.name,
        variant.model.stat().st_size,
        variant.sha256,
        training.get("architecture", "").removesuffix("_quantized"),
        facts.get("quantization", ""),
    )


def _measure_once(variant: Variant, config: TimingConfig, photos: Sequence[Photo]) -> Timing:
    request = Request(
        variant.model,
        variant.threads,
        config.seconds / config.rounds,
        -(-config.runs // config.rounds),
        tuple(str(photo.path) for photo in photos),
        variant.delegate,
    )
    with Helper(measure) as helper:
        return helper.ask(request, str(variant.model), seconds=_PROCESS_SECONDS + 10 * config.seconds)
