"""In-memory representation of a `.tflite`: its bytes, and the path from which they were read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ModelFile:
    """A `.tflite` file in memory.

    Labels, weights and checksum of a model are consistent only if its file, which may be replaced at any time, is read
    once. Functions that need more than one of them therefore accept a `ModelFile` instead of a path.

    Attributes:
        path: the file's path, or a description of a model that is not in a file; used in messages.
        content: the bytes of the file.
        verified: whether `content` has been verified on this machine.
        labels_file: content of the labels file next to the model in a zip; empty if there is none.
    """

    path: Path
    content: bytes = field(repr=False)
    verified: bool = False
    labels_file: bytes = field(default=b"", repr=False)
