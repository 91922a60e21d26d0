"""Description of a machine's floating-point arithmetic, which determines the last bits of weights and scores.

Sums of floats depend on the order of their terms. Numerical libraries choose this order by the instruction set and the
number of cores, and may change it between versions.
"""

from __future__ import annotations

import hashlib
import os
from importlib.metadata import version

import numpy as np
import numpy.typing as npt

from poets_edge.tflite.session import Session
from tools.compare.running import ROOT

Array = npt.NDArray[np.float32]

_MODEL = ROOT / "tests/corpus/seeds/seed_graph.tflite"


def arithmetic() -> dict[str, str]:
    """Return facts that determine floating-point results: library versions, the number of cores, and hashes of results.

    The keys are library names, "cores", "products" (hash of matrix products) and "scores" (hash of model scores).
    """
    return {
        **{name: version(name) for name in ("numpy", "pillow", "ai-edge-litert")},
        "cores": str(os.cpu_count()),
        "products": _hash(*map(_product, (5, 100, 1024))),
        "scores": _hash(_scores()),
    }


def _product(columns: int) -> Array:
    left, right = _values(columns, 256), _values(256, columns)
    return np.asarray(np.exp(-np.abs(left @ right) / 8))


def _scores() -> Array:
    session = Session(_MODEL)
    return session.run(_values(*session.inputs[0].shape))


def _values(*shape: int) -> Array:
    """Return a fixed array of values between -1 and 1, float32, with the given shape."""
    return (np.arange(np.prod(shape)) * 37 % 199 / 99.5 - 1).astype(np.float32).reshape(shape)


def _hash(*arrays: Array) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]
