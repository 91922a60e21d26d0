"""Times that a measuring process returns. This module is kept small because every measuring process imports it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from poets_edge.bench.machine import MachineState
from poets_edge.core.json_checks import COUNT, Check, Optional, check
from poets_edge.errors import RecordError

POSITIVE = Check(float, "a positive number", lambda value: 1e-12 <= value <= 1e12)
"""Check for a positive number in JSON, with limits that keep sums and ratios of such numbers finite."""
NOT_NEGATIVE = Check(float, "a number, 0 or more", lambda value: 0 <= value <= 1e12)
_MILLISECONDS = Optional(Check([NOT_NEGATIVE], "at least one time", bool))
_TIMING = {
    "load_ms": NOT_NEGATIVE,
    "first_ms": NOT_NEGATIVE,
    "warm_up_runs": Optional(COUNT),
    "steady": bool,
    "samples_ms": Check([POSITIVE], "at least one time", bool),
    "kernel_ms": Optional(Check([POSITIVE], "at least one time", bool)),
    "decode_ms": _MILLISECONDS,
    "resize_ms": _MILLISECONDS,
    "inference_ms": _MILLISECONDS,
    "peak_memory_mb": Optional(NOT_NEGATIVE),
    "accelerated": Optional(bool),
    "state": dict,
}


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Times, in milliseconds, that one process measured for a model with a given number of threads.

    Attributes:
        load_ms: time to load the model.
        first_ms: time of the first inference.
        warm_up_runs: number of inferences in the warm-up.
        steady: whether the times had settled after the warm-up.
        samples_ms: times of the inferences after the warm-up.
        kernel_ms: times of the reference kernel (see `poets_edge.bench.reference_kernel`), measured alternately with
            the inferences; None if not measured.
        decode_ms, resize_ms, inference_ms: times to decode, resize and score photos; None if not measured.
        peak_memory_mb: peak memory of the process in MB; None if the system does not report it.
        accelerated: whether XNNPACK ran the model; None if unknown.
        state: state of the machine after the measurement.
    """

    load_ms: float
    first_ms: float
    warm_up_runs: int
    steady: bool
    samples_ms: tuple[float, ...]
    kernel_ms: tuple[float, ...] | None = None
    decode_ms: tuple[float, ...] | None = None
    resize_ms: tuple[float, ...] | None = None
    inference_ms: tuple[float, ...] | None = None
    peak_memory_mb: float | None = None
    accelerated: bool | None = None
    state: MachineState

    @classmethod
    def from_json(cls, value: Any) -> Timing:
        """Return the timing from JSON values written by `to_json`, the Android app or the web page.

        Raises:
            RecordError: the values are invalid.
        """
        found = check(value, _TIMING)
        try:
            state = MachineState.from_json(found["state"])
        except RecordError as error:
            raise RecordError(f"state.{error}") from None
        named = {name: found.get(name) for name in _TIMING}
        lists = {name: tuple(entry) for name, entry in named.items() if isinstance(entry, list)}
        return cls(**{**named, **lists, "warm_up_runs": named["warm_up_runs"] or 0, "state": state})

    def to_json(self) -> dict[str, Any]:
        named = {each.name: getattr(self, each.name) for each in fields(self)}
        lists = {name: list(value) for name, value in named.items() if isinstance(value, tuple)}
        return {**named, **lists, "state": self.state.to_json()}
