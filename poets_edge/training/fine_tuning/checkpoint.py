"""Checkpoints of fine-tuning: a killed run resumes after its last complete epoch, with a bit-identical result.

The name of a checkpoint contains a checksum of everything that determines the result, so runs with different inputs do
not use it.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.core.files import replacing
from poets_edge.core.json_checks import COUNT, Optional, check, parse_json
from poets_edge.errors import RecordError
from poets_edge.training.fine_tuning.trainer import Epoch

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
class Checkpoint:
    """State from which a training run resumes.

    Attributes:
        epochs: results of the complete epochs.
        chosen: number of the best epoch so far, from 1; 0 if there is none.
        state: weights, optimizer state and step number, as returned by `Trainer.state`.
        best: weights of the best epoch so far, in the order of `weights_of`.
    """

    epochs: tuple[Epoch, ...]
    chosen: int
    state: Arrays
    best: Arrays


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically. Raises OutputError if the file cannot be written."""
    notes = {"chosen": checkpoint.chosen, "epochs": [asdict(epoch) for epoch in checkpoint.epochs]}
    arrays = {f"state_{number:03}": array for number, array in enumerate(checkpoint.state)}
    arrays |= {f"kept_{number:03}": array for number, array in enumerate(checkpoint.best)}
    # Not via a buffer in memory: training would need a tenth more memory.
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, notes=np.array(json.dumps(notes)), **arrays)  # type: ignore[arg-type]


def load(path: Path) -> Checkpoint | None:
    """Read a checkpoint; return None if the file does not exist or is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            notes = check(parse_json(str(stored["notes"])), _NOTES)
            state, best = (
                [stored[name] for name in sorted(stored.files) if name.startswith(kind)] for kind in ("state", "kept")
            )
            epochs = tuple(Epoch(**fields) for fields in notes["epochs"])
            return Checkpoint(epochs, int(notes["chosen"]), state, best)
    except (OSError, RecordError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
