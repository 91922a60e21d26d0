"""Job that audits the photos of a project: finds wrong labels, near-duplicates, outliers and unreadable photos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from poets_edge.api.data import audit
from poets_edge.auditing.options import AuditOptions
from poets_edge.auditing.report import most_helped
from poets_edge.auditing.results import AuditResult
from poets_edge.photos.exclude import read_exclusions
from poets_edge.studio import messages
from poets_edge.studio.job_reporter import JobReporter
from poets_edge.studio.job_requests import JobRequest
from poets_edge.studio.places import Places
from poets_edge.studio.training_job import train_options

_STRANGERS = ("unlike all others", "unknown")
"""Audit reasons for which the web page lists an outlier as a stranger: a photo that seems to belong to no class."""


def run_audit(request: JobRequest, send: Callable[[object], None]) -> dict[str, Any]:
    """Audit the photos with features from the requested network; return the findings as a JSON-compatible dictionary.

    Findings about photos that are excluded from training are omitted.

    Args:
        request: the job to run.
        send: function that sends a `JobProgress` to the server.
    """
    places = Places(request.root)
    training = train_options(request)
    reporter = JobReporter(send)
    options = AuditOptions(
        image_dir=request.root,
        architecture=training.architecture,
        weights=training.weights,
        report=None,
        bottleneck_dir=training.bottleneck_dir,
        model_dir=training.model_dir,
    )
    result = audit(options, reporter=reporter)
    excluded = read_exclusions(places.excluded).leave_out if places.excluded.exists() else frozenset()
    return audit_json(result, excluded, reporter.warnings)


def audit_json(result: AuditResult, excluded: frozenset[str], warnings: list[str]) -> dict[str, Any]:
    """Return the findings of an audit (wrong labels, near-duplicates, outliers) as a JSON-compatible dictionary.

    Args:
        result: result of the audit.
        excluded: names of the photos whose findings are omitted.
        warnings: warnings to include in addition to those in `result`.
    """
    name = result.photos.name
    suspects = [suspect for suspect in result.suspects if suspect.photo not in excluded]
    groups = [[name(row) for row in group] for group in result.near_duplicates.groups]
    duplicates = [kept for group in groups if len(kept := [one for one in group if one not in excluded]) > 1]
    readable = [group for group in result.outliers if group.readable]
    outliers: dict[str, str] = {}
    for group in readable:
        for photo in group.names:
            if photo not in excluded:
                outliers.setdefault(photo, group.reason)
    probable = set(result.mislabeled)
    listed = [suspect.photo for suspect in suspects]
    return {
        "suspects": [
            {
                "path": suspect.photo,
                "label": suspect.label,
                "suggested": suspect.likely,
                "confidence": suspect.score,
                "gain": suspect.score + (1 if suspect.photo in probable else 0),
                "probable": suspect.photo in probable,
            }
            for suspect in suspects
        ],
        "duplicates": duplicates,
        "outliers": [photo for photo, reason in outliers.items() if reason not in _STRANGERS],
        "strangers": [photo for photo, reason in outliers.items() if reason in _STRANGERS],
        "reasons": outliers,
        "unreadable": [[photo, reason] for photo, reason in result.photos.unreadable],
        "summary": messages.audited(
            audited_photos=len(result.photos),
            wrong_labels=len(probable.intersection(listed)),
            groups=len(duplicates),
            outliers=len(outliers),
        ),
        "more_photos": _more_photos(result),
        "warnings": list(dict.fromkeys([*result.warnings, *warnings])),
    }


def _more_photos(result: AuditResult) -> str:
    """Return a sentence with the estimated accuracy for twice as many photos; "" if the audit contains no estimate."""
    if result.evaluation is None:
        return ""
    curve = result.evaluation.curve
    low, high = curve.doubled.interval
    return messages.MORE_PHOTOS_HELP.format(
        low=100 * low, high=100 * high, now=100 * curve.points[-1].accuracy, classes=most_helped(curve)
    )
