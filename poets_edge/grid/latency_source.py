"""Whose times decide in a grid: this machine's, those of a device behind ssh, or those in files that a device wrote.

Comes in: the grid's options. Goes out: a `Clock`, opened before anything is trained, so that a device that cannot be
reached, or a file that cannot be read, is told at once and not after an hour.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poets_edge.bench.compare import read_benchmark
from poets_edge.bench.machine import machine_facts, machine_name
from poets_edge.bench.measurement import Measurement, Settings, Variant, model_facts
from poets_edge.bench.remote.connection import Connection
from poets_edge.bench.remote.installation import Installation, install
from poets_edge.bench.remote.kept import Kept
from poets_edge.bench.remote.session import device_facts, measure_there
from poets_edge.errors import RecordError, UsageError
from poets_edge.grid.architecture_result import GridModel
from poets_edge.grid.latencies import Measure, measure_all
from poets_edge.grid.options import GridOptions
from poets_edge.photos.folder import Photo
from poets_edge.progress import Reporter, Silent

Models = Sequence[GridModel]
Measured = tuple[dict[Path, Measurement], list[str]]


@dataclass(frozen=True)
class Clock:
    """A device's clock.

    Attributes:
        machine: facts of the device, with `host` where it is another one than this.
        measure: the measurements of the exported files by path, and what makes them doubtful. A file may have none.
    """

    machine: dict[str, Any]
    measure: Callable[[Models], Measured]


@contextlib.contextmanager
def open_clock(options: GridOptions, reporter: Reporter) -> Iterator[Clock]:
    """The clock that the options name.

    Raises:
        RemoteError: the device cannot be reached or set up.
        RecordError: a file is not what `benchmark` writes, or is of another device than the one before.
        UsageError: the times are an emulator's.
    """
    if options.latency:
        machine, entries = _read(options.latency)
        yield Clock(machine, lambda models: _from_files(options, models, entries))
    elif options.on:
        with _Device(options, reporter) as device:
            measure: Measure = device.measure
            yield Clock(
                {**device.facts, "host": options.on},
                lambda models: measure_all(options, models, device.facts, reporter, measure),
            )
    else:
        facts = machine_facts()
        yield Clock(facts, lambda models: measure_all(options, models, facts, reporter))


class _Device:
    """A device behind ssh: logged in to before training, and again after it where the connection has not lasted."""

    def __init__(self, options: GridOptions, reporter: Reporter) -> None:
        self._options = options
        self._reporter = reporter
        self._device = self._log_in()
        self.facts = device_facts(self._device, reporter)
        if self.facts["emulated"]:
            self._device.connection.close()
            raise UsageError(f"{options.on} is an emulator: its times say nothing about any device.")

    def __enter__(self) -> _Device:
        return self

    def __exit__(self, *_: object) -> None:
        self._device.connection.close()

    def measure(
        self,
        variants: Sequence[Variant],
        settings: Settings,
        photos: Sequence[Photo] = (),
        reporter: Reporter | None = None,
        known: Mapping[tuple[Variant, int], dict[str, Any]] | None = None,
        keep: Callable[[Variant, int, dict[str, Any]], object] = lambda variant, number, entry: None,
    ) -> tuple[dict[Variant, list[dict[str, Any]]], list[str]]:
        """As `measure_variants`, there. All variants have one number of threads."""
        if not self._device.connection.alive:
            self._device = self._log_in()
        models = [variant.model for variant in variants]
        by_digest = {model_facts(variant.model).sha256: variant for variant in variants}
        kept = _Noted(Path(), self.facts, by_digest=by_digest, keep=keep)
        kept.rounds = {
            (model_facts(variant.model).sha256, variant.threads, number): entry
            for (variant, number), entry in (known or {}).items()
        }
        answer = measure_there(
            self._device,
            models,
            task="rounds",
            threads=sorted({variant.threads for variant in variants}),
            settings=settings,
            kept=kept,
            reporter=reporter or Silent(),
        )
        rounds = {Variant(models[number], threads): entries for number, threads, entries in answer["rounds"]}
        return rounds, [f"{self._options.on}: {warning}" for warning in answer["warnings"]]

    def _log_in(self) -> Installation:
        connection = Connection(self._options.on)
        try:
            return install(connection, folder=self._options.remote_dir, reporter=self._reporter)
        except BaseException:
            connection.close()
            raise


@dataclass
class _Noted(Kept):
    """Rounds that the grid notes in its own log, beside those of this machine."""

    by_digest: Mapping[str, Variant] = field(default_factory=dict)
    keep: Callable[[Variant, int, dict[str, Any]], object] = lambda variant, number, entry: None

    def start(self, machine: dict[str, Any]) -> None:
        if machine != self.machine:
            self.machine, self.rounds = machine, {}

    def add(self, key: tuple[str, int, int], entry: dict[str, Any]) -> None:
        self.rounds[key] = entry
        self.keep(self.by_digest[key[0]], key[2], entry)

    def done(self) -> None:
        pass


def _read(files: Sequence[Path]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The device, and what was measured on it, in all the files together."""
    machine: dict[str, Any] = {}
    entries = []
    for file in files:
        devices = read_benchmark(file)
        for found in devices:
            facts = {**found["machine"], "host": found.get("host", file.stem)}
            if facts.get("emulated"):
                raise UsageError(f"{file}: times of an emulator say nothing about any device.")
            if machine and machine_name({**facts, "host": ""}) != machine_name({**machine, "host": ""}):
                raise RecordError(
                    f"{file}: measured on {machine_name(facts)}, and others on {machine_name(machine)}. One device's"
                    " times decide at a time."
                )
            machine = facts
            if not all(entry.get("rounds") for entry in found["results"]):
                raise RecordError(f"{file}: holds no raw samples, by which times are compared.")
            entries += found["results"]
    return {"system": "", **machine}, entries


def _from_files(options: GridOptions, models: Models, entries: Sequence[dict[str, Any]]) -> Measured:
    """The measurement of each exported file: its own, else that of one of the same architecture and quantization."""
    threads = {entry["threads"] for entry in entries}
    fitting = [entry for entry in entries if entry["threads"] == options.threads]
    if not fitting:
        raise UsageError(
            f"`threads` {options.threads}: the times were taken with {', '.join(map(str, sorted(threads)))} threads."
        )
    measured, without = {}, []
    for model in models:
        entry = _entry_of(model, fitting)
        if entry is None:
            without.append(f"{model.architecture.name} {model.quantization}")
        else:
            measured[model.path] = Measurement(
                Variant(model.path, options.threads), model_facts(model.path), tuple(entry["rounds"])
            )
    if not measured:
        raise RecordError(
            f"{options.latency[0]}: holds no times of these models. Measure the files in {options.output_dir} on the"
            " device, or name the architectures that it has measured with `architectures`."
        )
    warnings = [f"left out, because no times of them are given: {', '.join(without)}."] if without else []
    return measured, warnings


def _entry_of(model: GridModel, entries: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    def same_kind(entry: dict[str, Any]) -> bool:
        quantization = {"none": "float32"}.get(entry["quantization"], entry["quantization"])
        return bool(entry["architecture"] == model.architecture.name and quantization == model.quantization)

    exact = next((entry for entry in entries if entry.get("sha256") == model.sha256), None)
    return exact or next((entry for entry in entries if same_kind(entry)), None)
