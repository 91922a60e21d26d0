"""The folder layout of the codelab "TensorFlow for Poets": `scripts/` and `tf_files/`.

The codelab's instructions run `python -m scripts.retrain ...` in a repository whose scripts require TensorFlow 1.
`write_codelab` writes scripts with the names from the codelab; each calls `poets_edge.codelab.run_script`.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from poets_edge.core.files import read_head, write_text
from poets_edge.core.paths import WORK
from poets_edge.errors import OutputError

SCRIPTS = ("retrain", "label_image", "evaluate", "count_ops", "graph_pb2tb")

_HEAD = "# Written by: poets-edge codelab"
_SCRIPT = f"""{_HEAD}
from poets_edge.codelab import run_script

if __name__ == "__main__":
    run_script("{{name}}")
"""


def write_codelab(folder: Path) -> tuple[Path, ...]:
    """Write `scripts/` and an empty `tf_files/` into a folder, and return the paths of the scripts.

    Raises:
        OutputError: the folder cannot be written, or already contains other scripts with the same names.
    """
    scripts = [folder / "scripts" / f"{name}.py" for name in SCRIPTS]
    package = folder / "scripts/__init__.py"
    for path in (package, *scripts):
        if os.path.lexists(path) and not _is_own(path):
            raise OutputError(f"{path}: a script that poets-edge has not written. Give a new folder.")
    try:
        (folder / WORK).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder / WORK}: {error.strerror or error}.") from None
    write_text(package, f"{_HEAD}\n")
    for path in scripts:
        write_text(path, _SCRIPT.format(name=path.stem))
    return tuple(scripts)


def _is_own(script: Path) -> bool:
    """Return whether a script was written by `write_codelab` or is empty, so that it may be replaced."""
    with contextlib.suppress(OSError):
        return read_head(script, len(_HEAD.encode())) in (b"", _HEAD.encode())
    return False
