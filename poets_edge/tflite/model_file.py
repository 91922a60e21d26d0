"""A `.tflite` as it was read: once, so that its labels, its weights and its checksum belong to each other.

Whoever needs more than one thing from a model passes this on, never its path: the file may be replaced meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from poets_edge.core.files import read_bytes
from poets_edge.errors import ModelError
from poets_edge.tflite.verify.memory import is_known, remember

LARGEST_MODEL = 512 << 20
"""Bytes of a model's file. Inception V3, the largest network here, has 95 MB."""


@dataclass(frozen=True)
class ModelFile:
    """The bytes of a `.tflite`.

    Attributes:
        path: what to call it in messages.
        known: these very bytes have been verified on this machine before.
    """

    path: Path
    content: bytes = field(repr=False)
    known: bool = False


ModelSource: TypeAlias = "ModelFile | Path | str"


def read_model(model: ModelSource) -> ModelFile:
    """Read a model once, and verify it where it is new to this machine; what has been read already is given back.

    Raises:
        ModelError: it is missing, unreadable, no regular file, too large, no `.tflite`, damaged, or not to be trusted
            with an interpreter.
    """
    if isinstance(model, ModelFile):
        return model
    path = Path(model)
    try:
        content = read_bytes(path, LARGEST_MODEL)
    except IsADirectoryError:
        raise ModelError(f"{path}: a folder, not a model. Name the .tflite file in it.") from None
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}.") from None
    if content[4:8] != b"TFL3":
        raise ModelError(f"{path}: not a TensorFlow Lite model.")
    if is_known(content):
        return ModelFile(path, content, known=True)
    # Loaded only here: for a model that is known it would take as long as an inference.
    from poets_edge.tflite.metadata import read_metadata
    from poets_edge.tflite.verify.verify import verify

    file = ModelFile(path, content)
    verify(file.path, content)
    read_metadata(file)
    remember(content)
    return file
