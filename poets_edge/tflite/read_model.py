"""Read `.tflite` files, and verify files that are new to this machine."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from poets_edge.core.archive_reads import opened_zip
from poets_edge.core.files import read_bytes
from poets_edge.errors import ModelError, WrongTypeError
from poets_edge.tflite.formats import (
    LARGEST_DIRECTORY,
    MODEL_ZIP,
    archive_format,
    is_frozen_graph,
    labels_member,
    model_format,
    tflite_members,
)
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.verify.memory import is_known, remember

LARGEST_MODEL = 512 << 20
"""Maximum size of a model file, in bytes. Inception V3, the largest backbone, is 95 MB."""

ModelSource: TypeAlias = "ModelFile | str | os.PathLike[str]"
"""Path of a TensorFlow Lite file or of a zip that contains one, or a model in memory."""

_LARGEST_LABELS = 16 << 20
_EDGE_TPU = b"edgetpu-custom-op"
"""Name of the custom operator that replaces the part of a model that was compiled for an Edge TPU."""


def read_model(model: ModelSource, *, compiled: bool = False) -> ModelFile:
    """Read and verify a model, regardless of its file name; a `ModelFile` is returned unchanged.

    From a zip with one TensorFlow Lite model, as exported by Teachable Machine, the model and its labels file are read.

    Args:
        compiled: whether to accept, without verification, a model compiled for an Edge TPU.

    Raises:
        ModelError: the file is missing, unreadable, not a regular file, too large, not a `.tflite`, damaged, or unsafe
            to load into an interpreter.
        WrongTypeError: `model` is neither a path nor a `ModelFile`.
    """
    if isinstance(model, ModelFile):
        return model
    if not isinstance(model, (str, os.PathLike)):
        raise WrongTypeError(f"`model` must be the path of a .tflite file, not {type(model).__name__}.")
    path = Path(model)
    try:
        content = read_bytes(path, LARGEST_MODEL)
    except IsADirectoryError:
        found = model_format(path)
        text = found.refusal(path) if found else f"{path}: a folder, not a model. Name the .tflite file in it."
        raise ModelError(text) from None
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}.") from None
    labels_file = b""
    if content[4:8] != b"TFL3":
        content, labels_file = _inside(path)
    file = ModelFile(path, content, verified=is_known(content), labels_file=labels_file)
    if file.verified or (compiled and _EDGE_TPU in content):
        return file
    # Loaded only for models that are new to this machine: the import takes as long as an inference.
    from poets_edge.tflite.verify.verify import verify

    verify(file.path, content)
    read_metadata(file)
    remember(content)
    return replace(file, verified=True)


def _inside(path: Path) -> tuple[bytes, bytes]:
    """Return the contents of the model in a zip and of the labels file next to it (b"" if there is none).

    Raises:
        ModelError: the file is not a zip with exactly one TensorFlow Lite model, or cannot be unpacked.
    """
    found = model_format(path)
    if found is not MODEL_ZIP:
        remedy = f" Export it: poets-edge export {path}" if is_frozen_graph(path, found) else ""
        if found is None and (kind := archive_format(path)):
            raise ModelError(
                f"{path}: an archive ({kind}), not a TensorFlow Lite model. Unpack it, and name the model in it."
            )
        refusal = found.refusal(path) if found and found.remedy else f"{path}: not a TensorFlow Lite model.{remedy}"
        raise ModelError(refusal)
    try:
        with path.open("rb") as file, opened_zip(file, LARGEST_DIRECTORY) as archive:
            names = archive.namelist()
            [model] = tflite_members(names)
            labels = labels_member(names, model)
            content = _member(archive, model, LARGEST_MODEL)
            if content[4:8] != b"TFL3":
                raise ModelError(f"{path}: {model} in it is not a TensorFlow Lite model.")
            return content, _member(archive, labels, _LARGEST_LABELS) if labels else b""
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"{path}: its model cannot be unpacked ({reason}). Unpack it, and name the model.") from None


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return the content of a member of a zip. Raises OSError if the content exceeds `most` bytes."""
    with archive.open(name) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(f"{name} is larger than {most / 1e6:,.0f} MB")
    return content
