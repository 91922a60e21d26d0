"""Client for a measurement on a device. It receives progress messages, warnings and finished rounds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poets_edge import errors
from poets_edge.bench.benchmark import thread_counts
from poets_edge.bench.remote.answers import Items
from poets_edge.bench.remote.installation import Installation, item, send
from poets_edge.bench.remote.messages import (
    Advance,
    Begin,
    End,
    FactsRequest,
    Failure,
    FinishedRound,
    Machine,
    Message,
    Note,
    PhotoScores,
    Request,
    Result,
    RoundsRequest,
    Wait,
    Warn,
    read_message,
)
from poets_edge.bench.rounds import Round, RoundLog, TimingConfig, Variant, round_stamp, variants_of
from poets_edge.core.files import sha256_of
from poets_edge.device.scorer import ModelOutput
from poets_edge.errors import PoetsEdgeError, RecordError, RemoteError
from poets_edge.progress import Reporter

_MODULE = "poets_edge.bench.remote.measure"
_MOST_SAMPLES = 5_000_000
"""Maximum number of inference times that a device may send; by default, about ten thousand are measured per variant."""
_DEFAULT_THREADS = 3
"""Maximum number of different thread counts that a device measures by default."""
_SPARE_MESSAGES = 10_000
"""Maximum number of messages, such as notes and warnings, that a device may send in addition to results."""
_MESSAGES_PER_RESULT = 10
_MOST_BARS = 8
"""Maximum number of nested progress bars."""


@dataclass(frozen=True, kw_only=True)
class DeviceTimings:
    """Result of `measure_rounds`. The timings themselves are in the log that was passed to the function.

    Attributes:
        machine: description of the device; see `machine_facts`.
        variants: measured variants.
        stamp: digest of the measurement conditions, which identifies the rounds in the log.
        outputs: scores of each photo and its distance from the training photos, keyed by (model index, photo name).
        warnings: descriptions of disturbances of the device.
    """

    machine: dict[str, Any]
    variants: tuple[Variant, ...]
    stamp: str
    outputs: dict[tuple[int, str], ModelOutput]
    warnings: tuple[str, ...]


def device_facts(installation: Installation, reporter: Reporter) -> dict[str, Any]:
    """Return the result of `machine_facts` on the device. Raises RemoteError if the request fails."""
    follower = Follower(installation, reporter)
    follower.run(FactsRequest())
    return follower.machine


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


class Follower:
    """Client for one request to a device, which shows the progress and warnings that the device sends.

    Attributes:
        machine: description of the device (see `machine_facts`); empty until the device has sent it.
    """

    def __init__(self, installation: Installation, reporter: Reporter, *, results: int = 0) -> None:
        """Create a client. `results` is the number of requested results, which limits the number of messages."""
        self.machine: dict[str, Any] = {}
        self._installation = installation
        self._reporter = reporter
        self._bars: list[_Bar] = []
        self._last: Failure | Result | None = None
        self._messages_left = _SPARE_MESSAGES + _MESSAGES_PER_RESULT * results

    def run(self, request: Request, *, measuring: float = 0.0) -> tuple[str, ...]:
        """Send a request to the device, and return descriptions of disturbances during the measurement.

        Args:
            measuring: measuring time in seconds; the device need not send a message during this time.

        Raises:
            RemoteError: the connection was lost, or the device sent a result that was not requested.
            PoetsEdgeError: the error that the device reported.
        """
        host = self._installation.host
        text = json.dumps(request.to_json())
        pause = self._installation.connection.limits.measuring + measuring
        try:
            ended = self._installation.run(_MODULE, text=text, line=self._read, pause=pause)
        finally:
            while self._bars:
                self._bars.pop().close()
        if isinstance(self._last, Failure):
            kind: Any = getattr(errors, self._last.name, None)
            if not (isinstance(kind, type) and issubclass(kind, PoetsEdgeError)):
                kind = PoetsEdgeError
            raise kind(f"{host}: {self._last.error}")
        if self._last is None or not self.machine:
            raise RemoteError(f"{host}: the measurement ended early there ({ended.last_words}).")
        return self._last.warnings

    def on_machine(self) -> None:
        """Process the description of the device; called when it has been received and stored in `machine`."""

    def on_result(self, message: Message) -> None:
        """Process a message with a round, scores or a load window. Raises RecordError if it was not requested."""
        raise RecordError(f"{type(message).__name__} was not requested")

    def _read(self, line: str) -> None:
        try:
            self._take(read_message(line))
        except RecordError as error:
            raise self._installation.connection.invalid_answer(str(error)) from None

    def _take(self, message: Message) -> None:
        if self._last is not None:
            raise RecordError("a message after the last")
        self._messages_left -= 1
        if self._messages_left < 0 or len(self._bars) > _MOST_BARS:
            raise RecordError("too many messages")
        if isinstance(message, Begin):
            what = f"{self._installation.host}: {message.what}"
            self._bars.append(_Bar(self._reporter.progress(what, message.total, message.unit), message.total))
        elif isinstance(message, Advance):
            if not self._bars:
                raise RecordError("progress of nothing")
            self._bars[-1].advance(message.amount)
        elif isinstance(message, End):
            if self._bars:
                self._bars.pop().close()
        elif isinstance(message, Note):
            self._reporter.note(f"{self._installation.host}: {message.text}")
        elif isinstance(message, Warn):
            self._reporter.warn(f"{self._installation.host}: {message.text}")
        elif isinstance(message, Wait):
            pass  # its arrival is what counts
        elif isinstance(message, Machine):
            if self.machine:
                raise RecordError("the machine, a second time")
            self.machine = message.to_json()
            self.on_machine()
        elif isinstance(message, (Failure, Result)):
            self._last = message
        else:
            self.on_result(message)


class _Bar:
    """A progress bar that cannot move beyond its end."""

    def __init__(self, bar: AbstractContextManager[Callable[[int], object]], total: int) -> None:
        self._stack = ExitStack()
        self._advance = self._stack.enter_context(bar)
        self._left = total

    def advance(self, amount: int) -> None:
        """Advance the bar by `amount`. Raises RecordError if this moves it beyond its end."""
        if amount > self._left:
            raise RecordError("progress beyond the end")
        self._left -= amount
        self._advance(amount)

    def close(self) -> None:
        """Remove the bar."""
        self._stack.close()


class _RoundsFollower(Follower):
    """Client that adds rounds from a device to a log and collects the scores that the device sends.

    Attributes:
        stamp: digest of the measurement conditions; "" until the description of the device is known.
        outputs: scores of each photo and its distance from the training photos, keyed by (model index, photo name).
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
        """Sentence for error messages that states how many rounds are saved; "" if none are saved."""
        count = self._count()
        return f"{count} measured rounds are kept; the same command continues from there." if count else ""

    def _count(self) -> int:
        return sum(round.stamp == self.stamp for round in self._log.rounds_of(self._digests))
