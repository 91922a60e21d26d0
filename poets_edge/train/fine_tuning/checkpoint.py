"""How far a training has come, in a file: a run that was killed goes on from its last whole epoch, to the same bits.

The file's name holds a checksum of everything the training follows from, so another run never takes it for its own.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.core.files import write_bytes
from poets_edge.core.json_checks import COUNT, Optional, check, parse_json
from poets_edge.errors import RecordError
from poets_edge.train.fine_tuning.trainer import Epoch

Arrays = Sequence[npt.NDArray[Any]]

SUFFIX = ".checkpoint.npz"
_EPOCH = {
    "epoch": COUNT,
    "train_accuracy": float,
    "train_cross_entropy": float,
    "validation_accuracy": Optional(float),
    "validation_cross_entropy": Optional(float),
}
_NOTES = {"chosen": COUNT, "epochs": [_EPOCH]}


@dataclass(frozen=True)
class Progress:
    """The state that a training run resumes from.

    Attributes:
        epochs: those that are done.
        chosen: how many epochs the weights had that would be kept now; 0 none.
        state: of the trainer.
        kept: the weights that would be kept now.
    """

    epochs: tuple[Epoch, ...]
    chosen: int
    state: Arrays
    kept: Arrays


def save(path: Path, progress: Progress) -> None:
    """Write it atomically. Raises OutputError."""
    notes = {"chosen": progress.chosen, "epochs": [asdict(epoch) for epoch in progress.epochs]}
    arrays = {f"state_{number:03}": array for number, array in enumerate(progress.state)}
    arrays |= {f"kept_{number:03}": array for number, array in enumerate(progress.kept)}
    buffer = io.BytesIO()
    np.savez(buffer, notes=np.array(json.dumps(notes)), **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def load(path: Path) -> Progress | None:
    """Read it; None where there is none, or it is damaged: then training begins anew."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            notes = check(parse_json(str(stored["notes"])), _NOTES)
            state, kept = (
                [stored[name] for name in sorted(stored.files) if name.startswith(kind)] for kind in ("state", "kept")
            )
            epochs = tuple(Epoch(**fields) for fields in notes["epochs"])
            return Progress(epochs, int(notes["chosen"]), state, kept)
    except (OSError, RecordError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
