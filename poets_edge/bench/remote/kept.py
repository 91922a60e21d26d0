"""Rounds that a device has measured, kept on this machine until the command that asked for them is done.

Comes in: each round as it arrives. Goes out: those of an earlier run of the same command that did not get to its end,
so that it goes on. A file of JSON lines: the machine first, then the rounds.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poets_edge.core.files import read_bytes
from poets_edge.core.json_checks import check, measured_round, parse_json
from poets_edge.errors import RecordError

_STALE_SECONDS = 86400.0
"""A device warms up, gets updates: rounds of yesterday are not put beside today's."""

RoundKey = tuple[str, int, int]
"""A model's checksum, threads, number of the round."""


def cache_folder() -> Path:
    """Where this machine keeps what it can make again."""
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "poets-edge/cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "poets-edge"


@dataclass
class Kept:
    """One command's rounds on one device. A disk that keeps nothing costs only that."""

    path: Path
    machine: dict[str, Any] | None = None
    rounds: dict[RoundKey, dict[str, Any]] = field(default_factory=dict)

    def start(self, machine: dict[str, Any]) -> None:
        """The device says what it is; rounds of another one, or of another state of it, are of no use."""
        if machine != self.machine:
            self.machine, self.rounds = machine, {}
            with contextlib.suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.write_text(json.dumps({"machine": machine}) + "\n", encoding="utf-8")

    def add(self, key: RoundKey, entry: dict[str, Any]) -> None:
        self.rounds[key] = entry
        with contextlib.suppress(OSError), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "entry": entry}) + "\n")

    def done(self) -> None:
        """The command got to its end: the next one measures anew."""
        with contextlib.suppress(OSError):
            self.path.unlink()


def open_kept(name: str) -> Kept:
    """The data kept under a name; nothing where they are old or damaged."""
    kept = Kept(cache_folder() / "measuring" / f"{name}.jsonl")
    with contextlib.suppress(OSError, RecordError):
        if abs(time.time() - kept.path.stat().st_mtime) > _STALE_SECONDS:
            return kept
        lines = read_bytes(kept.path).decode("utf-8", errors="replace").splitlines()
        kept.machine = check(parse_json(lines[0] if lines else ""), {"machine": dict})["machine"]
        for line in lines[1:]:  # the last one may have been cut short
            noted = check(parse_json(line), {"key": (str, int, int), "entry": dict})
            sha256, threads, number = noted["key"]
            kept.rounds[sha256, threads, number] = measured_round(noted["entry"])
    return kept
