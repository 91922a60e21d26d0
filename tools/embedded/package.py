"""Conversion of the distilled weights to float16, in the weights file that poets_edge contains.

The arrays are in the order of Keras's `get_weights()`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poets_edge.core.files import replacing


def package(student: Path, out: Path) -> int:
    """Write the student's weights as float16 to the weights file of poets_edge; return the size of that file in bytes.

    Args:
        student: the file `student.npz`.
        out: the weights file of poets_edge.

    Raises:
        ValueError: a weight is not finite in float16.
    """
    with np.load(student) as stored:
        arrays = [stored[f"arr_{index}"] for index in range(len(stored.files))]
    with np.errstate(over="ignore"):  # checked below
        narrow = [array.astype(np.float16) for array in arrays]
    if not all(np.isfinite(array).all() for array in narrow):
        raise ValueError(f"{student}: a weight is too large for float16")
    with replacing(out) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, *narrow)
    return out.stat().st_size
