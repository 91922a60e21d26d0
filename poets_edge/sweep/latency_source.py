"""Sources of latencies for `grid`: this machine, a device connected by ssh, result files from `benchmark`, or estimates
for an NPU.

A source is opened before training, so that an unreachable device or an unreadable file is reported immediately.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.bench.machine import machine_facts, machine_name
from poets_edge.bench.measurement import Measurement, model_facts
from poets_edge.bench.remote.connection import Connection
from poets_edge.bench.remote.device_rounds import measure_rounds
from poets_edge.bench.remote.follower import device_facts
from poets_edge.bench.remote.installation import Installation, install
from poets_edge.bench.result_files import VariantResult, read_benchmark
from poets_edge.bench.rounds import RoundLog, Variant
from poets_edge.errors import RecordError, UsageError
from poets_edge.progress import Reporter
from poets_edge.sweep.architecture_result import GridModel
from poets_edge.sweep.latencies import measure_all, measure_here
from poets_edge.sweep.npu_latencies import estimate_latencies, npu_facts
from poets_edge.sweep.options import GridOptions

Models = Sequence[GridModel]
Measured = tuple[dict[Path, Measurement], list[str]]


@dataclass(frozen=True)
class LatencySource:
    """Source of the latencies of exported models.

    Attributes:
        machine: description of the measured device; includes `host` if it is not this machine.
        measure: function that returns a dictionary of measurements, keyed by model path, and a list of warnings. Models
            without a measurement are omitted from the dictionary.
    """

    machine: dict[str, Any]
    measure: Callable[[Models], Measured]


@contextlib.contextmanager
def open_latency_source(options: GridOptions, reporter: Reporter) -> Iterator[LatencySource]:
    """Context manager that opens the source of latencies selected by the options.

    Raises:
        RemoteError: the device cannot be reached or set up.
        RecordError: a file was not written by `benchmark`, or the files come from different devices.
        UsageError: the device is an emulator, or a file contains measurements on an emulator.
    """
    if options.latency:
        machine, results = _read(options.latency)
        yield LatencySource(machine, lambda models: _from_files(options, models, results))
    elif options.target:
        yield LatencySource(npu_facts(options.target), lambda models: estimate_latencies(options, models, reporter))
    elif options.on:
        with contextlib.closing(_Device(options, reporter)) as device:
            yield LatencySource(
                {**device.facts, "host": options.on},
                lambda models: measure_all(options, models, reporter, device.measure),
            )
    else:
        facts = machine_facts()
        measure = measure_here(options, facts, reporter)
        yield LatencySource(facts, lambda models: measure_all(options, models, reporter, measure))


class _Device:
    """Device reached over ssh. The connection is opened before training, and reopened for measuring if it was lost."""

    def __init__(self, options: GridOptions, reporter: Reporter) -> None:
        self._options = options
        self._reporter = reporter
        self._device = self._connect()
        self.facts = device_facts(self._device, reporter)
        if self.facts["emulated"]:
            self.close()
            raise UsageError(f"{options.on} is an emulator, whose latencies are not those of a device.")

    def close(self) -> None:
        """Close the connection."""
        self._device.connection.close()

    def measure(self, variants: Sequence[Variant], log: RoundLog) -> tuple[str, list[str]]:
        """Measure the latency of models on the device; see `Measure`."""
        if not self._device.connection.alive:
            self._device = self._connect()
        found = measure_rounds(
            self._device,
            [variant.model for variant in variants],
            threads=(self._options.threads,),
            config=self._options.timing,
            log=log,
            reporter=self._reporter,
        )
        return found.stamp, [f"{self._options.on}: {warning}" for warning in found.warnings]

    def _connect(self) -> Installation:
        connection = Connection(self._options.on)
        try:
            return install(connection, folder=self._options.remote_dir, reporter=self._reporter)
        except BaseException:
            connection.close()
            raise


def _read(files: Sequence[Path]) -> tuple[dict[str, Any], list[VariantResult]]:
    """Read result files from `benchmark`; return the description of the device, and the results.

    Raises:
        RecordError: the files are from different devices.
    """
    machine: dict[str, Any] = {}
    results: list[VariantResult] = []
    for file in files:
        for device in read_benchmark(file):
            facts = {**device.machine, "host": device.host or file.stem}
            if facts.get("emulated"):
                raise UsageError(f"{file}: measured on an emulator, whose latencies are not those of a device.")
            if machine and machine_name({**facts, "host": ""}) != machine_name({**machine, "host": ""}):
                raise RecordError(
                    f"{file}: measured on {machine_name(facts)}, and others on {machine_name(machine)}. Give files of"
                    " one device only."
                )
            machine = facts
            if not all(result.timings for result in device.results):
                raise RecordError(f"{file}: contains no raw samples, which are needed to compare latencies.")
            results += device.results
    return {"system": "", **machine}, results


def _from_files(options: GridOptions, models: Models, results: Sequence[VariantResult]) -> Measured:
    """Return the measurements, keyed by model path, and warnings about models without a measurement.

    Results are matched with models by checksum or, if no checksum is equal, by architecture and quantization.

    Raises:
        UsageError: the results were measured with a different number of threads.
        RecordError: no result matches a model.
    """
    fitting = [result for result in results if result.threads == options.threads]
    if not fitting:
        threads = ", ".join(map(str, sorted({result.threads for result in results})))
        raise UsageError(f"`threads` {options.threads}: the file has latencies for `threads` {threads} only.")
    measured, without = {}, []
    for model in models:
        result = _result_of(model, fitting)
        if result is None:
            without.append(f"{model.architecture.name} {model.quantization}")
        else:
            variant = Variant(model.path, options.threads, model.sha256)
            measured[model.path] = Measurement(variant, model_facts(variant), result.timings)
    if not measured:
        raise RecordError(
            f"{options.latency[0]}: contains no latencies of these models. Measure the files in {options.output_dir} on"
            " the device, or name the architectures that it has measured with `architectures`."
        )
    warnings = [f"left out, because the file has no latencies of them: {', '.join(without)}."] if without else []
    return measured, warnings


def _result_of(model: GridModel, results: Sequence[VariantResult]) -> VariantResult | None:
    exact = (result for result in results if result.sha256 == model.sha256)
    kind = (
        result
        for result in results
        if result.architecture == model.architecture.name and result.quantization == model.quantization
    )
    return next(exact, None) or next(kind, None)
