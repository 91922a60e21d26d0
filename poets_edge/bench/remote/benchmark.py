"""The command `benchmark --on HOST`, which measures local models on other devices.

If photos are given, the scores from the device are compared with the scores from this machine.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from poets_edge.bench.accuracy import EvaluatedPhotos, ScoreCheck, accuracy_of
from poets_edge.bench.benchmark import (
    BenchmarkOptions,
    BenchmarkResult,
    check_models,
    evaluate_models,
    model_names,
    result_warnings,
)
from poets_edge.bench.measurement import measurements_of
from poets_edge.bench.remote.answers import Items
from poets_edge.bench.remote.connection import Connection
from poets_edge.bench.remote.device_rounds import DeviceTimings, measure_rounds
from poets_edge.bench.remote.installation import Installation, install, item, send
from poets_edge.bench.remote.ssh import check_host
from poets_edge.bench.remote.wheels import digest_of
from poets_edge.bench.rounds import Round, RoundLog, append_round, read_rounds
from poets_edge.core.files import sha256_of
from poets_edge.core.paths import cache_folder
from poets_edge.device.evaluate import EvaluateResult
from poets_edge.device.predictions import Predictions
from poets_edge.errors import OutputError, RemoteError, UsageError
from poets_edge.photos.sources import is_archive_or_address
from poets_edge.progress import Reporter, Silent

_SAME_SCORES = 1e-4
"""Difference between the scores on two machines above which a warning is issued. Rounding errors are about 1e-5."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_LOG_SECONDS = 86400.0
"""Age, in seconds, above which saved rounds from an interrupted run are discarded and measured again."""


def benchmark_on(
    options: BenchmarkOptions, hosts: Sequence[str], *, folder: str = "", reporter: Reporter | None = None
) -> tuple[list[BenchmarkResult], list[RemoteError]]:
    """Measure models on other devices, one device after the other.

    All devices are set up before the first measurement, so that ssh asks for all passwords at the start.

    Args:
        hosts: SSH destinations of the devices.
        folder: parent of the program's folder on the device; by default the user's cache folder.

    Returns:
        The results from the devices, and an error for each device on which the measurement failed.

    Raises:
        UsageError: a host is given twice, or the photos are in an archive or at a web address.
        RemoteError: a device cannot be reached or set up.
        ModelError, DatasetError: see `benchmark`; raised before the first request to a device.
    """
    reporter = reporter or Silent()
    for host in hosts:
        check_host(host)
    twice = next((host for host in hosts if list(hosts).count(host) > 1), None)
    if twice:
        raise UsageError(f"host {twice} is given twice.")
    check_models(options)
    here = _evaluate_here(options, reporter)
    results, failures = [], []
    with ExitStack() as stack:
        devices = []
        for host in hosts:
            connection = stack.enter_context(Connection(host))
            devices.append(install(connection, folder=folder, reporter=reporter))
        _warn_same_device(devices, reporter)
        for device in devices:
            try:
                results.append(_benchmark(device, options, here, reporter))
            except RemoteError as error:
                failures.append(error)
    return results, failures


def _evaluate_here(options: BenchmarkOptions, reporter: Reporter) -> dict[Path, EvaluateResult]:
    """Evaluate the models on this machine. Raises UsageError if `image_dir` is an archive or a web address."""
    if options.image_dir is not None and is_archive_or_address(str(options.image_dir)):
        raise UsageError(
            f"`image_dir` {options.image_dir}: photos are sent to devices as files. Give a folder of them."
        )
    return evaluate_models(options, reporter)


def _warn_same_device(devices: Sequence[Installation], reporter: Reporter) -> None:
    boots: dict[str, str] = {}
    for device in devices:
        boot = device.facts.boot
        if boot and boot in boots:
            reporter.warn(f"{boots[boot]} and {device.host} are one machine.")
        boots[boot] = device.host
        if boot and _BOOT.exists() and boot == _BOOT.read_text().strip():
            reporter.warn(f"{device.host} is this machine; without a host the same is measured without a copy.")


