"""Time models on a device in rounds, and score photos on the device with these models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poets_edge.bench.benchmark import thread_counts
from poets_edge.bench.remote.answers import Items
from poets_edge.bench.remote.follower import Follower
from poets_edge.bench.remote.installation import Installation, item, send
from poets_edge.bench.remote.messages import FinishedRound, Message, PhotoScores, RoundsRequest
from poets_edge.bench.rounds import Round, RoundLog, TimingConfig, Variant, round_stamp, variants_of
from poets_edge.core.files import sha256_of
from poets_edge.device.scorer import ModelOutput
from poets_edge.errors import RecordError, RemoteError
from poets_edge.progress import Reporter

_MOST_SAMPLES = 5_000_000
"""Maximum number of inference times that one device may send. By default, it sends about 10,000 for each combination of
model and thread count."""
_DEFAULT_THREADS = 3
"""Maximum number of different thread counts that a device measures by default."""


@dataclass(frozen=True, kw_only=True)
class DeviceTimings:
    """Result of `measure_rounds`. The timings themselves are in the log that was passed to that function.

    Attributes:
        machine: description of the device; see `machine_facts`.
        variants: measured combinations of a model and a number of threads.
        stamp: digest of the measurement conditions, which identifies the rounds in the log.
        outputs: output of each model for each photo, keyed by (model index, photo name): the scores, and the distance
            from which the unknown-photo detector tells whether the photo is unlike the training photos.
        warnings: descriptions of disturbances of the device.
    """

    machine: dict[str, Any]
    variants: tuple[Variant, ...]
    stamp: str
    outputs: dict[tuple[int, str], ModelOutput]
    warnings: tuple[str, ...]


def send_models(installation: Installation, models: Sequence[Path], reporter: Reporter) -> list[str]:
    """Copy models to the device unless it already has them, and return their paths on the device."""
    items = {}
    for number, model in enumerate(models):  # the number keeps copies under one name apart
        again = sum(other.name == model.name for other in models[:number])
        items[item("models", sha256_of(model), model.name, str(again))] = model
    have = installation.connection.ask("have", Items, items=list(items)).items
    for name, model in items.items():
        if name not in have:
            send(installation.connection, name, {_name_there(model): model}, reporter, f"copying {model.name}")
    return [str(installation.folder / name / _name_there(model)) for name, model in items.items()]


def _name_there(model: Path) -> str:
    """Return a model's file name on the device: the local name or, if that is not printable, "model" with a suffix."""
    return model.name if model.name.isprintable() else f"model{model.suffix if model.suffix.isprintable() else ''}"


def measure_rounds(
    installation: Installation,
    models: Sequence[Path],
    *,
    threads: Sequence[int],
    config: TimingConfig,
    log: RoundLog,
    reporter: Reporter,
    image_dir: str = "",
    labels: str = "",
    input_range: str = "",
    photos: Sequence[str] = (),
    widths: Sequence[int] = (),
) -> DeviceTimings:
    """Time local models on the device in rounds and, if `image_dir` is given, score photos with them.

    Args:
        threads: numbers of CPU threads per inference; empty for the default on the device.
        log: log to which finished rounds are added; rounds that it already contains are not measured again.
        image_dir, labels: paths of the photo folder and the labels file on the device; "" for none.
        input_range: value of `BenchmarkOptions.input_range`; "" for None.
        photos: names of the photos in `image_dir`.
        widths: number of labels per model; empty if there are no photos.

    Raises:
        RemoteError: the connection was lost, or the device sent a result that was not requested. The message states
            the number of saved rounds.
        PoetsEdgeError: the error that the device reported.
        OutputError: the log cannot save a round.
    """
    paths = send_models(installation, models, reporter)
    digests = [sha256_of(model) for model in models]
    request = RoundsRequest(
        models=tuple(paths),
        threads=tuple(threads),
        config=config,
        known=tuple(log.rounds_of(digests)),
        image_dir=image_dir,
        labels=labels,
        input_range=input_range,
    )
    follower = _RoundsFollower(installation, reporter, request, digests, log, photos, widths)
    try:
        warnings = follower.run(request, measuring=config.seconds)
    except RemoteError as error:
        raise RemoteError(f"{error} {follower.saved}".strip()) from None
    except KeyboardInterrupt:
        if follower.saved:
            reporter.note(f"{installation.host}: {follower.saved}")
        raise
    variants = variants_of(models, thread_counts(threads, follower.machine))
    if not all(log.timings(follower.stamp, variant, config.rounds) for variant in variants):
        raise RemoteError(f"{installation.host}: it has not measured all models.")
    return DeviceTimings(
        machine=follower.machine,
        variants=tuple(variants),
        stamp=follower.stamp,
        outputs=follower.outputs,
        warnings=warnings,
    )


class _RoundsFollower(Follower):
    """Client that adds rounds from a device to a log and collects the scores that the device sends.

    Attributes:
        stamp: digest of the measurement conditions; "" until the description of the device is known.
        outputs: output of each model for each photo, keyed by (model index, photo name): the scores, and the distance
            from which the unknown-photo detector tells whether the photo is unlike the training photos.
    """

    def __init__(
        self,
        installation: Installation,
        reporter: Reporter,
        request: RoundsRequest,
        digests: Sequence[str],
        log: RoundLog,
        photos: Sequence[str],
        widths: Sequence[int],
    ) -> None:
        variants = len(request.models) * (len(request.threads) or _DEFAULT_THREADS)
        super().__init__(
            installation, reporter, results=variants * request.config.rounds + len(request.models) * len(photos)
        )
        self.stamp = ""
        self.outputs: dict[tuple[int, str], ModelOutput] = {}
        self._request = request
        self._digests = list(digests)
        self._log = log
        self._photos = frozenset(photos)
        self._widths = widths
        self._samples = 0

    def on_machine(self) -> None:
        self.stamp = round_stamp(self.machine, self._request.config)
        if known := self._count():
            self._reporter.note(f"{self._installation.host}: {known} rounds were measured before")

    def on_result(self, message: Message) -> None:
        if isinstance(message, FinishedRound) and self.machine:
            self._take_round(Round.from_json(message.round))
        elif isinstance(message, PhotoScores):
            self._take_scores(message)
        else:
            super().on_result(message)

    def _take_round(self, round: Round) -> None:
        stages = (round.timing.decode_ms, round.timing.resize_ms, round.timing.inference_ms)
        self._samples += len(round.timing.samples_ms) + len(round.timing.kernel_ms or ())
        if (
            round.stamp != self.stamp
            or round.copy >= self._digests.count(round.sha256)
            or round.threads not in thread_counts(self._request.threads, self.machine)
            or round.number >= self._request.config.rounds
            or round.key in self._log.rounds
            or len({len(samples or ()) for samples in stages}) != 1
            or not stages[0]
            or self._samples > _MOST_SAMPLES
        ):
            raise RecordError("a round that was not requested")
        self._log.add(round)

    def _take_scores(self, found: PhotoScores) -> None:
        key = (found.model, found.photo)
        fits = found.model < len(self._widths) and len(found.scores) == self._widths[found.model]
        if not fits or found.photo not in self._photos or key in self.outputs:
            raise RecordError("scores that were not requested")
        self.outputs[key] = ModelOutput(np.array(found.scores, np.float32), found.distance)

    @property
    def saved(self) -> str:
        """Sentence for error messages that states how many measured rounds are saved; "" if none are saved."""
        count = self._count()
        return f"{count} measured rounds are kept; the same command continues from there." if count else ""

    def _count(self) -> int:
        return sum(round.stamp == self.stamp for round in self._log.rounds_of(self._digests))
