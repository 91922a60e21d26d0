"""A measurement on a device, followed from here: its progress, its warnings, its rounds as they are finished."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge import errors
from poets_edge.bench.benchmark import thread_counts
from poets_edge.bench.remote.installation import Installation, item, send
from poets_edge.bench.remote.messages import FactsRequest, Request, RoundsAnswer, RoundsRequest, check_machine
from poets_edge.bench.rounds import Round, RoundLog, TimingConfig, Variant, round_stamp, variants_of
from poets_edge.core.files import sha256_of
from poets_edge.core.json_checks import Optional, check, parse_json
from poets_edge.errors import PoetsEdgeError, RecordError, RemoteError
from poets_edge.progress import Reporter

_MODULE = "poets_edge.bench.remote.measure"
_MESSAGE = {
    "begin": Optional(str),
    "total": Optional(int),
    "unit": Optional(str),
    "advance": Optional(int),
    "note": Optional(str),
    "warn": Optional(str),
    "machine": Optional(dict),
    "round": Optional(dict),
    "result": Optional(dict),
    "error": Optional(str),
    "kind": Optional(str),
}
"""Messages of `poets_edge.bench.remote.measure`, one per line."""


@dataclass(frozen=True, kw_only=True)
class DeviceTimings:
    """Timings of models on a device; the rounds are in the log.

    Attributes:
        machine: facts about the device.
        variants: that were measured.
        stamp: of the rounds.
    """

    machine: dict[str, Any]
    variants: tuple[Variant, ...]
    stamp: str
    answer: RoundsAnswer


def device_facts(installation: Installation, reporter: Reporter) -> dict[str, Any]:
    """Return facts about the device, as `machine_facts` returns them there. Raises RemoteError."""
    follower = Follower(installation, reporter)
    follower.run(FactsRequest())
    return follower.machine


def send_models(installation: Installation, models: Sequence[Path], reporter: Reporter) -> list[str]:
    """Copy models to the device, unless it has them, and return the path of each there."""
    items = {}
    for number, model in enumerate(models):  # the number keeps copies under one name apart
        again = sum(other.name == model.name for other in models[:number])
        items[item("models", sha256_of(model), model.name, str(again))] = model
    have = installation.connection.ask("have", items=list(items))["items"]
    for name, model in items.items():
        if name not in have:
            send(installation.connection, name, {_name_there(model): model}, reporter, f"copying {model.name}")
    return [str(installation.folder / name / _name_there(model)) for name, model in items.items()]


def _name_there(model: Path) -> str:
    """Return the model's name, or a plain one if systemd or a terminal could not show it."""
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
) -> DeviceTimings:
    """Measure models of this machine on the device.

    Args:
        threads: empty for the device's default.
        log: receives each round; those that it holds are not measured again.
        image_dir, labels: on the device; "" for none.

    Raises:
        RemoteError: the connection was lost; the message says how many rounds are saved.
        PoetsEdgeError: the error that the device reported.
        OutputError: the log cannot save a round.
    """
    paths = send_models(installation, models, reporter)
    digests = [sha256_of(model) for model in models]
    request = RoundsRequest(
        models=tuple(paths),
        threads=tuple(threads),
        config=config,
        known=tuple(log.of_models(digests)),
        image_dir=image_dir,
        labels=labels,
    )
    follower = _RoundsFollower(installation, reporter, request, digests, log)
    try:
        answer = RoundsAnswer.from_json(follower.run(request))
    except RecordError as error:
        raise not_understood(installation, error) from None
    except RemoteError as error:
        raise RemoteError(f"{error} {follower.saved}".strip()) from None
    except KeyboardInterrupt:
        if follower.saved:
            reporter.note(f"{installation.host}: {follower.saved}")
        raise
    variants = variants_of(models, thread_counts(threads, follower.machine))
    if not all(log.timings(follower.stamp, variant, config.rounds) for variant in variants):
        raise RemoteError(f"{installation.host}: it has not measured all models.")
    return DeviceTimings(machine=follower.machine, variants=tuple(variants), stamp=follower.stamp, answer=answer)


def not_understood(installation: Installation, error: RecordError) -> RemoteError:
    """Return the error for an answer of a device that cannot be read."""
    return RemoteError(f"{installation.host}: it answers what is not understood here ({error}).")


class Follower:
    """Runs one request on a device and passes on what it reports.

    Attributes:
        machine: facts about the device, once it has sent them.
    """

    def __init__(self, installation: Installation, reporter: Reporter) -> None:
        self.machine: dict[str, Any] = {}
        self._installation = installation
        self._reporter = reporter
        self._bars = ExitStack()
        self._advance: Callable[[int], object] = lambda amount: None
        self._last: dict[str, Any] = {}

    def run(self, request: Request) -> Any:
        """Return the device's answer.

        Raises:
            RemoteError: the connection was lost, or the device gave no answer.
            PoetsEdgeError: the error that the device reported.
        """
        host = self._installation.host
        with self._bars:
            ended = self._installation.run(_MODULE, text=json.dumps(request.to_json()), line=self._read)
        if "error" in self._last:
            kind: Any = getattr(errors, self._last.get("kind") or "", None)
            if not (isinstance(kind, type) and issubclass(kind, PoetsEdgeError)):
                kind = PoetsEdgeError
            raise kind(f"{host}: {self._last['error']}")
        if "result" not in self._last or not self.machine:
            raise RemoteError(f"{host}: the measurement ended early there ({ended.last_words[:200]}).")
        return self._last["result"]

    def on_machine(self) -> None:
        """React to the facts about the device."""

    def on_round(self, round: Round) -> None:
        """React to a finished round. Raises RecordError where it was not asked for."""

    def _read(self, line: str) -> None:
        try:
            self._take(check(parse_json(line), _MESSAGE))
        except RecordError as error:
            raise not_understood(self._installation, error) from None

    def _take(self, message: dict[str, Any]) -> None:
        if "begin" in message:
            what = f"{self._installation.host}: {message['begin']}"
            self._advance = self._bars.enter_context(self._reporter.progress(what, message["total"], message["unit"]))
        elif "advance" in message:
            self._advance(message["advance"])
        elif "end" in message:
            self._bars.close()
        elif "note" in message:
            self._reporter.note(f"{self._installation.host}: {message['note']}")
        elif "warn" in message:
            self._reporter.warn(f"{self._installation.host}: {message['warn']}")
        elif "machine" in message:
            self.machine = check_machine(message["machine"])
            self.on_machine()
        elif "round" in message:
            self.on_round(Round.from_json(message["round"]))
        else:
            self._last = message


class _RoundsFollower(Follower):
    """Adds the rounds that a device measures to a log."""

    def __init__(
        self,
        installation: Installation,
        reporter: Reporter,
        request: RoundsRequest,
        digests: Iterable[str],
        log: RoundLog,
    ) -> None:
        super().__init__(installation, reporter)
        self.stamp = ""
        self._request = request
        self._digests = set(digests)
        self._log = log

    def on_machine(self) -> None:
        self.stamp = round_stamp(self.machine, self._request.config)
        if known := self._count():
            self._reporter.note(f"{self._installation.host}: {known} rounds were measured before")

    def on_round(self, round: Round) -> None:
        if round.stamp != self.stamp or round.sha256 not in self._digests:
            raise RecordError("a round of something else")
        self._log.add(round)

    @property
    def saved(self) -> str:
        """How many rounds are saved, for messages; empty if there are none."""
        count = self._count()
        return f"{count} measured rounds are kept; the same command goes on from there." if count else ""

    def _count(self) -> int:
        return sum(round.stamp == self.stamp for round in self._log.of_models(list(self._digests)))
