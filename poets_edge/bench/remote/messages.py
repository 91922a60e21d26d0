"""Requests to `poets_edge.bench.remote.measure` on a device, and the messages that it sends, one per line of JSON.

Messages from another machine are not trusted: each is checked when it is read, with limits on every value.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, TypeAlias

from poets_edge.bench.remote.answers import Count, Index, Integer, Number, Score, Text, Texts, parse_line
from poets_edge.bench.rounds import Round, TimingConfig
from poets_edge.core.json_objects import from_json
from poets_edge.errors import RecordError


@dataclass(frozen=True)
class FactsRequest:
    """Request for the facts about the device only."""

    def to_json(self) -> dict[str, Any]:
        return {"task": "facts"}


@dataclass(frozen=True, kw_only=True)
class RoundsRequest:
    """Request for rounds of models and, optionally, for their scores of photos.

    Attributes:
        models, image_dir, labels: paths on the device; the last two may be "".
        input_range: `BenchmarkOptions.input_range`, or "".
        threads: empty for the device's default.
        known: finished rounds, which are not measured again if their conditions are those of the device.
    """

    models: tuple[str, ...]
    threads: tuple[int, ...]
    config: TimingConfig
    known: tuple[Round, ...] = ()
    image_dir: str = ""
    labels: str = ""
    input_range: str = ""

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RoundsRequest:
        return cls(
            models=tuple(value["models"]),
            threads=tuple(value["threads"]),
            config=TimingConfig(**value["config"]),
            known=tuple(map(Round.from_json, value["known"])),
            image_dir=value["image_dir"],
            labels=value["labels"],
            input_range=value["input_range"],
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "task": "rounds",
            "models": list(self.models),
            "threads": list(self.threads),
            "config": asdict(self.config),
            "known": [round.to_json() for round in self.known],
            "image_dir": self.image_dir,
            "labels": self.labels,
            "input_range": self.input_range,
        }


@dataclass(frozen=True, kw_only=True)
class LoadRequest:
    """Request for a sustained load on models; see `SustainedOptions`.

    Attributes:
        models: paths on the device.
    """

    models: tuple[str, ...]
    seconds: float
    threads: int
    rate: float | None

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LoadRequest:
        fields = {name: value[name] for name in ("seconds", "threads", "rate")}
        return cls(models=tuple(value["models"]), **fields)

    def to_json(self) -> dict[str, Any]:
        return {"task": "sustained", **asdict(self), "models": list(self.models)}


Request = FactsRequest | RoundsRequest | LoadRequest


def read_request(value: dict[str, Any]) -> Request:
    """Read a request. Raises KeyError: it is of another version, which `install` prevents."""
    if value["task"] == "rounds":
        return RoundsRequest.from_json(value)
    return LoadRequest.from_json(value) if value["task"] == "sustained" else FactsRequest()


@dataclass(frozen=True, kw_only=True)
class Begin:
    """Start of a progress bar."""

    what: Text
    total: Count
    unit: Text


@dataclass(frozen=True)
class Advance:
    """Advance of the progress bar by an amount."""

    amount: Count


@dataclass(frozen=True)
class End:
    """End of the current progress bar."""


@dataclass(frozen=True)
class Note:
    """A line to show."""

    text: Text


@dataclass(frozen=True)
class Wait:
    """Another measurement still runs on the device."""


@dataclass(frozen=True)
class Warn:
    """A warning to show."""

    text: Text


@dataclass(frozen=True, kw_only=True)
class Machine:
    """First message: the facts of `machine_facts` about the device."""

    board: Text | None
    cpu: Text | None
    architecture: Text
    cores: Annotated[int, Integer(1, 1_000_000)]
    governor: Text | None
    max_frequency_mhz: Annotated[float, Number(0, 1e9)] | None
    memory_mb: Count | None
    system: Text
    python: Text
    interpreter: Text
    interpreter_version: Text
    emulated: bool

    def to_json(self) -> dict[str, Any]:
        """Return the facts as `machine_facts` does."""
        return asdict(self)


@dataclass(frozen=True)
class FinishedRound:
    """A finished round, in the form of `Round.to_json`."""

    round: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PhotoScores:
    """Scores of one photo by one model, given by its number; one for each label."""

    model: Index
    photo: str
    scores: tuple[Score, ...]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window of load on one model, given by its number, in the form of `LoadWindow.to_json`."""

    model: Index
    window: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """Failure of the measurement: the message, and the name of a class of `poets_edge.errors`."""

    error: Text
    name: Text


@dataclass(frozen=True)
class Result:
    """Last message: the disturbances of the device during the measurement."""

    warnings: Texts


Message: TypeAlias = (
    "Begin | Advance | End | Note | Wait | Warn | Machine | FinishedRound | PhotoScores | Window | Failure | Result"
)
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (Begin, Advance, End, Note, Wait, Warn, Machine, FinishedRound, PhotoScores, Window, Failure, Result)
}


def read_message(line: str) -> Message:
    """Return the message of a line. Raises RecordError."""
    value = parse_line(line)
    name = value.get("kind") if isinstance(value, dict) else None
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise RecordError("not a message of this program")
    message: Message = from_json(kind, value)
    return message


def message_json(message: Message) -> dict[str, Any]:
    """Return a message as a JSON object, for `read_message`."""
    return {"kind": type(message).__name__, **{field.name: getattr(message, field.name) for field in fields(message)}}
