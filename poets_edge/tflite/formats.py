"""Recognize model files by content: the first bytes of a file, or the names of the files in a folder or zip.

The name of a model file does not matter. A model in a format other than TensorFlow Lite is rejected with a message that
names the format and says how to convert the model.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from poets_edge.core.archive_reads import opened_zip
from poets_edge.photos.formats import PHOTO_SUFFIXES

MODEL_SUFFIXES = frozenset(
    {".tflite", ".lite", ".pb", ".onnx", ".keras", ".h5", ".hdf5", ".task", ".pt", ".pth", ".mlmodel", ".mlpackage"}
)
"""File name suffixes that mark a command-line argument as a model, even if the file does not exist."""

_ARCHIVES = (
    (b"PK\3\4", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"7z\xbc\xaf", "7z"),
    (b"Rar!", "rar"),
    (b"(\xb5/\xfd", "zstd"),
)
"""First bytes that identify archives, and the names of the archive formats."""
_TAR_MAGIC, _BLOCK = 257, 512
"""Offset of the word that identifies a tar file, and size of its first header, in bytes."""
_DOCS = "docs/other-formats.md"
_HEAD = 4096
_MOST_MEMBERS = 1000
"""Maximum number of members in a zip that is searched for a model; a zip of photos usually has more."""
LARGEST_DIRECTORY = 1 << 20
"""Maximum size of the central directory in a zip that contains a model, in bytes."""


@dataclass(frozen=True)
class ModelFormat:
    """Format of a model.

    Attributes:
        name: name of the format with an article, such as "a Keras model".
        remedy: sentence, with the placeholder `{path}`, that says what to do; "" for formats that can be read.
    """

    name: str
    remedy: str = ""

    def refusal(self, path: Path, wanted: str = "a TensorFlow Lite model") -> str:
        """Return the one-line error message for a model of this format.

        Args:
            wanted: name of the format that is required.
        """
        return f"{path}: {self.name}, not {wanted}. {self.remedy.format(path=path)}"


TFLITE = ModelFormat("a TensorFlow Lite model")
FROZEN_GRAPH = ModelFormat("a frozen graph")
MODEL_ZIP = ModelFormat("a zip with a TensorFlow Lite model")

_EXPORT = "Convert it: poets-edge export {path} --image-dir PHOTOS"
KERAS = ModelFormat("a Keras model", _EXPORT)
HDF5 = ModelFormat("an HDF5 file, as Keras writes", _EXPORT)
SAVED_MODEL = ModelFormat("a SavedModel of TensorFlow", _EXPORT)
_SAVED_MODEL_FILE = ModelFormat(
    "the file of a SavedModel of TensorFlow", "Convert its folder: poets-edge export FOLDER --image-dir PHOTOS"
)
ONNX = ModelFormat("an ONNX model", _EXPORT)
_PYTORCH = ModelFormat(
    "a PyTorch model, which may run any program when it is loaded",
    f"Export it where it was trained (Ultralytics: yolo export format=tflite), or see PyTorch in {_DOCS}.",
)
_PICKLE = ModelFormat("a Python pickle, which may run any program when it is loaded", f"See {_DOCS}.")
_BUNDLE = ModelFormat(
    "a bundle of MediaPipe (.task) that does not hold exactly one model",
    "Take the .tflite of MediaPipe's image classifier, which is a single file.",
)
_TENSORFLOW_JS = ModelFormat(
    "a model of TensorFlow.js",
    "Teachable Machine: choose TensorFlow Lite at its export; else see TensorFlow.js in " + _DOCS + ".",
)
_CORE_ML = ModelFormat(
    "a Core ML model", f"Nothing converts it back: export the model that it was made from. See {_DOCS}."
)
_SAFETENSORS = ModelFormat(
    "weights without a network (safetensors)", f"Export the network with them: see PyTorch in {_DOCS}."
)
_EXECUTORCH = ModelFormat("a model of ExecuTorch", f"Export the PyTorch model as .tflite: see PyTorch in {_DOCS}.")
_OPENVINO = ModelFormat("a model of OpenVINO", f"Export the model that it was made from. See {_DOCS}.")
_NCNN = ModelFormat("a model of ncnn", f"Export the model that it was made from. See {_DOCS}.")
_EDGE_IMPULSE = ModelFormat(
    "a program of Edge Impulse (.eim)",
    "Choose TensorFlow Lite at its export: Dashboard, Download block output, TensorFlow Lite.",
)
_GIT_LFS = ModelFormat("a pointer of Git LFS", "Fetch the file itself: git lfs pull")
_HTML = ModelFormat("a web page", "Download the model again, from the address of the file itself.")
_SEVERAL = ModelFormat("a zip with several models", "Unpack it, and name the one you mean: unzip {path}")


def is_frozen_graph(path: Path, found: ModelFormat | None) -> bool:
    """Return whether a file is a frozen graph, by its format or, if that is unknown, by its suffix.

    Args:
        found: result of `model_format` for the file.
    """
    return found is FROZEN_GRAPH or (found is None and path.suffix.lower() == ".pb")


def model_format(path: Path) -> ModelFormat | None:
    """Return the format of a model file or folder; None if it is unreadable or not a model (for example, a photo).

    Only the first bytes of a file or the directory of a zip are read. A file with the suffix of a photo is not opened.
    """
    if path.suffix.lower() in PHOTO_SUFFIXES:
        return None
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _folder_format(path)
        if not stat.S_ISREG(mode):
            return None
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    return next((found for test, found in _TESTS if test(head, path)), None) or _zip_format(path, head)


def archive_format(path: Path) -> str:
    """Return the name of the format of an archive, such as "gzip"; "" for other files."""
    try:
        with path.open("rb") as file:
            head = file.read(_BLOCK)
    except OSError:
        return ""
    if head[_TAR_MAGIC : _TAR_MAGIC + 5] == b"ustar":
        return "tar"
    return next((name for magic, name in _ARCHIVES if head.startswith(magic)), "")


def tflite_members(names: Sequence[str]) -> list[str]:
    """Return the names of the TensorFlow Lite models among the members of a zip."""
    return [name for name in _visible(names) if PurePosixPath(name).suffix.lower() in (".tflite", ".lite")]


def labels_member(names: Sequence[str], model: str) -> str | None:
    """Return the name of the `*label*.txt` file next to a model in a zip; None unless there is exactly one."""
    folder = PurePosixPath(model).parent
    found = [
        name
        for name in _visible(names)
        if PurePosixPath(name).parent == folder and re.search(r"label.*\.txt$", PurePosixPath(name).name, re.IGNORECASE)
    ]
    return found[0] if len(found) == 1 else None


def _folder_format(folder: Path) -> ModelFormat | None:
    if any((folder / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        return SAVED_MODEL
    if (folder / "Manifest.json").is_file() and (folder / "Data").is_dir():
        return _CORE_ML
    return None


def _zip_format(path: Path, head: bytes) -> ModelFormat | None:
    if not head.startswith(b"PK\3\4"):
        return None
    try:
        with path.open("rb") as file, opened_zip(file, LARGEST_DIRECTORY) as archive:
            members = archive.infolist()
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return None
    return None if len(members) > _MOST_MEMBERS else format_of_members([member.filename for member in members])


def format_of_members(names: Sequence[str]) -> ModelFormat | None:
    """Return the format of the model in a zip with the given members; None if there is no model, or any photo."""
    parts = [PurePosixPath(name) for name in _visible(names)]
    bases = {part.name for part in parts}
    suffixes = {part.suffix.lower() for part in parts}
    if suffixes & PHOTO_SUFFIXES:
        return None
    if models := tflite_members(names):
        return MODEL_ZIP if len(models) == 1 else _BUNDLE if {".task", ".binarypb"} & suffixes else _SEVERAL
    if "data.pkl" in bases:
        return _PYTORCH
    if "config.json" in bases and "model.weights.h5" in bases:
        return KERAS
    if "saved_model.pb" in bases:
        return _unpack(SAVED_MODEL)
    if {".h5", ".keras"} & suffixes:
        return _unpack(KERAS)
    if ".onnx" in suffixes:
        return _unpack(ONNX)
    if "model.json" in bases:
        return _TENSORFLOW_JS
    return None


def _unpack(inside: ModelFormat) -> ModelFormat:
    return ModelFormat(f"a zip with {inside.name}", "Unpack it, and name the model in it: unzip {path}")


def _visible(names: Sequence[str]) -> list[str]:
    return [name for name in names if not name.startswith("__MACOSX/") and "/." not in f"/{name}"]


def _starts(*beginnings: bytes) -> Callable[[bytes, Path], bool]:
    return lambda head, path: head.startswith(beginnings)


def _has(pattern: bytes) -> Callable[[bytes, Path], bool]:
    return lambda head, path: re.match(pattern, head, re.DOTALL) is not None


_LENGTH = rb"[\x80-\xff]{0,4}[\x00-\x7f]"
"""Pattern for a length in a protocol buffer, a variable-length integer of up to 5 bytes."""

_TESTS: tuple[tuple[Callable[[bytes, Path], bool], ModelFormat], ...] = (
    (_has(rb"....TFL3"), TFLITE),
    (_has(rb"....ET\d\d"), _EXECUTORCH),
    (_starts(b"\x89HDF\r\n\x1a\n"), HDF5),
    # A GraphDef begins with a node, which begins with its name (printable) and has its operation next.
    (_has(rb"\x0a" + _LENGTH + rb"\x0a[\x01-\x7f][\x20-\x7e]+\x12[\x01-\x7f][A-Z]\w+"), FROZEN_GRAPH),
    (lambda head, path: path.suffix.lower() == ".mlmodel", _CORE_ML),
    # Field 1 is a version; then a SavedModel has messages, ONNX the name of the program that wrote it, or a graph.
    (_has(rb"\x08\x01\x12" + _LENGTH + rb"\x0a"), _SAVED_MODEL_FILE),
    (_has(rb"\x08[\x01-\x20](\x12[\x00-\x7f][\x20-\x7e]*[\x1a\x22\x28\x32\x3a]|[\x1a\x22\x28\x32\x3a\x42])"), ONNX),
    (_has(rb"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19\."), _PYTORCH),
    (_has(rb"\x80[\x02-\x05](\x95|\}|c|\])"), _PICKLE),
    (_has(rb'.{3}\x00{5}\{"'), _SAFETENSORS),
    (_has(rb'\s*\{.*("modelTopology"|"(layers|graph)-model")'), _TENSORFLOW_JS),
    (_has(rb"\s*(<\?xml[^>]*>)?\s*<net "), _OPENVINO),
    (_starts(b"7767517\n", b"7767517\r\n"), _NCNN),
    (_starts(b"version https://git-lfs."), _GIT_LFS),
    (_has(rb"(?i)\s*<(!doctype )?html"), _HTML),
    (lambda head, path: head.startswith(b"\x7fELF") and path.suffix.lower() == ".eim", _EDGE_IMPULSE),
)
