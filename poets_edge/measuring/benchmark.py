"""`benchmark`: how fast models are on this device, measured so that it can be believed.

Every variant (a model at a number of threads) runs in fresh processes, several rounds of them, the variants in random
order within a round: whatever disturbs the machine meets all variants alike, and shows as a difference between
rounds. Raw samples are kept.
"""

from __future__ import annotations

import datetime
import hashlib
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import poets_edge
from poets_edge.edge.classifier import Classifier
from poets_edge.edge.evaluation import Scored
from poets_edge.edge.metadata import read_metadata
from poets_edge.edge.parallel import cores
from poets_edge.edge.scoring import Evaluation
from poets_edge.errors import ModelError, RuntimeMissingError, UsageError
from poets_edge.evaluating import Chosen, evaluate
from poets_edge.measuring.machine import machine_facts, machine_state, troubles_between
from poets_edge.measuring.processes import run_module
from poets_edge.measuring.samples import Distribution, describe
from poets_edge.measuring.worker import Request
from poets_edge.photos.folder import Photo
from poets_edge.reporting import Reporter, Silent

FORMAT = "poets_edge-benchmark-1"

_DEFAULT_THREADS = (1, 2, 4)
_ROUNDS_DIFFER = 0.05
_WIDE_SPREAD = 0.15
_STAGE_PHOTOS = 20
_OPERATOR_RUNS = 50


@dataclass(frozen=True)
class Settings:
    """How long to measure.

    Attributes:
        seconds, runs: timed inferences of one variant, over all rounds; both are reached.
        rounds: fresh processes a variant.
    """

    seconds: float = 3.0
    runs: int = 50
    rounds: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.seconds < float("inf"):
            raise UsageError(f"--min-seconds must be above 0, not {self.seconds}.")
        if self.runs < 1:
            raise UsageError(f"--min-runs must be 1 or more, not {self.runs}.")
        if self.rounds < 1:
            raise UsageError(f"--rounds must be 1 or more, not {self.rounds}.")


@dataclass(frozen=True)
class BenchmarkOptions:
    """Options of `benchmark`.

    Attributes:
        models: `.tflite` files.
        threads: empty means 1, 2 and 4, as far as there are cores.
        image_dir: a folder of labelled photos, for accuracy, and for the times of decoding and resizing.
        chosen: which of them to score, divided as `train` divides.
        labels: labels file, in place of the models' own.
        operators: also time every operator inside the models.
    """

    models: tuple[Path, ...]
    threads: tuple[int, ...] = ()
    settings: Settings = Settings()
    image_dir: Path | None = None
    chosen: Chosen = "test"
    labels: Path | None = None
    operators: bool = False

    def __post_init__(self) -> None:
        if not self.models:
            raise UsageError("no model given. Name a .tflite file, or several.")
        for threads in self.threads:
            if threads < 1:
                raise UsageError(f"--threads must be 1 or more, not {threads}.")


@dataclass(frozen=True)
class Variant:
    """What is measured against each other."""

    model: Path
    threads: int


@dataclass(frozen=True)
class ModelFacts:
    """What a file says of itself.

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
    def photos_per_second(self) -> float:
        """From file to scores, one photo after the other."""
        parts = [self.samples(f"{name}_ms") for name in ("decode", "resize", "inference")]
        return 1000 / statistics.median([sum(photo) for photo in zip(*parts, strict=True)])

    @property
    def peak_memory(self) -> float | None:
        """MB, of the whole process."""
        known: list[float] = [entry["peak_memory_mb"] for entry in self.rounds if entry["peak_memory_mb"] is not None]
        return max(known, default=None)

    @property
    def accelerated(self) -> bool:
        """Whether XNNPACK took the model, or a part of it."""
        return all(entry["accelerated"] for entry in self.rounds)

    @property
    def rounds_differ(self) -> float:
        """The largest round's median over the smallest's, less one."""
        medians: list[float] = [statistics.median(entry["samples_ms"]) for entry in self.rounds]
        return max(medians) / min(medians) - 1

    def samples(self, name: str) -> list[float]:
        return [sample for entry in self.rounds for sample in entry[name]]

    def troubles(self) -> list[str]:
        """Why these times may be wrong, in plain words."""
        name = f"{self.model.name}, {self.variant.threads} thread{'s' if self.variant.threads > 1 else ''}"
        found = []
        if self.rounds_differ > _ROUNDS_DIFFER:
            found.append(
                f"{name}: noisy. The medians of its rounds differ by {100 * self.rounds_differ:.0f} %;"
                " take smaller differences between models for nothing."
            )
        elif self.latency.spread > _WIDE_SPREAD:
            found.append(f"{name}: half of its times spread over {100 * self.latency.spread:.0f} % of the median.")
        if not all(entry["steady"] for entry in self.rounds):
            found.append(f"{name}: the times had not settled after the warm-up.")
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            **asdict(self.model),
            "threads": self.variant.threads,
            "latency_ms": self.latency.as_dict(),
            "rounds_differ": self.rounds_differ,
            "load_ms": self.load,
            "first_ms": self.first,
            "stages_ms": self.stages,
            "photos_per_second": self.photos_per_second,
            "peak_memory_mb": self.peak_memory,
            "accelerated": self.accelerated,
            "rounds": list(self.rounds),
        }


@dataclass(frozen=True)
class Judged:
    """A model's answers on the photos; `agreement` with the float file's, None where there is none."""

    evaluation: Evaluation
    agreement: float | None

    def as_dict(self) -> dict[str, Any]:
        return {**self.evaluation.as_dict(), "agreement_with_float": self.agreement}


@dataclass(frozen=True)
class BenchmarkResult:
    """What `benchmark` found, in the order asked for."""

    machine: dict[str, Any]
    measurements: tuple[Measurement, ...]
    judged: dict[Path, Judged] = field(default_factory=dict)
    operators: dict[Path, dict[str, Any]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `read_benchmark` of `compare` reads it back."""
        results = []
        for measurement in self.measurements:
            model = measurement.variant.model
            entry = measurement.as_dict()
            if model in self.judged:
                entry["accuracy"] = self.judged[model].as_dict()
            if model in self.operators:
                entry["operators"] = self.operators[model]
            results.append(entry)
        return {
            "format": FORMAT,
            "poets_edge": poets_edge.__version__,
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": self.machine,
            "warnings": list(self.warnings),
            "results": results,
        }


