"""Convert ONNX models to SavedModels with onnx2tf.

onnx2tf requires specific versions of its dependencies. It is therefore not installed with this package, but run as a
program in its own environment.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

from poets_edge.errors import ModelError, RuntimeMissingError

_PROGRAM = "onnx2tf"
_SECONDS = 1800
_INSTALL = "python3 -m venv onnx && onnx/bin/pip install 'onnx2tf<2' && export PATH=$PATH:$PWD/onnx/bin"
_SAMPLES = "calibration_image_sample_data_20x128x128x3_float32.npy"
"""File of sample images, which onnx2tf would download if it were not in the working directory."""
_COLOR = re.compile(r"\x1b\[[0-9;]*m")


def convert_onnx(path: Path, folder: Path) -> Path:
    """Convert an ONNX model to a SavedModel with inputs of shape [1, height, width, channels], and return its folder.

    Args:
        folder: existing folder into which the SavedModel is written.

    Raises:
        ModelError: the model cannot be converted.
        RuntimeMissingError: onnx2tf is not on the PATH.
    """
    program = shutil.which(_PROGRAM)
    if program is None:
        raise RuntimeMissingError(
            f"{path}: an ONNX model is converted by onnx2tf, which has an environment of its own. Run: {_INSTALL}"
        )
    np.save(folder / _SAMPLES, np.random.default_rng(0).random((20, 128, 128, 3), np.float32))
    copied, converted = folder / "model.onnx", folder / "converted"
    shutil.copyfile(path, copied)  # onnx2tf replaces its input with a simplified model
    command = [program, "-i", str(copied), "-o", str(converted), "-osd"]
    try:
        ran = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ModelError(f"{path}: onnx2tf did not finish within {_SECONDS} seconds.") from None
    if ran.returncode or not (converted / "saved_model.pb").is_file():
        raise ModelError(f"{path}: onnx2tf cannot convert it ({_reason(ran.stderr) or _reason(ran.stdout)}).")
    return converted


def _reason(printed: str) -> str:
    """Return the last line in a program's output that contains "error", or else its last line; "" without output."""
    lines = [" ".join(_COLOR.sub("", line).split()) for line in printed.splitlines()]
    lines = [line for line in lines if line]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [""])[-1][:200]
