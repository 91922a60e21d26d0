"""Download formats of the current model, such as a web page, an Android app or firmware for a microcontroller."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from poets_edge.core.files import scratch_folder
from poets_edge.core.wording import percent
from poets_edge.exporting.android import install_model
from poets_edge.exporting.frigate import export_for_frigate
from poets_edge.exporting.microcontroller.boards import board
from poets_edge.exporting.microcontroller.microcontroller import export_firmware
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.other_formats import Format, export_format
from poets_edge.exporting.web import write_page
from poets_edge.quantize.convert import QUANTIZATIONS
from poets_edge.studio import messages
from poets_edge.studio.android_app import app_sources, build_app, missing_programs, missing_sources
from poets_edge.studio.trained_model import TrainedModel

DEFAULT_BOARD = "esp32s3"


@dataclass(frozen=True, kw_only=True)
class Verified:
    """Result of checking a download ("package") that contains a model.

    Attributes:
        text: one line that describes the result.
        accuracy: accuracy of the model in the package on the test photos, 0 to 1; None if it was not evaluated.
    """

    text: str
    accuracy: float | None = None


@dataclass(frozen=True, kw_only=True)
class Package:
    """Download format: a single file that contains a model for use in another program.

    Attributes:
        name: file name of the package, without its folder.
        write: function that writes the file, given the model, the path to write to, and the name of a microcontroller
            board, which is used only for firmware.
        missing: function that returns a one-line reason why the file cannot be written on this computer; "" if it can.
    """

    name: str
    write: Callable[[TrainedModel, Path, str], Verified]
    missing: Callable[[], str] = lambda: ""


def _web(model: TrainedModel, path: Path, _: str) -> Verified:
    with scratch_folder() as folder:
        page = write_page(model.file("int8"), folder / "site")
        _zip(path, {f"site/{name}": page.folder / name for name in page.files})
    return _with_int8(model)


def _frigate(model: TrainedModel, path: Path, _: str) -> Verified:
    with scratch_folder() as folder:
        exported = export_for_frigate(ExportOptions(graph=model.graph), folder)
        _zip(path, {"model.tflite": exported.model.path, "labelmap.txt": exported.labelmap})
    text = messages.NOT_EVALUATED
    if exported.assigned is not None:
        text = messages.FRIGATE_LABELS.format(share=percent(exported.assigned))
    if exported.assigned_correct is not None:
        text += messages.FRIGATE_CORRECT.format(share=percent(exported.assigned_correct))
    return Verified(text=text, accuracy=exported.model.accuracy)


def _firmware(model: TrainedModel, path: Path, board_name: str) -> Verified:
    with scratch_folder() as folder:
        options = ExportOptions(graph=model.graph, output_dir=folder / "firmware")
        firmware = export_firmware(options, board(board_name or DEFAULT_BOARD))
        _zip(path, _files_in(firmware.folder))
    difference = firmware.largest_difference
    text = messages.FIRMWARE.format(
        board=firmware.board.name,
        arena=firmware.arena / 1000,
        flash=firmware.model_size / 1000,
        scores=messages.CLOSE_SCORES.format(difference=difference) if difference else messages.EQUAL_SCORES,
        photos=messages.photos(firmware.compared),
    )
    return Verified(text=text, accuracy=firmware.file.accuracy)


def _converted(format: Format, model: TrainedModel, path: Path, _: str) -> Verified:
    with scratch_folder() as folder:
        converted = export_format(ExportOptions(graph=model.graph, output_dir=folder), format)
        shutil.copyfile(converted.path, path)
    if not converted.compared:
        return Verified(text=messages.NOT_RUN)
    text = messages.CONVERTED.format(
        photos=messages.photos(converted.compared), difference=converted.largest_difference
    )
    return Verified(text=text, accuracy=model.accuracy("float32"))


def _app_sources(model: TrainedModel, path: Path, _: str) -> Verified:
    with scratch_folder() as folder:
        _zip(path, _files_in(_app_with(model, folder)))
    return _with_int8(model)


def _app(model: TrainedModel, path: Path, _: str) -> Verified:
    with scratch_folder() as folder:
        shutil.copyfile(build_app(_app_with(model, folder), folder / "build"), path)
    return Verified(text=messages.APP_BUILT, accuracy=model.accuracy("int8"))


def _app_with(model: TrainedModel, folder: Path) -> Path:
    app = app_sources(folder / "android_demo")
    install_model(model.file("int8"), app)
    return app


def _with_int8(model: TrainedModel) -> Verified:
    return Verified(text=messages.CONTAINS_INT8, accuracy=model.accuracy("int8"))


def _missing_modules(extra: str, *modules: str) -> str:
    if all(find_spec(name) for name in modules):
        return ""
    return messages.NOT_INSTALLED.format(command=f"pip install 'poets-edge[{extra}]'")


PACKAGES: Mapping[str, Package] = {
    "web": Package(name="web_page.zip", write=_web),
    "apk": Package(name="poets_edge.apk", write=_app, missing=lambda: missing_sources() or missing_programs()),
    "android": Package(name="android_app.zip", write=_app_sources, missing=missing_sources),
    "frigate": Package(name="frigate.zip", write=_frigate),
    "firmware": Package(
        name="firmware.zip", write=_firmware, missing=partial(_missing_modules, "micro", "tflite_micro")
    ),
    "coreml": Package(
        name="model.mlpackage.zip",
        write=partial(_converted, "coreml"),
        missing=partial(_missing_modules, "coreml", "tensorflow", "coremltools"),
    ),
    "onnx": Package(
        name="model.onnx",
        write=partial(_converted, "onnx"),
        missing=partial(_missing_modules, "onnx", "tensorflow", "tf2onnx", "onnxruntime"),
    ),
}
"""Packages, keyed by the name of the download format."""


@cache
def offered_forms() -> tuple[Mapping[str, Any], ...]:
    """Return a dictionary with the keys "form" (name) and "missing" for each download format.

    "missing" is the reason why the format is unavailable on this computer; "" if it is available.
    """
    return (
        *({"form": form, "missing": ""} for form in QUANTIZATIONS),
        *({"form": form, "missing": package.missing()} for form, package in PACKAGES.items()),
    )


def _files_in(folder: Path) -> dict[str, Path]:
    """Return the files below a folder, keyed by the paths that they get in an archive, such as `folder/file`."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return {file.relative_to(folder.parent).as_posix(): file for file in files}


def _zip(path: Path, files: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in files.items():
            archive.write(file, name)
