"""Job that installs the current model on a device over SSH, as the command `poets-edge deploy` does."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from poets_edge.bench.remote.deploy import DeployOptions, deploy
from poets_edge.bench.remote.ssh import SSH_VARIABLE, ssh_command
from poets_edge.core.files import scratch_folder
from poets_edge.device.watch.mqtt_options import MqttOptions
from poets_edge.studio import messages
from poets_edge.studio.job_reporter import JobReporter
from poets_edge.studio.job_requests import JobRequest
from poets_edge.studio.places import Places
from poets_edge.studio.take_job import current_model

_PASSWORD = "POETS_EDGE_SSH_PASSWORD"
_ASK = f'#!/bin/sh\nprintf "%s\\n" "${_PASSWORD}"\n'
"""Script that ssh runs to get the password (SSH_ASKPASS). It prints the value of an environment variable, so that the
password is never written to disk."""


def run_deploy(request: JobRequest, send: Callable[[object], None]) -> dict[str, Any]:
    """Install the int8 model as a service on a device over SSH; return its first predictions for camera frames.

    The result is a JSON-compatible dictionary.

    Args:
        request: the job to run.
        send: function that sends a `JobProgress` to the server.
    """
    places = Places(request.root)
    model = current_model(places).file("int8")
    _prepare_ssh(places.own / "askpass", request.password)
    reporter = JobReporter(send)
    watch = ("--source", request.source) if request.source else ()
    with _mqtt(request) as mqtt:
        deployed = deploy(DeployOptions(model=model, on=request.host, watch=watch, mqtt=mqtt), reporter)
    return {
        "text": messages.DEPLOYED.format(host=deployed.host, service=deployed.service, undo=deployed.undo),
        "labels": [],
        "lines": list(deployed.lines),
        "warnings": reporter.warnings,
    }


@contextlib.contextmanager
def _mqtt(request: JobRequest) -> Iterator[MqttOptions | None]:
    """Context manager that yields the MQTT options that a request specifies; None if it names no broker.

    The broker login is written to a temporary file, which is deleted on exit.
    """
    if not request.mqtt:
        yield None
        return
    with scratch_folder() as folder:  # only this user can read it
        login = folder / "login.txt" if request.mqtt_login else None
        if login is not None:
            login.write_text(request.mqtt_login, encoding="utf-8")
        yield MqttOptions(broker=request.mqtt, name=request.mqtt_name or None, login=login)


def _prepare_ssh(program: Path, password: str) -> None:
    """Set environment variables of this process so that ssh logs in without a terminal.

    The host key of an unknown device is accepted and saved; a changed host key is refused.

    Args:
        program: path to which the script that prints the password for ssh is written.
        password: password of the device; if empty, ssh logs in with a key.
    """
    command = [*ssh_command(), "-o", "StrictHostKeyChecking=accept-new"]
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
