"""The student's weights as they are shipped: float16, in the order of the Keras model's `get_weights()`.

The last norm is multiplied by `SCALE`: the student's features spread a quarter as widely as those of Google's weights,
and a head trained by plain descent for a set number of steps gets less far on small numbers. (ReLU6 then clips at
6 / `SCALE` of the student's own units.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poets_edge.files import replacing

SCALE = 2.0


def package(student: Path, out: Path, scale: float = SCALE) -> int:
    """Write the shipped file from the training's `student.npz`; gives its size in bytes.

    Raises:
        ValueError: a weight does not fit into float16.
    """
    with np.load(student) as stored:
        arrays = [stored[f"arr_{index}"] for index in range(len(stored.files))]
    gamma, beta = -4, -3  # of the last norm; its mean and variance follow
    arrays[gamma], arrays[beta] = arrays[gamma] * scale, arrays[beta] * scale
    with np.errstate(over="ignore"):  # checked below
        narrow = [array.astype(np.float16) for array in arrays]
    if not all(np.isfinite(array).all() for array in narrow):
        raise ValueError(f"{student}: a weight is too large for float16")
    with replacing(out) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, *narrow)
    return out.stat().st_size
