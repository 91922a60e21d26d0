"""A measurement on a device, followed from here: its progress, its warnings, its rounds as they are finished.

Comes in: an installation, models, what to measure. Goes out: what `poets_edge.bench.remote.measure` answered there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from poets_edge import errors
from poets_edge.bench.measurement import Settings
from poets_edge.bench.remote.installation import Installation, item, send
from poets_edge.bench.remote.kept import Kept
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
    "status": Optional(str),
    "warn": Optional(str),
    "machine": Optional(dict),
    "round": Optional((int, int, int, dict)),
    "error": Optional(str),
    "kind": Optional(str),
}
"""Messages of `poets_edge.bench.remote.measure`, a line each; its result is checked by who asked."""


def device_facts(installation: Installation, reporter: Reporter) -> dict[str, Any]:
    """Facts about the device, as `machine_facts` gives them there. Raises RemoteError."""
    facts: dict[str, Any] = ask_there(installation, {"task": "facts"}, reporter)
    return facts


def ask_there(installation: Installation, request: dict[str, Any], reporter: Reporter) -> Any:
    """Send a request to `poets_edge.bench.remote.measure` on the device and return its answer.

    Raises:
        RemoteError: the connection was lost, or the device gave no answer.
        PoetsEdgeError: the error that the device reported.
    """
    return _Followed(installation, reporter).run(request)


def send_models(installation: Installation, models: Sequence[Path], reporter: Reporter) -> list[str]:
    """Have the models on the device; return the path of each there. Those that are there are not sent again."""
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


def measure_there(
    installation: Installation,
    models: Sequence[Path],
    *,
    task: str,
    threads: Sequence[int],
    settings: Settings,
    kept: Kept,
    reporter: Reporter,
    image_dir: str | None = None,
    labels: str | None = None,
) -> Any:
    """Measure models of this machine on the device.

    Args:
        task: "benchmark" or "rounds", as `poets_edge.bench.remote.measure` has them.
        kept: rounds that are there already, and where new ones go.
        image_dir, labels: on the device.

    Raises:
        RemoteError: the connection was cut; the message says what is kept.
        PoetsEdgeError: what the device raised itself.
    """
    places = send_models(installation, models, reporter)
    digests = [sha256_of(model) for model in models]
    known = [
        [digests.index(digest), threads, turn, entry]
        for (digest, threads, turn), entry in kept.rounds.items()
        if digest in digests
    ]
    if known:
        reporter.note(f"{installation.host}: {len(known)} rounds were measured before")
    request = {
        "task": task,
        "models": places,
        "threads": list(threads),
        "settings": asdict(settings),
        "image_dir": image_dir,
        "labels": labels,
        "known": {"machine": kept.machine, "rounds": known},
    }

    def keep(number: int, threads: int, turn: int, entry: dict[str, Any]) -> None:
        kept.add((digests[number], threads, turn), entry)

    try:
        return _Followed(installation, reporter, kept.start, keep).run(request)
    except RemoteError as error:
        raise RemoteError(f"{error} {_kept_words(kept)}".strip()) from None
    except KeyboardInterrupt:
        if words := _kept_words(kept):
            reporter.note(f"{installation.host}: {words}")
        raise


def _kept_words(kept: Kept) -> str:
    count = len(kept.rounds)
    return f"{count} measured rounds are kept; the same command goes on from there." if count else ""


class _Followed:
    """Reads what the device tells, line by line."""

    def __init__(
        self,
        installation: Installation,
        reporter: Reporter,
        start: Callable[[dict[str, Any]], object] = lambda machine: None,
        keep: Callable[[int, int, int, dict[str, Any]], object] = lambda *_: None,
    ) -> None:
        self._installation = installation
        self._reporter = reporter
        self._start = start
        self._keep = keep
        self._bars = ExitStack()
        self._advance: Callable[[int], object] = lambda amount: None
        self._last: Mapping[str, Any] = {}

    def run(self, request: dict[str, Any]) -> Any:
        host = self._installation.host
        with self._bars:
            ended = self._installation.run(_MODULE, text=json.dumps(request), line=self._read)
        if "error" in self._last:
            kind: Any = getattr(errors, self._last.get("kind") or "", None)
            if not (isinstance(kind, type) and issubclass(kind, PoetsEdgeError)):
                kind = PoetsEdgeError
            raise kind(f"{host}: {self._last['error']}")
        if "result" not in self._last:
            raise RemoteError(f"{host}: the measurement ended early there ({ended.last_words[:200]}).")
        return self._last["result"]

    def _read(self, line: str) -> None:
        try:
            message = check(parse_json(line), _MESSAGE)
        except RecordError as error:
            raise RemoteError(f"{self._installation.host}: it answers what is not understood here ({error}).") from None
        if "begin" in message:
            what = f"{self._installation.host}: {message['begin']}"
            self._advance = self._bars.enter_context(self._reporter.progress(what, message["total"], message["unit"]))
        elif "advance" in message:
            self._advance(message["advance"])
        elif "end" in message:
            self._bars.close()
        elif "note" in message:
            self._reporter.note(f"{self._installation.host}: {message['note']}")
        elif "status" in message:
            self._reporter.status(f"{self._installation.host}: {message['status']}")
        elif "warn" in message:
            self._reporter.warn(f"{self._installation.host}: {message['warn']}")
        elif "machine" in message:
            self._start(message["machine"])
        elif "round" in message:
            self._keep(*message["round"])
        else:
            self._last = message
