"""Requests from the studio's web page to run jobs, and their validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from poets_edge.core.json_checks import Check, OneOf, Optional, check
from poets_edge.errors import RecordError
from poets_edge.exporting.microcontroller.boards import BOARDS
from poets_edge.studio import messages
from poets_edge.studio.refusal import RefusedError

JobKind = Literal["train", "audit", "grid", "deploy", "take"]
READ_PHOTOS: frozenset[JobKind] = frozenset({"train", "audit", "grid"})
"""Kinds of jobs that read the photos of the project."""
Choice = Literal["quick", "balanced", "best"]

_SHAPE = {
    "kind": OneOf(get_args(JobKind)),
    "choice": Optional(OneOf(get_args(Choice))),
    "architecture": Optional(str),
    "max_latency_ms": Optional(Check(float, "a number above 0", lambda value: value > 0)),
    "min_accuracy": Optional(Check(float, "a number from 0 to 1", lambda value: 0 <= value <= 1)),
    "on": Optional(str),
    "host": Optional(str),
    "password": Optional(str),
    "source": Optional(str),
    "mqtt": Optional(str),
    "mqtt_login": Optional(str),
    "mqtt_name": Optional(str),
    "form": Optional(str),
    "board": Optional(OneOf(tuple(board.name for board in BOARDS))),
}


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """Request to run a job, sent by the studio's web page.

    Attributes:
        root: the project folder.
        number: number of the job, which is also the name of the folder for its results.
        kind: "train", "audit", "grid" (compare networks), "deploy" or "take" (prepare a download).
        state: digest of the photos at the start of the job; see `Project.state`.
        choice: network to train: "quick", "balanced" or "best"; see `chosen_network`.
        architecture: name of the network to train, which overrides `choice`; empty to use `choice`.
        max_latency_ms, min_accuracy: limits for the network that a "grid" job recommends; the accuracy is 0 to 1.
        on: SSH destination of the device on which a "grid" job measures latencies; empty for this computer.
        host: SSH destination of the device to deploy to.
        password: password for `host`; if empty, ssh logs in with a key.
        source: source of frames for the deployed model, as for `poets-edge watch --source`; empty for the camera of the
            device.
        mqtt: address of the MQTT broker of Home Assistant; empty if the deployed model publishes nothing.
        mqtt_login: login for the broker, `user:password`; empty if it requires none.
        mqtt_name: name of the camera in Home Assistant; empty to use the name of the device.
        form: download format of the model: a quantization or a key of `PACKAGES`.
        board: microcontroller board for which firmware is prepared; empty for the default board.
    """

    root: Path
    number: str
    kind: JobKind
    state: str = ""
    choice: Choice = "quick"
    architecture: str = ""
    max_latency_ms: float | None = None
    min_accuracy: float | None = None
    on: str = ""
    host: str = ""
    password: str = ""
    source: str = ""
    mqtt: str = ""
    mqtt_login: str = ""
    mqtt_name: str = ""
    form: str = ""
    board: str = ""

    def __repr__(self) -> str:
        """Return a representation of the request without its passwords."""
        return f"<JobRequest {self.number}: {self.kind}>"


def job_request(value: Any, root: Path, number: str, state: str) -> JobRequest:
    """Return the job request that a JSON value from the web page describes.

    Args:
        value: the JSON value.
        root: the project folder.
        number: number of the job.
        state: digest of the project's photos; see `Project.state`.

    Raises:
        RefusedError: the value is invalid.
    """
    try:
        fields = {key: value[key] for key in check(value, _SHAPE) if key in _SHAPE and value[key] is not None}
    except RecordError as error:
        raise RefusedError(messages.NOT_A_JOB.format(reason=error)) from None
    if fields["kind"] == "deploy" and not fields.get("host"):
        raise RefusedError(messages.NO_HOST)
    if fields["kind"] == "take" and not fields.get("form"):
        raise RefusedError(messages.NO_FORM)
    return JobRequest(root=root, number=number, state=state, **fields)
