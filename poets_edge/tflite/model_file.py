"""The bytes of a `.tflite` with the path they were read from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ModelFile:
    """A `.tflite` in memory.

    Labels, weights and checksum of a model belong together only if they come from one reading of its file, which may be
    replaced at any time. Functions that need more than one of them therefore take a `ModelFile`, not a path.

    Attributes:
        path: the file's path, or a description of a model that is not in a file; used in messages.
        content: the bytes of the file.
        verified: whether exactly these bytes have been verified on this machine.
    """

    path: Path
    content: bytes = field(repr=False)
    verified: bool = False
