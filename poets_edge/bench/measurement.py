"""Timing variants (a model at a number of threads) against each other, so that the times can be believed.

Every variant runs in fresh processes, several rounds of them, the variants in random order within a round: whatever
disturbs the machine meets all variants alike, and shows as a difference between rounds. Raw samples are kept.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from poets_edge.bench.machine import machine_state, troubles_between
from poets_edge.bench.samples import Distribution, describe
from poets_edge.bench.worker import Request, measure
from poets_edge.core.arguments import check_fields
from poets_edge.core.files import sha256_of
from poets_edge.core.processes import Helper
from poets_edge.errors import UsageError
from poets_edge.photos.folder import Photo
from poets_edge.progress import Reporter, Silent
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.read_model import read_model

_ROUNDS_DIFFER = 0.05
_WIDE_SPREAD = 0.15
_PATIENCE_SECONDS = 60.0
"""For all rounds of one variant."""
_PROCESS_SECONDS = 600.0
"""Time limit of a process, apart from the time that it measures."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How long to measure.

    Attributes:
        seconds, runs: timed inferences of one variant, over all rounds; both are reached unless it ends early.
        rounds: fresh processes a variant. 30 find a slowdown of 5 % even where other programs run; 10 find it where
            processes differ by 2 %, as on a quiet machine (see `benchmarks/results/compare.md`).
        enough: rounds after which measuring ends early where a variant has taken a minute, as on a device that needs
            seconds to start a process.
    """

    seconds: float = 12.0
    runs: int = 50
    rounds: int = 30
    enough: int = 10

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0 < self.seconds < float("inf"):
            raise UsageError(f"`seconds` must be above 0, not {self.seconds}.")
        if self.runs < 1:
            raise UsageError(f"`runs` must be 1 or more, not {self.runs}.")
        if self.rounds < 1:
            raise UsageError(f"`rounds` must be 1 or more, not {self.rounds}.")


@dataclass(frozen=True)
class Variant:
    """One contender: a model with a number of threads."""

    model: Path
    threads: int


@dataclass(frozen=True)
class ModelFacts:
    """The facts that a model file states about itself.

    Attributes:
        size: bytes.
        architecture, quantization: of a file that poets_edge exported, else "".
    """

    name: str
    size: int
    sha256: str
    architecture: str
    quantization: str


@dataclass(frozen=True)
class Measurement:
    """One variant's rounds, raw, and what follows from them."""

    variant: Variant
    model: ModelFacts
    rounds: tuple[dict[str, Any], ...]

    @cached_property
    def latency(self) -> Distribution:
        """Milliseconds of one inference, over all rounds."""
        return describe(self.samples("samples_ms"))

    @property
    def load(self) -> float:
        """Milliseconds to load the file, the median of the rounds."""
        return float(statistics.median(entry["load_ms"] for entry in self.rounds))

    @property
    def first(self) -> float:
        """Milliseconds of the first inference, the median of the rounds."""
        return float(statistics.median(entry["first_ms"] for entry in self.rounds))

    @property
    def stages(self) -> dict[str, float]:
        """Median milliseconds of decoding a photo, resizing it, and scoring it."""
        return {name: statistics.median(self.samples(f"{name}_ms")) for name in ("decode", "resize", "inference")}

    @property
    def photos_per_second(self) -> float | None:
        """From file to scores, one photo after the other; None where only inferences were timed."""
        if not all("decode_ms" in entry for entry in self.rounds):
            return None
        parts = [self.samples(f"{name}_ms") for name in ("decode", "resize", "inference")]
        return 1000 / float(statistics.median([sum(photo) for photo in zip(*parts, strict=True)]))

    @property
    def peak_memory(self) -> float | None:
        """MB, of the whole process."""
        known: list[float] = [entry["peak_memory_mb"] for entry in self.rounds if entry["peak_memory_mb"] is not None]
        return max(known, default=None)

    @property
    def accelerated(self) -> bool:
        """Whether XNNPACK took the model."""
        return all(entry["accelerated"] for entry in self.rounds)

    @property
    def rounds_differ(self) -> float:
        """The largest round's median over the smallest's, less one."""
        return max(self.process_medians) / min(self.process_medians) - 1

    @property
    def process_medians(self) -> tuple[float, ...]:
        """Milliseconds of one inference, the median of each round."""
        return tuple(statistics.median(entry["samples_ms"]) for entry in self.rounds)

    def samples(self, name: str) -> list[float]:
        return [sample for entry in self.rounds for sample in entry[name]]

    def troubles(self) -> list[str]:
        """Why these times may be wrong, in plain words."""
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
        if not all(entry["steady"] for entry in self.rounds):
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
            "rounds": list(self.rounds),
        }


def measure_variants(
    variants: Sequence[Variant],
    settings: Settings,
    photos: Sequence[Photo] = (),
    reporter: Reporter | None = None,
    known: Mapping[tuple[Variant, int], dict[str, Any]] | None = None,
    keep: Callable[[Variant, int, dict[str, Any]], object] = lambda variant, number, entry: None,
) -> tuple[dict[Variant, list[dict[str, Any]]], list[str]]:
    """Rounds of worker processes, the variants in random order within each.

    Args:
        known: rounds measured before, which are not measured again.
        keep: called with each new round as soon as it is there.

    Returns:
        The rounds of each variant, and what disturbed the machine meanwhile.

    Raises:
        ModelError: a worker process failed.
    """
    known = known or {}
    todo = [
        (variant, number)
        for number in range(settings.rounds)
        for variant in random.Random(number).sample(list(variants), len(variants))
        if (variant, number) not in known
    ]
    rounds = {
        variant: [known[variant, n] for n in range(settings.rounds) if (variant, n) in known] for variant in variants
    }
    before, begin = machine_state(), time.monotonic()
    with (reporter or Silent()).progress("measuring", len(todo), "run") as advance:
        for number, of_round in groupby(todo, key=itemgetter(1)):
            if number >= settings.enough and time.monotonic() - begin > _PATIENCE_SECONDS * len(variants):
                break
            for variant, _ in of_round:
                entry = _run_worker(variant, settings, photos)
                rounds[variant].append(entry)
                keep(variant, number, entry)
                advance(1)
    used = max((variant.threads for variant, _ in todo), default=0)
    elapsed = time.monotonic() - begin
    # Rounds that an earlier run has measured bring their states along.
    during = [entry["state"] for entries in rounds.values() for entry in entries]
    return rounds, troubles_between(before, machine_state() if todo else before, elapsed, used, during)


def model_facts(model: Path, name: str = "") -> ModelFacts:
    """Describe a `.tflite`, as `name` where its own name does not tell it apart. Raises ModelError."""
    facts = read_metadata(read_model(model)).facts
    training = facts.get("training") or {}
    return ModelFacts(
        name or model.name,
        model.stat().st_size,
        sha256_of(model),
        training.get("architecture", "").removesuffix("_quantized"),
        facts.get("quantization", ""),
    )


def _run_worker(variant: Variant, settings: Settings, photos: Sequence[Photo]) -> dict[str, Any]:
    request = Request(
        variant.model,
        variant.threads,
        settings.seconds / settings.rounds,
        -(-settings.runs // settings.rounds),
        tuple(str(photo.path) for photo in photos),
    )
    with Helper(measure) as helper:
        return helper.ask(request, str(variant.model), seconds=_PROCESS_SECONDS + 10 * settings.seconds)
