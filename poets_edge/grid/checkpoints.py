"""Lines of a grid's latency log, read back and checked."""

from __future__ import annotations

from typing import Any

from poets_edge.core.json_checks import COUNT, check, measured_round, parse_json
from poets_edge.errors import RecordError

_TIMED = {"stamp": str, "sha256": str, "threads": int, "round": COUNT}


def timed_round(line: str, stamp: str) -> tuple[tuple[str, int, int], dict[str, Any]] | None:
    """One line of the latencies: (file's checksum, threads, round) and what was measured; None of another stamp.

    Raises:
        RecordError: it is no such line.
    """
    noted = parse_json(line)
    if check(noted, _TIMED)["stamp"] != stamp:
        return None
    entry = check(noted, {"entry": dict})["entry"]
    try:
        return (noted["sha256"], noted["threads"], noted["round"]), measured_round(entry)
    except RecordError as error:
        raise RecordError(f"entry.{error}") from None
