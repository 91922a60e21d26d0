"""Reading of `.tflite` files, and verification of files that are new to this machine."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from poets_edge.core.files import read_bytes
from poets_edge.errors import ModelError, WrongTypeError
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.verify.memory import is_known, remember

LARGEST_MODEL = 512 << 20
"""Maximum size of a model file, in bytes. Inception V3, the largest network here, has 95 MB."""

ModelSource: TypeAlias = "ModelFile | str | os.PathLike[str]"
"""Path of a `.tflite` or `.lite` file, or a model in memory."""


def read_model(model: ModelSource) -> ModelFile:
    """Read and verify a model; return a `ModelFile` unchanged.

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
        raise ModelError(f"{path}: a folder, not a model. Name the .tflite file in it.") from None
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}.") from None
    if content[4:8] != b"TFL3":
        way_out = f" Export it: poets-edge export {path}" if path.suffix.lower() == ".pb" else ""
        raise ModelError(f"{path}: not a TensorFlow Lite model.{way_out}")
    file = ModelFile(path, content, verified=is_known(content))
    if file.verified:
        return file
    # Loaded only for models that are new to this machine: the import takes as long as an inference.
    from poets_edge.tflite.verify.verify import verify

    verify(file.path, content)
    read_metadata(file)
    remember(content)
    return replace(file, verified=True)
