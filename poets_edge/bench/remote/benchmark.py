"""`benchmark --on HOST`: models of this machine, measured on others, in the same words.

Comes in: what `benchmark` takes, and hosts. Goes out: for each device what `benchmark` would have given there, about
the files that lie here; and, where there are photos, the device's scores beside this machine's, because that an ARM
answers as a PC does is to be checked, not assumed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poets_edge.bench.benchmark import DEVICES_FORMAT, BenchmarkOptions, BenchmarkResult, Judged
from poets_edge.bench.measurement import Measurement, Variant, model_facts
from poets_edge.bench.remote.connection import Connection, check_host
from poets_edge.bench.remote.installation import Installation, install, item, send
from poets_edge.bench.remote.kept import Kept, open_kept
from poets_edge.bench.remote.session import measure_there
from poets_edge.bench.remote.wheels import digest_of
from poets_edge.core.files import distinct_names, sha256_of
from poets_edge.device.classifier import Classifier
from poets_edge.device.evaluate import evaluate
from poets_edge.device.metrics import Evaluation
from poets_edge.device.predictions import Scored
from poets_edge.errors import RemoteError, UsageError
from poets_edge.photos.elsewhere import is_elsewhere
from poets_edge.progress import Reporter, Silent

_SAME_SCORES = 1e-4
"""Float scores of one photo differ by less between processors, which sum in different orders (measured: 1e-5)."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A model's scores on a device beside those of this machine, on the same photos.

    Attributes:
        photos: that both could read.
        agreement: share of them with the same first answer.
        difference: the largest of any score.
    """

    photos: int
    agreement: float
    difference: float


@dataclass(frozen=True, kw_only=True)
class DeviceResult:
    """The measurements of one device ("" is this machine); `result` names the models as they lie here."""

    host: str
    result: BenchmarkResult
    checked: dict[Path, Checked] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As `BenchmarkResult.to_json`, with the host, and `checked` beside each accuracy."""
        found = self.result.to_json()
        for measured, entry in zip(self.result.measurements, found["results"], strict=True):
            if measured.variant.model in self.checked:
                entry["accuracy"]["checked"] = asdict(self.checked[measured.variant.model])
        return {**found, "host": self.host} if self.host else found


def devices_dict(results: Sequence[DeviceResult]) -> dict[str, Any]:
    """For JSON: one device as `benchmark` writes it, several in a list; `compare` reads both."""
    if len(results) == 1:
        return results[0].to_json()
    return {"format": DEVICES_FORMAT, "devices": [device.to_json() for device in results]}


def benchmark_on(
    options: BenchmarkOptions, hosts: Sequence[str], *, folder: str = "", reporter: Reporter | None = None
) -> tuple[list[DeviceResult], list[RemoteError]]:
    """Measure models on other devices, one device after the other.

    All are logged in to and set up before the first one measures, so passwords are asked for at the start.

    Args:
        hosts: as ssh takes them.
        folder: where the program goes there; by default under the user's cache folder.

    Returns:
        What was measured, and why a device that began to measure could not end.

    Raises:
        UsageError: a host is named twice.
        RemoteError: a device cannot be reached or set up.
        ModelError, DatasetError: as `benchmark` raises them, before a device is asked for anything.
    """
    reporter = reporter or Silent()
    twice = next((host for host in hosts if list(hosts).count(host) > 1), None)
    if twice:
        raise UsageError(f"host {twice} is given twice.")
    for host in hosts:
        check_host(host)
    for model in options.models:
        Classifier(model, labels=options.labels, unlabelled=True)
    here = _score_here(options, reporter)
    results, failures = [], []
    with ExitStack() as stack:
        devices = []
        for host in hosts:
            connection = stack.enter_context(Connection(host))
            devices.append(install(connection, folder=folder, reporter=reporter))
        _warn_of_same(devices, reporter)
        for device in devices:
            try:
                results.append(_benchmark(device, options, here, reporter))
            except RemoteError as error:
                failures.append(error)
    return results, failures


def _score_here(options: BenchmarkOptions, reporter: Reporter) -> dict[Path, Scored]:
    """This machine's answers. Raises UsageError where the models' test photos are not the same ones."""
    if options.image_dir is None:
        return {}
    if is_elsewhere(str(options.image_dir)):
        raise UsageError(
            f"`image_dir` {options.image_dir}: photos are sent to devices as files. Give a folder of them."
        )
    scored = {
        model: evaluate(
            Classifier(model, labels=options.labels), options.image_dir, split=options.split, reporter=reporter
        ).predictions
        for model in dict.fromkeys(options.models)
    }
    if len({tuple(photo.name for photo in found.photos) for found in scored.values()}) > 1:
        raise UsageError("the models were trained with different test photos. Measure them one by one, or all photos.")
    return scored


