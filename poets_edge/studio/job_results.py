"""Expected structure of the results of each kind of job.

Results that are read from files are checked against it, because the files may be damaged or written by another program.
"""

from __future__ import annotations

from typing import Any

from poets_edge.core.json_checks import COUNT, SHARE, Check, DictOf, Optional, Shape
from poets_edge.studio.job_requests import JobKind


def _is_square(confusion: Any) -> bool:
    size = len(confusion["labels"])
    return len(confusion["counts"]) == size and all(len(row) == size for row in confusion["counts"])


TRAINED: Shape = {
    "architecture": str,
    "trained": str,
    "accuracy": Optional(SHARE),
    "interval": Optional((SHARE, SHARE)),
    "judged": COUNT,
    "words": str,
    "confusion": Check({"labels": [str], "counts": [[COUNT]]}, "a square matrix", _is_square),
    "more_photos": Optional({"text": str, "class": Optional(str)}),
    "changes": Optional([{"path": str, "before": str, "after": str}]),
    "files": [{"form": str, "bytes": COUNT, "accuracy": Optional(SHARE)}],
    "tested": COUNT,
    "warnings": [str],
}
"""Structure of the result of a training job, which also describes the current model."""

_AUDITED: Shape = {
    "suspects": [
        {"path": str, "label": str, "suggested": str, "confidence": float, "gain": Optional(float), "probable": bool}
    ],
    "duplicates": [[str]],
    "outliers": [str],
    "strangers": [str],
    "reasons": DictOf(str),
    "unreadable": [(str, str)],
    "summary": str,
    "more_photos": str,
    "warnings": [str],
}
_POINT: Shape = {
    "architecture": str,
    "form": str,
    "accuracy": SHARE,
    "interval": (SHARE, SHARE),
    "latency_ms": Check(float, "a number above 0", lambda value: value > 0),
    "bytes": COUNT,
    "ship": bool,
}
RESULTS: dict[JobKind, Shape] = {
    "train": TRAINED,
    "audit": _AUDITED,
    "grid": {"points": Check([_POINT], "one or more points", bool), "reason": str, "warnings": [str]},
    "take": {"form": str, "board": str, "name": str, "bytes": COUNT, "accuracy": Optional(SHARE), "text": str},
    "deploy": {"text": str, "lines": [str], "warnings": [str]},
}
"""Structure of the result of each kind of job."""
