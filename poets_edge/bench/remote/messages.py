"""Requests to the program `poets_edge.bench.remote.measure` on a device, and the messages that it sends as lines of
JSON.

Messages from another machine are not trusted: each message is checked when it is read, and every value has limits.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, TypeAlias

from poets_edge.bench.remote.answers import Count, Distance, Index, Integer, Number, Score, Text, Texts, parse_line
from poets_edge.bench.rounds import Round, TimingConfig
from poets_edge.core.json_objects import from_json
from poets_edge.errors import RecordError


@dataclass(frozen=True)
class FactsRequest:
    """Request for a description of the device, without a measurement."""

    def to_json(self) -> dict[str, Any]:
        return {"task": "facts"}


@dataclass(frozen=True, kw_only=True)
class RoundsRequest:
    """Request for timing models in rounds and, optionally, for the scores of the models on photos.

    Attributes:
        models: paths of the models on the device.
        image_dir, labels: paths of the photo folder and the labels file on the device; "" for none.
        input_range: value of `BenchmarkOptions.input_range`; "" for None.
        threads: numbers of CPU threads per inference; empty for the default on the device.
        known: finished rounds of an interrupted run, which are not measured again if the measurement conditions are the
            same.
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
    """Request for measuring models under sustained load. For the other attributes, see `SustainedOptions`.

    Attributes:
        models: paths of the models on the device.
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
    """Convert JSON values to a request, an instance of the class that they name.

    Raises:
        KeyError: a value that this version requires is missing.
    """
    if value["task"] == "rounds":
        return RoundsRequest.from_json(value)
    return LoadRequest.from_json(value) if value["task"] == "sustained" else FactsRequest()


@dataclass(frozen=True, kw_only=True)
class Begin:
    """Message that starts a progress bar."""

    what: Text
    total: Count
    unit: Text


@dataclass(frozen=True)
class Advance:
    """Message that advances the current progress bar by `amount`."""

    amount: Count


@dataclass(frozen=True)
class End:
    """Message that ends the current progress bar."""


@dataclass(frozen=True)
class Note:
    """Message that contains a line of text for the user."""

    text: Text


@dataclass(frozen=True)
class Wait:
    """Message that is sent repeatedly while the program waits for another measurement on the device to end."""


@dataclass(frozen=True)
class Warn:
    """Message that contains a warning for the user."""

    text: Text


@dataclass(frozen=True, kw_only=True)
class Machine:
    """First message from a device, which contains the description of the device from `machine_facts`."""

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
        """Return the description of the machine as a dictionary with the keys that `machine_facts` uses."""
        return asdict(self)


@dataclass(frozen=True)
class FinishedRound:
    """Message that contains a finished round, as JSON values that `Round.to_json` returned."""

    round: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PhotoScores:
    """Message that contains the output of one model for one photo.

    Attributes:
        model: index of the model in the request.
        scores: one score per label.
        distance: output of the unknown-photo detector, above 1 for a photo that is unlike the training photos; None if
            the model has no such detector.
    """

    model: Index
    photo: str
    scores: tuple[Score, ...]
    distance: Distance | None


@dataclass(frozen=True, kw_only=True)
class Window:
    """Message with the measurements in one time window, as returned by `LoadWindow.to_json`.

    Attributes:
        model: index of the model in the request.
    """

    model: Index
    window: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """Last message of a failed measurement, which contains the error message and the name of the exception class."""

    error: Text
    name: Text


@dataclass(frozen=True)
class Result:
    """Last message of a successful measurement, which describes any disturbances of the device."""

    warnings: Texts


Message: TypeAlias = (
    "Begin | Advance | End | Note | Wait | Warn | Machine | FinishedRound | PhotoScores | Window | Failure | Result"
)
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (Begin, Advance, End, Note, Wait, Warn, Machine, FinishedRound, PhotoScores, Window, Failure, Result)
}


def read_message(line: str) -> Message:
    """Parse a line of JSON as a message. Raises RecordError if the line is not a valid message."""
    value = parse_line(line)
    name = value.get("kind") if isinstance(value, dict) else None
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise RecordError("not a message of this program")
    message: Message = from_json(kind, value)
    return message


def message_json(message: Message) -> dict[str, Any]:
    """Return a message as a JSON object, in the format that `read_message` parses."""
    return {"kind": type(message).__name__, **{field.name: getattr(message, field.name) for field in fields(message)}}