def _warn_of_same(devices: Sequence[Installation], reporter: Reporter) -> None:
    boots: dict[str, str] = {}
    for device in devices:
        boot = device.facts["boot"]
        if boot and boot in boots:
            reporter.warn(f"{boots[boot]} and {device.host} are one machine.")
        boots[boot] = device.host
        if boot and _BOOT.exists() and boot == _BOOT.read_text().strip():
            reporter.warn(f"{device.host} is this machine; without a host the same is measured without a copy.")


def _benchmark(
    device: Installation, options: BenchmarkOptions, here: Mapping[Path, Scored], reporter: Reporter
) -> DeviceResult:
    models = tuple(dict.fromkeys(options.models))
    photos = next(iter(here.values())).photos if here else ()
    image_dir = _send_files(device, "photos", {photo.name: photo.file for photo in photos}, reporter)
    labels = _send_files(device, "labels", {"labels.txt": options.labels} if options.labels else {}, reporter)
    kept = _kept(device, options, models, image_dir)
    answer = measure_there(
        device,
        models,
        task="benchmark",
        threads=options.threads,
        settings=options.settings,
        kept=kept,
        reporter=reporter,
        image_dir=image_dir,
        labels=labels and f"{labels}/labels.txt",
    )
    kept.done()
    names = dict(zip(models, distinct_names(models), strict=True))
    return DeviceResult(
        host=device.host,
        result=_result(answer, models, names),
        checked=_check(device, answer, models, here, reporter),
    )


def _send_files(device: Installation, kind: str, members: dict[str, Path], reporter: Reporter) -> str | None:
    """A folder on the device with these files, named after their content; None without any."""
    if not members:
        return None
    content = [f"{name} {sha256_of(path)}" for name, path in sorted(members.items())]
    name = item(kind, *content)
    if not device.connection.ask("have", items=[name])["items"]:
        send(device.connection, name, members, reporter, f"copying {len(members)} {kind}")
    return str(device.folder / name)


def _kept(device: Installation, options: BenchmarkOptions, models: Sequence[Path], image_dir: str | None) -> Kept:
    """The results that an earlier run of the same command left."""
    settings = [
        str(device.folder),
        *device.items,
        *map(sha256_of, models),
        str(asdict(options.settings)),
        str(image_dir),
    ]
    return open_kept(digest_of(device.host, *settings))


def _result(answer: dict[str, Any], models: Sequence[Path], names: Mapping[Path, str]) -> BenchmarkResult:
    """The device's answer, about the files here."""
    measurements, judged = [], {}
    warnings = list(answer["warnings"])
    for (number, threads), entry in zip(answer["variants"], answer["results"], strict=True):
        model = models[number]
        facts = model_facts(model, names[model])
        measurements.append(Measurement(Variant(model, threads), facts, tuple(entry["rounds"])))
        warnings = [text.replace(entry["name"], facts.name) for text in warnings]
        if "accuracy" in entry:
            judged[model] = _judged(entry["accuracy"])
    return BenchmarkResult(
        machine=answer["machine"],
        measurements=tuple(measurements),
        judged=judged,
        warnings=tuple(warnings),
    )


def _judged(entry: dict[str, Any]) -> Judged:
    entropy = entry["cross_entropy"]
    confusion = np.array(entry["confusion"], np.int64)
    evaluation = Evaluation(tuple(entry["recall"]), confusion, math.nan if entropy is None else entropy)
    return Judged(evaluation, entry["agreement_with_float"])


def _check(
    device: Installation,
    answer: dict[str, Any],
    models: Sequence[Path],
    here: Mapping[Path, Scored],
    reporter: Reporter,
) -> dict[Path, Checked]:
    checked = {}
    for number, photos, rows in answer["scores"]:
        there = dict(zip(photos, np.array(rows, np.float32), strict=True))
        mine = {
            photo.name: row for photo, row in zip(here[models[number]].photos, here[models[number]].scores, strict=True)
        }
        both = [(mine[name], there[name]) for name in mine if name in there]
        same = sum(int(one.argmax()) == int(other.argmax()) for one, other in both)
        difference = max((float(np.abs(one - other).max()) for one, other in both), default=0.0)
        checked[models[number]] = Checked(
            photos=len(both), agreement=same / len(both) if both else 0.0, difference=difference
        )
        if len(both) < len(mine):
            reporter.warn(f"{device.host}: could not read {len(mine) - len(both)} of {len(mine)} photos.")
        if same < len(both) or difference > _SAME_SCORES:
            reporter.warn(
                f"{device.host}, {models[number].name}: scores differ from this machine's by up to {difference:.3f};"
                f" {len(both) - same} of {len(both)} photos get another answer there."
            )
    return checked
