"""A grid's notes of finished work, read back: what holds all that it must is taken, the rest is done again.

A note is JSON in the folder of an architecture, or a line of `latency.jsonl`. It is the program's own, but it lies
where anything may happen to it; what is wrong with it is said, by the path of the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poets_edge.core.files import read_bytes
from poets_edge.core.json_checks import COUNT, SHA256, SHARE, Check, Optional, check, measured_round, parse_json
from poets_edge.errors import RecordError
from poets_edge.progress import Reporter

Answer = dict[str, Any]

_ANSWERS = {
    "right": [COUNT],
    "judgments": Check(int, "1 or more", lambda value: value > 0),
    "confusion": [[float]],
    "mistakes": [(str, str, float)],
    "agreement_with_float": Optional(SHARE),
}
_NAME = Check(str, "the name of a file", lambda name: name not in ("", ".", "..") and not set(name) & set("/\\\0"))

RETRAINED: Mapping[str, Any] = {
    "key": str,
    "labels": [str],
    "files": [{"quantization": str, "file": _NAME, "size": COUNT, "sha256": SHA256, "test": Optional(_ANSWERS)}],
    "features_sha256": SHA256,
    "warnings": [str],
}
"""The note that `poets_edge.grid.training` makes of an architecture."""
JUDGED: Mapping[str, Any] = {
    "key": str,
    "labels": [str],
    "folds": COUNT,
    "remarks": [str],
    "photos": [str],
    "float32": _ANSWERS,
    "int8": _ANSWERS,
}
"""The note that `poets_edge.grid.validation` makes of an architecture."""
_TIMED = {"stamp": str, "sha256": str, "threads": int, "round": COUNT}


def read_note(path: Path, shape: Mapping[str, Any], key: str, reporter: Reporter | None = None) -> Answer | None:
    """The note of work whose inputs have this key; None where there is none, or it is of other inputs.

    Args:
        reporter: hears of a note that is damaged, which counts as none.
    """
    try:
        note = parse_json(read_bytes(path))
        if check(note, {"key": str})["key"] != key:
            return None
        found: Answer = check(note, shape)
        return found
    except OSError:
        return None
    except RecordError as error:
        if reporter:
            reporter.warn(f"{path}: {error}. What it noted is done again.")
        return None


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
