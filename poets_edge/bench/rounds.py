"""Rounds of a benchmark: their configuration, and the log that lets an interrupted run continue.

`benchmark`, `benchmark --on`, `grid` and `grid --latency` share these classes. A round is identified by the conditions
it was measured under, the content of the model, the number of threads and its number; a round found in a log is not
measured again.
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
    """How long to measure.

    Attributes:
        seconds, runs: timed inferences of one variant, over all rounds; both are reached unless it ends early.
        rounds: fresh processes per variant. 30 find a slowdown of 5 % even where other programs run; 10 find it where
            processes differ by 2 %, as on a quiet machine (see `benchmarks/results/compare.md`).
        enough: rounds after which measuring ends early if a variant has taken a minute, as on a device that needs
            seconds to start a process.
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
    """A model at a number of threads.

    Attributes:
        sha256: of the model file.
        copy: number of models before this one with the same content, which tells copies apart.
    """

    model: Path
    threads: int
    sha256: str
    copy: int = 0


def variants_of(models: Iterable[Path], threads: Iterable[int]) -> list[Variant]:
    """Return every model at every number of threads, each once."""
    digests: list[str] = []
    found = []
    for model in dict.fromkeys(models):
        digest = sha256_of(model)
        found += [Variant(model, number, digest, digests.count(digest)) for number in dict.fromkeys(threads)]
        digests.append(digest)
    return found


class RoundKey(NamedTuple):
    """Identification of a round; see `Round` for the fields."""

    stamp: str
    sha256: str
    threads: int
    copy: int
    number: int


@dataclass(frozen=True, kw_only=True)
class Round:
    """A finished round of one variant.

    Attributes:
        stamp: the conditions; see `round_stamp`.
        sha256, threads, copy: of the `Variant`.
        number: of the round, from 0.
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
        """Read what `to_json` has written. Raises RecordError."""
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
    """Return a digest of the conditions that rounds must share to be compared: the machine and the configuration."""
    return hashlib.sha256(json.dumps([machine, asdict(config)], sort_keys=True).encode()).hexdigest()[:16]


@dataclass
class RoundLog:
    """Finished rounds.

    Attributes:
        rounds: by key; rounds of several conditions may be among them.
        keep: called with each new round, to save it.
    """

    rounds: dict[RoundKey, Round] = field(default_factory=dict)
    keep: Callable[[Round], object] = lambda round: None

    @classmethod
    def of(cls, rounds: Iterable[Round], keep: Callable[[Round], object] = lambda round: None) -> RoundLog:
        """Return a log that holds these rounds."""
        return cls({round.key: round for round in rounds}, keep)

    def add(self, round: Round) -> None:
        """Add a new round. Raises OutputError as `keep` does."""
        self.rounds[round.key] = round
        self.keep(round)

    def timings(self, stamp: str, variant: Variant, count: int) -> dict[int, Timing]:
        """Return the first `count` rounds of a variant, as far as they are there, by number."""
        keys = (RoundKey(stamp, variant.sha256, variant.threads, variant.copy, number) for number in range(count))
        return {key.number: self.rounds[key].timing for key in keys if key in self.rounds}

    def of_models(self, digests: Sequence[str]) -> list[Round]:
        """Return the rounds of models with these checksums."""
        return [round for round in self.rounds.values() if round.sha256 in digests]


def read_rounds(file: Path, reporter: Reporter | None = None) -> list[Round]:
    """Read a file of rounds, one JSON object per line; a missing file has none.

    Args:
        reporter: is warned of damaged lines, which are skipped. A last line that was cut short is skipped silently.
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
    """Append a round to a file. A line that a crash has cut short is ended first. Raises OutputError."""
    line = json.dumps(round.to_json())
    try:
        with file.open("ab+") as opened:
            if opened.tell():
                opened.seek(-1, os.SEEK_END)
                line = line if opened.read(1) == b"\n" else "\n" + line
            opened.write(f"{line}\n".encode())
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror or error}.") from None
