"""Job that prepares the current model for download, in one of several forms."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import poets_edge
from poets_edge.api.training import export
from poets_edge.core.files import replacing, scratch_folder
from poets_edge.core.wording import percent
from poets_edge.exporting.android import DEFAULT_APP, install_model
from poets_edge.exporting.export import ExportOptions
from poets_edge.exporting.frigate import export_for_frigate
from poets_edge.exporting.web import write_page
from poets_edge.quantize.convert import QUANTIZATIONS, Quantization
from poets_edge.studio.job_reporter import JobReporter
from poets_edge.studio.job_requests import JobRequest
from poets_edge.studio.places import Places
from poets_edge.studio.refusal import RefusedError
from poets_edge.studio.trained_model import TrainedModel, read_model


def current_model(places: Places) -> TrainedModel:
    """Return the current model. Raises RefusedError if there is none."""
    model = read_model(places)
    if model is None:
        raise RefusedError("There is no model yet. Train one first.", 409)
    return model


def run_take(request: JobRequest, send: Callable[[object], None]) -> dict[str, Any]:
    """Prepare the current model for download.

    Returns:
        Form, file name, size in bytes, and the accuracy by which the file was verified, 0 to 1 or None.
    """
    places = Places(request.root)
    model = current_model(places)
    reporter = JobReporter(send)
    reporter.status(f"preparing {request.form}")
    if request.form in QUANTIZATIONS:
        path, accuracy = _file(request.form, model, places, reporter)
    elif request.form in _FORMS:
        name, prepare = _FORMS[request.form]
        path, accuracy = places.taken / name, None
        with replacing(path) as temporary:
            prepare(model, temporary)
    else:
        raise RefusedError(f"The model cannot be taken as {request.form[:20]!r}.", 404)
    text = f"{path.name}, {path.stat().st_size / 1e6:.1f} MB"
    if accuracy is not None:
        text += f", verified on the test photos: {percent(accuracy)}"
    return {"form": request.form, "name": path.name, "bytes": path.stat().st_size, "accuracy": accuracy, "text": text}


def taken_file(places: Places, form: str) -> Path:
    """Return the file that a job has prepared. Raises RefusedError if there is none."""
    name = _FORMS[form][0] if form in _FORMS else f"{form}.tflite"
    path = places.taken / name
    if (form not in _FORMS and form not in QUANTIZATIONS) or not path.is_file():
        raise RefusedError(f"The model was not prepared as {form[:20]!r}. Take it in this form first.", 404)
    return path


def _file(form: str, model: TrainedModel, places: Places, reporter: JobReporter) -> tuple[Path, float | None]:
    """Export the model in a quantization, unless training has, and copy the file for the download."""
    accuracy: float | None = None
    for listed in model.shown.get("files", ()):
        if listed["form"] == form:
            accuracy = listed["accuracy"]
    try:
        exported = model.file(form)
    except RefusedError:
        quantization: Quantization = next(name for name in QUANTIZATIONS if name == form)
        file = export(model.graph, quantization, reporter=reporter)[form]
        exported, accuracy = file.path, file.accuracy
    path = places.taken / f"{form}.tflite"
    with replacing(path) as temporary:
        shutil.copyfile(exported, temporary)
    return path, accuracy


def _web(model: TrainedModel, path: Path) -> None:
    with scratch_folder() as folder:
        page = write_page(model.file("int8"), folder / "site")
        _zip(path, {f"site/{name}": page.folder / name for name in page.files})


def _frigate(model: TrainedModel, path: Path) -> None:
    with scratch_folder() as folder:
        exported = export_for_frigate(ExportOptions(graph=model.graph), folder)
        _zip(path, {"model.tflite": exported.model.path, "labelmap.txt": exported.labelmap})


def _android(model: TrainedModel, path: Path) -> None:
    with scratch_folder() as folder:
        app = shutil.copytree(_APP, folder / "android_demo", ignore=shutil.ignore_patterns(*_BUILT))
        install_model(model.file("int8"), app)
        files = [file for file in sorted(app.rglob("*")) if file.is_file()]
        _zip(path, {file.relative_to(folder).as_posix(): file for file in files})


def _zip(path: Path, files: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in files.items():
            archive.write(file, name)


_APP = Path(poets_edge.__file__).parents[1] / DEFAULT_APP
"""Sources of the Android app, which a checkout of poets_edge has and an installed package does not."""
_BUILT = ("build", ".gradle", ".kotlin", "__pycache__", ".idea", "local.properties")
"""Names of files that building the app creates."""

_FORMS: dict[str, tuple[str, Callable[[TrainedModel, Path], None]]] = {
    "web": ("web_page.zip", _web),
    "frigate": ("frigate.zip", _frigate),
    **({"android": ("android_app.zip", _android)} if _APP.is_dir() else {}),
}
"""Name of the file and function that writes it, by form."""

TAKES = (*QUANTIZATIONS, *_FORMS)
"""Forms in which a model can be taken here."""
