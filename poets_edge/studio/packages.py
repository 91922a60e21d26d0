"""Packages with the current model for use elsewhere: a web page, Android app sources, firmware, Frigate, ONNX."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import poets_edge
from poets_edge.core.files import scratch_folder
from poets_edge.exporting.android import DEFAULT_APP, install_model
from poets_edge.exporting.frigate import export_for_frigate
from poets_edge.exporting.microcontroller.boards import board
from poets_edge.exporting.microcontroller.microcontroller import export_firmware
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.other_formats import export_format
from poets_edge.exporting.web import write_page
from poets_edge.studio.trained_model import TrainedModel

_APP = Path(poets_edge.__file__).parents[1] / DEFAULT_APP
"""Sources of the Android app, which exist in a checkout of poets_edge but not in an installed package."""
_BUILT = ("build", ".gradle", ".kotlin", "__pycache__", ".idea", "local.properties")
"""Names of files and folders that building the app creates; they are not packaged."""
_BOARD = "esp32s3"


@dataclass(frozen=True)
class Package:
    """A download that contains a model for use in another program, as one file.

    Attributes:
        name: name of the file.
        write: function that writes the file for a model, and returns its accuracy on the test photos, 0 to 1, or None
            if it was not evaluated again.
        needed: names of the Python packages that it requires.
    """

    name: str
    write: Callable[[TrainedModel, Path], float | None]
    needed: tuple[str, ...] = ()


def _web(model: TrainedModel, path: Path) -> None:
    with scratch_folder() as folder:
        page = write_page(model.file("int8"), folder / "site")
        _zip(path, {f"site/{name}": page.folder / name for name in page.files})


def _frigate(model: TrainedModel, path: Path) -> float | None:
    with scratch_folder() as folder:
        exported = export_for_frigate(ExportOptions(graph=model.graph), folder)
        _zip(path, {"model.tflite": exported.model.path, "labelmap.txt": exported.labelmap})
        return exported.model.accuracy


def _firmware(model: TrainedModel, path: Path) -> float | None:
    with scratch_folder() as folder:
        firmware = export_firmware(ExportOptions(graph=model.graph, output_dir=folder / "firmware"), board(_BOARD))
        _zip(path, _files_in(firmware.folder))
        return firmware.file.accuracy


def _onnx(model: TrainedModel, path: Path) -> None:
    with scratch_folder() as folder:
        shutil.copyfile(export_format(ExportOptions(graph=model.graph, output_dir=folder), "onnx").path, path)


def _android(model: TrainedModel, path: Path) -> None:
    with scratch_folder() as folder:
        app = shutil.copytree(_APP, folder / "android_demo", ignore=shutil.ignore_patterns(*_BUILT))
        install_model(model.file("int8"), app)
        _zip(path, _files_in(app))


def _files_in(folder: Path) -> dict[str, Path]:
    """Return the files in a folder, by path in an archive. Each path begins with the name of the folder."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return {file.relative_to(folder.parent).as_posix(): file for file in files}


def _zip(path: Path, files: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in files.items():
            archive.write(file, name)


def _available() -> dict[str, Package]:
    every = {
        "web": Package("web_page.zip", _web),
        "frigate": Package("frigate.zip", _frigate),
        "firmware": Package(f"firmware_{_BOARD}.zip", _firmware, ("tflite_micro",)),
        "onnx": Package("model.onnx", _onnx, ("tensorflow", "tf2onnx", "onnxruntime")),
        "android": Package("android_app.zip", _android),
    }
    return {
        form: package
        for form, package in every.items()
        if all(find_spec(name) for name in package.needed) and (form != "android" or _APP.is_dir())
    }


PACKAGES: Mapping[str, Package] = _available()
"""Packages that can be written on this computer, by form."""
