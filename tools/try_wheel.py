"""Test a wheel in new environments, outside of this checkout.

    python3 tools/try_wheel.py dist/poets_edge-0.3.0-py3-none-any.whl

The first environment contains the wheel with `[train]` and runs `quickstart`; the second one contains the plain wheel
and labels a photo with the resulting model. Requires only Python; pip downloads the dependencies.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path


def main(wheel: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="poets-edge-wheel-") as folder:
        work = Path(folder) / "work"
        work.mkdir()
        train = installed(Path(folder) / "train", f"{wheel.resolve()}[train]")
        run(work, train, "quickstart", "--quiet")
        model = next(work.rglob("*_int8.tflite"))
        photo = next((work / "quickstart/photos/daisy").iterdir())
        device = installed(Path(folder) / "device", str(wheel.resolve()))
        run(work, device, "doctor")
        run(work, device, "label", model, photo)
        print(f"{wheel.name}: works in bare environments.")


def installed(home: Path, requirement: str) -> Path:
    """Install a requirement in a new virtual environment; return the path of the command `poets-edge` in it."""
    venv.create(home, with_pip=True)
    programs = home / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([programs / "python", "-m", "pip", "install", "--quiet", requirement], check=True, env=_bare())
    return programs / "poets-edge"


def run(folder: Path, program: Path, *arguments: str | Path) -> None:
    print(f"$ poets-edge {' '.join(map(str, arguments))}", flush=True)
    subprocess.run([program, *arguments], cwd=folder, check=True, env=_bare())


def _bare() -> dict[str, str]:
    """Return the environment variables of this process, except those that refer to the checkout or to weights."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "KERAS_HOME")}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python3 tools/try_wheel.py WHEEL")
    main(Path(sys.argv[1]))
