"""Job that installs the current model on a device, as `deploy` does."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poets_edge.bench.remote.connection import SSH_VARIABLE
from poets_edge.bench.remote.deploy import DeployOptions, deploy
from poets_edge.studio.job_reporter import JobReporter
from poets_edge.studio.job_requests import JobRequest
from poets_edge.studio.places import Places
from poets_edge.studio.take_job import current_model

_PASSWORD = "POETS_EDGE_SSH_PASSWORD"
_ASK = f'#!/bin/sh\nprintf "%s\\n" "${_PASSWORD}"\n'
"""Script that ssh runs to get the password (SSH_ASKPASS). It prints an environment variable, so that the password is
never written to disk."""


def run_deploy(request: JobRequest, send: Callable[[object], None]) -> dict[str, Any]:
    """Install the int8 model on a device, and return the first predictions for frames of its camera."""
    places = Places(request.root)
    model = current_model(places).file("int8")
    _prepare_ssh(places.own / "askpass", request.password)
    reporter = JobReporter(send)
    watch = ("--source", request.source) if request.source else ()
    deployed = deploy(DeployOptions(model=model, on=request.host, watch=watch), reporter)
    return {
        "text": f"{deployed.host}: {deployed.service} runs. To remove it: {deployed.undo}",
        "labels": [],
        "lines": list(deployed.lines),
        "warnings": reporter.warnings,
    }


def _prepare_ssh(program: Path, password: str) -> None:
    """Set the environment of this process so that ssh logs in without a terminal.

    The host key of an unknown device is accepted and saved; a changed host key is refused.
    """
    command = [*shlex.split(os.environ.get(SSH_VARIABLE, "ssh")), "-o", "StrictHostKeyChecking=accept-new"]
    if password:
        program.unlink(missing_ok=True)
        program.write_text(_ASK, encoding="ascii")
        program.chmod(0o700)
        os.environ.update({_PASSWORD: password, "SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force"})
        os.environ.setdefault("DISPLAY", ":none")  # older versions of ssh ask the program only with a display
        command += ["-o", "NumberOfPasswordPrompts=1"]
    else:
        command += ["-o", "BatchMode=yes"]
    os.environ[SSH_VARIABLE] = shlex.join(command)