def _benchmark(
    device: Installation, options: BenchmarkOptions, evaluations: Mapping[Path, EvaluateResult], reporter: Reporter
) -> BenchmarkResult:
    models = tuple(dict.fromkeys(options.models))
    here = {model: result.predictions for model, result in evaluations.items()}
    photos = next(iter(here.values())).photos if here else ()
    image_dir = _send_files(device, "photos", {photo.name: photo.file for photo in photos}, reporter)
    labels = _send_files(device, "labels", {"labels.txt": options.labels} if options.labels else {}, reporter)
    file = _log_file(device, options, models, image_dir)
    log = _open_log(file, reporter)
    found = measure_rounds(
        device,
        models,
        threads=options.threads,
        config=options.timing,
        log=log,
        reporter=reporter,
        image_dir=image_dir,
        labels=labels and f"{labels}/labels.txt",
        input_range=options.input_range or "",
        photos=[photo.name for photo in photos],
        widths=[here[model].scores.shape[1] for model in models] if here else (),
    )
    if file:
        _remove(file)
    names = model_names(models)
    labeled = [names[variant.model] for variant in found.variants]
    measurements = measurements_of(found.variants, labeled, log, found.stamp, options.timing)
    warnings = result_warnings(found.machine, measurements, found.warnings)
    for warning in warnings:
        reporter.warn(f"{device.host}: {warning}")
    there = _predictions(found, models, here)
    accuracy = {
        model: replace(entry, check=_check(device, model, there[model], here[model], reporter))
        for model, entry in accuracy_of(there, evaluations).items()
    }
    return BenchmarkResult(
        machine=found.machine,
        measurements=measurements,
        accuracy=accuracy,
        photos=EvaluatedPhotos.of(options.image_dir, list(evaluations.values())),
        warnings=tuple(warnings),
        host=device.host,
    )


def _send_files(device: Installation, kind: str, members: dict[str, Path], reporter: Reporter) -> str:
    """Copy files to the device unless it has them; return the path of their folder, or "" if there are no files."""
    if not members:
        return ""
    content = [f"{name} {sha256_of(path)}" for name, path in sorted(members.items())]
    name = item(kind, *content)
    if not device.connection.ask("have", Items, items=[name]).items:
        send(device.connection, name, members, reporter, f"copying {len(members)} {kind}")
    return str(device.folder / name)


def _log_file(device: Installation, options: BenchmarkOptions, models: Sequence[Path], image_dir: str) -> Path | None:
    """Return the local file for saving the finished rounds of a benchmark with the given conditions.

    A second run with the same device, models and options gets the same file, and continues an interrupted run. None is
    returned if there is no cache folder.
    """
    conditions = [str(device.folder), *device.items, *map(sha256_of, models), str(asdict(options.timing)), image_dir]
    with contextlib.suppress(RuntimeError):
        return cache_folder() / "measuring" / f"{digest_of(device.host, *conditions)}.jsonl"
    return None


def _open_log(file: Path | None, reporter: Reporter) -> RoundLog:
    """Return a log with the rounds that an interrupted run saved in `file`; new rounds are saved there if possible."""
    if file is None:
        return RoundLog()

    def keep(round: Round) -> None:
        with contextlib.suppress(OSError, OutputError):
            file.parent.mkdir(parents=True, exist_ok=True)
            append_round(file, round)

    with contextlib.suppress(OSError):
        if abs(time.time() - file.stat().st_mtime) > _LOG_SECONDS:
            _remove(file)
    return RoundLog.of(read_rounds(file, reporter), keep)


def _remove(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)


def _predictions(
    found: DeviceTimings, models: Sequence[Path], here: Mapping[Path, Predictions]
) -> dict[Path, Predictions]:
    """Return the device's predictions of each model for the photos that it could read.

    Args:
        found: scores from the device.
        here: predictions of each model on this machine, which determine the order of the photos.
    """
    there = {}
    for number, model in enumerate(models):
        if model in here:
            local = here[model]
            scored = [(number, photo.name) in found.outputs for photo in local.photos]
            common = local.take(np.flatnonzero(scored))
            outputs = [found.outputs[number, photo.name] for photo in common.photos]
            remote = Predictions.of(common.photos, outputs, local.scores.shape[1], ())
            there[model] = replace(remote, groups=common.groups)
    return there


def _check(device: Installation, model: Path, there: Predictions, here: Predictions, reporter: Reporter) -> ScoreCheck:
    """Return a comparison of a model's scores on a device with its scores on this machine; warn of differences."""
    rows = {photo.name: row for photo, row in zip(here.photos, here.scores, strict=True)}
    both = [(rows[photo.name], row) for photo, row in zip(there.photos, there.scores, strict=True)]
    same = sum(int(one.argmax()) == int(other.argmax()) for one, other in both)
    difference = max((float(np.abs(one - other).max()) for one, other in both), default=0.0)
    if len(both) < len(rows):
        reporter.warn(f"{device.host}: could not read {len(rows) - len(both)} of {len(rows)} photos.")
    if same < len(both) or difference > _SAME_SCORES:
        reporter.warn(
            f"{device.host}, {model.name}: scores differ from this machine's by up to {difference:.3f};"
            f" {len(both) - same} of {len(both)} photos get another answer there."
        )
    return ScoreCheck(photos=len(both), agreement=same / len(both) if both else 0.0, difference=difference)
