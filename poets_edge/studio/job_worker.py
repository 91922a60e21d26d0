"""Entry point of the helper process that runs jobs, such as a training, for the studio's server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from poets_edge.studio.audit_job import run_audit
from poets_edge.studio.deploy_job import run_deploy
from poets_edge.studio.grid_job import run_grid
from poets_edge.studio.job_requests import JobKind, JobRequest
from poets_edge.studio.take_job import run_take
from poets_edge.studio.training_job import run_training

_JOBS: Mapping[JobKind, Callable[[JobRequest, Callable[[object], None]], dict[str, Any]]] = {
    "audit": run_audit,
    "deploy": run_deploy,
    "grid": run_grid,
    "take": run_take,
    "train": run_training,
}


def run_job(request: JobRequest, send: Callable[[object], None]) -> dict[str, Any]:
    """Run a job, and return its result as a JSON-compatible dictionary.

    Args:
        request: the job to run.
        send: function that sends a `JobProgress` to the server.
    """
    return _JOBS[request.kind](request, send)