def benchmark(options: BenchmarkOptions, reporter: Reporter | None = None) -> BenchmarkResult:
    """Measure models on this device.

    Raises:
        ModelError: a file is no model, or not one that takes a picture.
        DatasetError: no photo can be read, or a class is not among a model's labels.
        RuntimeMissingError: no interpreter is installed.
    """
    reporter = reporter or Silent()
    for model in options.models:
        Classifier(model, labels=options.labels, unlabelled=True)
    threads = options.threads or tuple(n for n in _DEFAULT_THREADS if n <= cores()) or (1,)
    warnings = [
        f"{n} threads on {cores()} cores: they take turns, which is slower than {cores()}."
        for n in threads
        if n > cores()
    ]
    scored = _score(options, reporter)
    variants = [Variant(model, n) for model in dict.fromkeys(options.models) for n in dict.fromkeys(threads)]
    photos = next(iter(scored.values())).photos[:_STAGE_PHOTOS] if scored else ()
    facts = machine_facts()
    rounds, troubles = measure_variants(variants, options.settings, photos, reporter)
    measurements = tuple(
        Measurement(variant, model_facts(variant.model), tuple(rounds[variant])) for variant in variants
    )
    warnings += troubles + [trouble for measurement in measurements for trouble in measurement.troubles()]
    operators = _profile(options.models, threads[0], warnings) if options.operators else {}
    for warning in warnings:
        reporter.warn(warning)
    return BenchmarkResult(facts, measurements, _judge(options, scored), operators, tuple(warnings))


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
        for variant, number in todo:
            entry = _run_worker(variant, settings, photos)
            rounds[variant].append(entry)
            keep(variant, number, entry)
            advance(1)
    used = max((variant.threads for variant, _ in todo), default=0)
    elapsed = time.monotonic() - begin
    return rounds, troubles_between(before, machine_state(), elapsed, used) if todo else []


def model_facts(model: Path) -> ModelFacts:
    """What a `.tflite` says of itself. Raises ModelError."""
    facts = read_metadata(model).facts
    training = facts.get("training") or {}
    return ModelFacts(
        model.name,
        model.stat().st_size,
        hashlib.sha256(model.read_bytes()).hexdigest(),
        training.get("architecture", "").removesuffix("_quantized"),
        facts.get("quantization", ""),
    )


def _run_worker(variant: Variant, settings: Settings, photos: Sequence[Photo]) -> dict[str, Any]:
    request = Request(
        str(variant.model),
        variant.threads,
        settings.seconds / settings.rounds,
        -(-settings.runs // settings.rounds),
        tuple(str(photo.path) for photo in photos),
    )
    return run_module("poets_edge.measuring.worker", [request.as_argument()], str(variant.model), settings.seconds)


def _score(options: BenchmarkOptions, reporter: Reporter) -> dict[Path, Scored]:
    if options.image_dir is None:
        return {}
    return {
        model: evaluate(
            model, options.image_dir, chosen=options.chosen, labels=options.labels, reporter=reporter
        ).scored
        for model in dict.fromkeys(options.models)
    }


def _judge(options: BenchmarkOptions, scored: Mapping[Path, Scored]) -> dict[Path, Judged]:
    classifiers = {model: Classifier(model, labels=options.labels) for model in scored}
    judged = {}
    for model, scores in scored.items():
        twin = _float_twin(classifiers[model], classifiers)
        agreement = _agreement(scores, scored[twin]) if twin else None
        judged[model] = Judged(scores.evaluation(classifiers[model].labels), agreement)
    return judged


def _float_twin(model: Classifier, others: Mapping[Path, Classifier]) -> Path | None:
    """Among the files given, the float32 one that came from the same graph."""

    def graph(classifier: Classifier) -> Any:
        return (classifier.metadata.facts.get("training") or {}).get("graph_sha256")

    for path, other in others.items():
        if other.metadata.facts.get("quantization") == "none" and graph(other) and graph(other) == graph(model):
            return path
    return None


def _agreement(scored: Scored, reference: Scored) -> float | None:
    answers = {photo.name: int(row.argmax()) for photo, row in zip(reference.photos, reference.scores, strict=True)}
    same = [
        answers[photo.name] == int(row.argmax())
        for photo, row in zip(scored.photos, scored.scores, strict=True)
        if photo.name in answers
    ]
    return sum(same) / len(same) if same else None


def _profile(models: Sequence[Path], threads: int, warnings: list[str]) -> dict[Path, dict[str, Any]]:
    found = {}
    for model in dict.fromkeys(models):
        arguments = [str(model), str(threads), str(_OPERATOR_RUNS)]
        try:
            found[model] = run_module("poets_edge.measuring.operators", arguments, str(model))
        except RuntimeMissingError as error:
            warnings.append(str(error))
        except ModelError as error:
            # LiteRT's newer interface aborts on the CPUs of a Raspberry Pi 3 and 4, where the plain interpreter runs.
            warnings.append(f"operator times are not to be had on this machine. {error}")
    return found
