"""Job that prepares the current model for download, as a `.tflite` file or in a package such as an Android app."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poets_edge.api.training import export
from poets_edge.core.files import replacing
from poets_edge.quantize.convert import QUANTIZATIONS, Quantization
from poets_edge.studio import messages
from poets_edge.studio.job_reporter import JobReporter
from poets_edge.studio.job_requests import JobRequest
from poets_edge.studio.packages import PACKAGES, Verified
from poets_edge.studio.places import Places
from poets_edge.studio.refusal import RefusedError
from poets_edge.studio.trained_model import TrainedModel, read_model


def current_model(places: Places) -> TrainedModel:
    """Return the current model of a project. Raises RefusedError if the project has no model."""
    model = read_model(places)
    if model is None:
        raise RefusedError(messages.NO_MODEL, 409)
    return model


def run_take(request: JobRequest, send: Callable[[object], None]) -> dict[str, Any]:
    """Prepare the current model for download in the requested format.

    Args:
        request: the job to run.
        send: function that sends a `JobProgress` to the server.

    Returns:
        A dictionary with the download format, the microcontroller board, the file name, the size in bytes, a line that
        states how the file was verified, and the accuracy on the test photos, 0 to 1. The accuracy is None if the file
        was not evaluated.
    """
    places = Places(request.root)
    model = current_model(places)
    reporter = JobReporter(send)
    reporter.status(messages.PREPARING.format(form=request.form))
    if request.form in QUANTIZATIONS:
        path, verified = _file(request.form, model, places, reporter)
    elif request.form in PACKAGES:
        package = PACKAGES[request.form]
        if missing := package.missing():
            raise RefusedError(missing, 409)
        path = places.taken / package.name
        with replacing(path) as temporary:
            verified = package.write(model, temporary, request.board)
    else:
        raise RefusedError(messages.NO_SUCH_FORM.format(form=request.form[:20]), 404)
    return {
        "form": request.form,
        "board": request.board,
        "name": path.name,
        "bytes": path.stat().st_size,
        "accuracy": verified.accuracy,
        "text": verified.text,
    }


def taken_file(places: Places, form: str) -> Path:
    """Return the path of the file that a job has prepared in the download format `form`.

    Raises:
        RefusedError: the file is missing.
    """
    path = _prepared(places).get(form)
    if path is None or not path.is_file():
        raise RefusedError(messages.NOT_PREPARED.format(form=form[:20]), 404)
    return path


def remove_taken(places: Places) -> None:
    """Remove the files that jobs have prepared for download. Called when a new model has replaced the one in the files.

    Other files in the folder are kept.
    """
    for path in _prepared(places).values():
        if path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)


def _prepared(places: Places) -> dict[str, Path]:
    """Return the paths of the files for download, keyed by download format, including those not created yet."""
    names = {form: package.name for form, package in PACKAGES.items()}
    return {form: places.taken / names.get(form, f"{form}.tflite") for form in (*QUANTIZATIONS, *PACKAGES)}


def _file(form: str, model: TrainedModel, places: Places, reporter: JobReporter) -> tuple[Path, Verified]:
    """Copy the `.tflite` file with the quantization `form` to the download folder; export it first if necessary.

    Returns:
        The path of the copy, and how the file was verified.
    """
    if any(listed["form"] == form for listed in model.shown["files"]):
        exported, accuracy = model.file(form), model.accuracy(form)
    else:
        quantization: Quantization = next(name for name in QUANTIZATIONS if name == form)
        file = export(model.graph, quantization, reporter=reporter)[form]
        exported, accuracy = file.path, file.accuracy
    path = places.taken / f"{form}.tflite"
    with replacing(path) as temporary:
        shutil.copyfile(exported, temporary)
    text = messages.NOT_EVALUATED if accuracy is None else messages.EVALUATED
    return path, Verified(text=text, accuracy=accuracy)
