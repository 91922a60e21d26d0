"""Requests to `poets_edge.bench.remote.measure` on a device, and its answers, as JSON.

Answers come from another machine: each is checked as it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from poets_edge.bench.load import LoadWindow
from poets_edge.bench.rounds import Round, TimingConfig
from poets_edge.core.json_checks import check

_MACHINE = {"interpreter": str, "interpreter_version": str, "cores": int, "emulated": bool}
_ROUNDS_ANSWER = {"warnings": [str], "predictions": [{"photos": [str], "scores": [[float]]}]}
_LOAD_ANSWER = {"models": [[dict]], "warnings": [str]}


def check_machine(value: Any) -> dict[str, Any]:
    """Return the facts about a device. Raises RecordError."""
    found: dict[str, Any] = check(value, _MACHINE)
    return found


@dataclass(frozen=True)
class FactsRequest:
    """Asks for the facts about the device alone."""

    def to_json(self) -> dict[str, Any]:
        return {"task": "facts"}


@dataclass(frozen=True, kw_only=True)
class RoundsRequest:
    """Asks for rounds of models, and for their scores of photos.

    Attributes:
        models, image_dir, labels: paths on the device; the last two may be "".
        threads: empty for the device's default.
        known: rounds that need not be measured again, if their conditions are those of the device.
    """

    models: tuple[str, ...]
    threads: tuple[int, ...]
    config: TimingConfig
    known: tuple[Round, ...] = ()
    image_dir: str = ""
    labels: str = ""

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RoundsRequest:
        return cls(
            models=tuple(value["models"]),
            threads=tuple(value["threads"]),
            config=TimingConfig(**value["config"]),
            known=tuple(map(Round.from_json, value["known"])),
            image_dir=value["image_dir"],
            labels=value["labels"],
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
        }


@dataclass(frozen=True)
class DevicePredictions:
    """Scores of one model.

    Attributes:
        photos: names of those that could be read.
        scores: a row of scores for each photo.
    """

    photos: tuple[str, ...]
    scores: Sequence[Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class RoundsAnswer:
    """The answer to `RoundsRequest`. The rounds themselves are sent as soon as each is finished.

    Attributes:
        warnings: disturbances of the device.
        predictions: of each model, in the order of the request; empty without photos.
    """

    warnings: tuple[str, ...]
    predictions: tuple[DevicePredictions, ...]

    @classmethod
    def from_json(cls, value: Any) -> RoundsAnswer:
        """Read what `to_json` has written. Raises RecordError."""
        found = check(value, _ROUNDS_ANSWER)
        predictions = [DevicePredictions(tuple(each["photos"]), each["scores"]) for each in found["predictions"]]
        return cls(warnings=tuple(found["warnings"]), predictions=tuple(predictions))

    def to_json(self) -> dict[str, Any]:
        predictions = [{"photos": list(each.photos), "scores": each.scores} for each in self.predictions]
        return {"warnings": list(self.warnings), "predictions": predictions}


@dataclass(frozen=True, kw_only=True)
class LoadRequest:
    """Asks for models under load; see `SustainedOptions`.

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


@dataclass(frozen=True, kw_only=True)
class LoadAnswer:
    """The answer to `LoadRequest`.

    Attributes:
        models: windows of each model, in the order of the request.
        warnings: disturbances of the device.
    """

    models: tuple[tuple[LoadWindow, ...], ...]
    warnings: tuple[str, ...]

    @classmethod
    def from_json(cls, value: Any) -> LoadAnswer:
        """Read what `to_json` has written. Raises RecordError."""
        found = check(value, _LOAD_ANSWER)
        models = [tuple(map(LoadWindow.from_json, windows)) for windows in found["models"]]
        return cls(models=tuple(models), warnings=tuple(found["warnings"]))

    def to_json(self) -> dict[str, Any]:
        models = [[window.to_json() for window in windows] for windows in self.models]
        return {"models": models, "warnings": list(self.warnings)}


Request = FactsRequest | RoundsRequest | LoadRequest


def read_request(value: dict[str, Any]) -> Request:
    """Read a request. Raises KeyError where it is of another version, which `install` rules out."""
    if value["task"] == "rounds":
        return RoundsRequest.from_json(value)
    return LoadRequest.from_json(value) if value["task"] == "sustained" else FactsRequest()
