"""Write the folders `scripts/` and `tf_files/`, as in the codelab "TensorFlow for Poets".

The codelab's instructions run `python -m scripts.retrain ...` in a repository whose scripts require TensorFlow 1.
`write_codelab` writes scripts with the names from the codelab; each calls `poets_edge.codelab.run_script`.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from poets_edge.core.files import read_bytes, write_text
from poets_edge.core.paths import WORK
from poets_edge.errors import OutputError

SCRIPTS = ("retrain", "label_image", "evaluate", "count_ops", "graph_pb2tb")

_HEAD = "# Written by: poets-edge codelab"
_LARGEST = 1 << 16
_SCRIPT = f"""{_HEAD}
from poets_edge.codelab import run_script

if __name__ == "__main__":
    run_script("{{name}}")
"""


def write_codelab(folder: Path) -> tuple[Path, ...]:
    """Write `scripts/` and an empty `tf_files/` into a folder, as in the TensorFlow for Poets codelab.

    Returns:
        The paths of the scripts.

    Raises:
        OutputError: the folder cannot be written, or already contains other scripts with the same names.
    """
    scripts = [folder / "scripts" / f"{name}.py" for name in SCRIPTS]
    package = folder / "scripts/__init__.py"
    contents = {package: f"{_HEAD}\n", **{path: _SCRIPT.format(name=path.stem) for path in scripts}}
    for path, content in contents.items():
        if os.path.lexists(path) and not _is_own(path, content):
            raise OutputError(
                f"{path}: a script that poets-edge has not written, or that was edited. Give a new folder."
            )
    try:
        (folder / WORK).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder / WORK}: {error.strerror or error}.") from None
    for path, content in contents.items():
        write_text(path, content)
    return tuple(scripts)


def _is_own(script: Path, content: str) -> bool:
    """Return whether a script may be replaced, because it is empty or contains exactly the text `content`."""
    with contextlib.suppress(OSError):
        return read_bytes(script, _LARGEST) in (b"", content.encode())
    return False
