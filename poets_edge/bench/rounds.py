"""Rounds of a benchmark, and the log of finished rounds, with which an interrupted run can be continued.

A round is identified by the measurement conditions, the model's content, the number of threads and the round number.
Rounds that the log contains are not measured again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from poets_edge.bench.timing import Timing
from poets_edge.core.arguments import check_fields
from poets_edge.core.files import read_bytes, sha256_of
from poets_edge.core.json_checks import COUNT, Optional, check, parse_json
from poets_edge.errors import OutputError, RecordError, UsageError
from poets_edge.progress import Reporter

_ROUND = {"stamp": str, "sha256": str, "threads": int, "copy": Optional(COUNT), "round": COUNT, "entry": dict}


@dataclass(frozen=True, kw_only=True)
class TimingConfig:
    """Duration of the measurements in a benchmark, and number of rounds.

    Attributes:
        seconds: minimum total duration, in seconds, of the timed inferences of a variant (model and number of threads)
            in all rounds.
        runs: minimum total number of timed inferences of a variant in all rounds.
        rounds: number of rounds. Each round times every variant in a new process. With 30 rounds, most slowdowns of 5 %
            are detected if latencies vary by 2 % between processes without disturbances.
        enough: number of rounds after which the benchmark ends early if it has already taken more than one minute per
            variant.
    """

    seconds: float = 12.0
    runs: int = 50
    rounds: int = 30
    enough: int = 10

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0 < self.seconds < float("inf"):
            raise UsageError(f"`seconds` must be above 0, not {self.seconds}.")
        if self.runs < 1:
            raise UsageError(f"`runs` must be 1 or more, not {self.runs}.")
        if self.rounds < 1:
            raise UsageError(f"`rounds` must be 1 or more, not {self.rounds}.")


@dataclass(frozen=True)
class Variant:
    """Combination of a model and a number of threads, which a benchmark measures.

    Attributes:
        model: path of the model file.
        sha256: hexadecimal SHA-256 of the model file.
        delegate: shared library of the delegate that runs the model; None for the CPU.
        copy: number of earlier models in the benchmark with the same content; it distinguishes identical models.
    """

    model: Path
    threads: int
    sha256: str
    copy: int = 0
    delegate: str | None = None


def variants_of(models: Iterable[Path], threads: Iterable[int], delegate: str | None = None) -> list[Variant]:
    """Return a variant for each combination of model and number of threads, without duplicates."""
    digests: list[str] = []
    found = []
    for model in dict.fromkeys(models):
        digest = sha256_of(model)
        copy = digests.count(digest)
        found += [Variant(model, number, digest, copy, delegate) for number in dict.fromkeys(threads)]
        digests.append(digest)
    return found


class RoundKey(NamedTuple):
    """Key that identifies a finished round of a benchmark; for the fields, see `Round`."""

    stamp: str
    sha256: str
    threads: int
    copy: int
    number: int


@dataclass(frozen=True, kw_only=True)
class Round:
    """Measurement of one variant (model and number of threads) in one finished round.

    Attributes:
        stamp: digest of the measurement conditions; see `round_stamp`.
        sha256, threads, copy: attributes of the measured `Variant`.
        number: position of the round in the benchmark, from 0.
        timing: times that were measured in the round.
    """

    stamp: str
    sha256: str
    threads: int
    copy: int = 0
    number: int
    timing: Timing

    @property
    def key(self) -> RoundKey:
        return RoundKey(self.stamp, self.sha256, self.threads, self.copy, self.number)

    @classmethod
    def from_json(cls, value: Any) -> Round:
        """Return the round from JSON values written by `to_json`. Raises RecordError if they are invalid."""
        found = check(value, _ROUND)
        try:
            timing = Timing.from_json(found["entry"])
        except RecordError as error:
            raise RecordError(f"entry.{error}") from None
        return cls(
            stamp=found["stamp"],
            sha256=found["sha256"],
            threads=found["threads"],
            copy=found.get("copy") or 0,
            number=found["round"],
            timing=timing,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "stamp": self.stamp,
            "sha256": self.sha256,
            "threads": self.threads,
            **({"copy": self.copy} if self.copy else {}),
            "round": self.number,
            "entry": self.timing.to_json(),
        }


def round_stamp(machine: Mapping[str, Any], config: TimingConfig) -> str:
    """Return a digest of the measurement conditions (machine and configuration) as 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps([machine, asdict(config)], sort_keys=True).encode()).hexdigest()[:16]


@dataclass
class RoundLog:
    """Log of the finished rounds of a benchmark.

    Attributes:
        rounds: finished rounds, by key; the log may contain rounds from different measurement conditions.
        keep: function that saves a round; it is called with each new round.
    """

    rounds: dict[RoundKey, Round] = field(default_factory=dict)
    keep: Callable[[Round], object] = lambda round: None

    @classmethod
    def of(cls, rounds: Iterable[Round], keep: Callable[[Round], object] = lambda round: None) -> RoundLog:
        """Return a log that contains `rounds`."""
        return cls({round.key: round for round in rounds}, keep)

    def add(self, round: Round) -> None:
        """Add a new round, and save it by calling `keep`. Raises OutputError if it cannot be saved."""
        self.rounds[round.key] = round
        self.keep(round)

    def timings(self, stamp: str, variant: Variant, count: int) -> dict[int, Timing]:
        """Return the timings of `variant` in the finished rounds with numbers below `count`, keyed by round number."""
        keys = (RoundKey(stamp, variant.sha256, variant.threads, variant.copy, number) for number in range(count))
        return {key.number: self.rounds[key].timing for key in keys if key in self.rounds}

    def rounds_of(self, digests: Sequence[str]) -> list[Round]:
        """Return the rounds of the models with the given SHA-256 digests."""
        return [round for round in self.rounds.values() if round.sha256 in digests]


def read_rounds(file: Path, reporter: Reporter | None = None) -> list[Round]:
    """Read rounds from a file with one JSON object per line; return an empty list if the file is missing.

    Args:
        reporter: receives a warning for each damaged line, which is skipped. Truncated lines are skipped without a
            warning.
    """
    try:
        lines = read_bytes(file).decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rounds = []
    for number, line in enumerate(lines, 1):
        try:
            rounds.append(Round.from_json(parse_json(line)))
        except RecordError as error:
            if reporter and line.endswith("}"):
                reporter.warn(f"{file}, line {number}: {error}. That round is measured again.")
    return rounds


def append_round(file: Path, round: Round) -> None:
    """Append a round to a file. If a crash has truncated the last line of the file, a line break is added first.

    Raises:
        OutputError: the file cannot be written.
    """
    line = json.dumps(round.to_json())
    try:
        with file.open("ab+") as opened:
            if opened.tell():
                opened.seek(-1, os.SEEK_END)
                line = line if opened.read(1) == b"\n" else "\n" + line
            opened.write(f"{line}\n".encode())
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror or error}.") from None
