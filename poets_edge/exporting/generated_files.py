"""Write generated files into a folder without replacing files that the user has written or edited."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from poets_edge.core.files import finish_pending, read_bytes, sha256_of, write_together
from poets_edge.core.json_checks import DictOf, check, parse_json
from poets_edge.errors import OutputError, RecordError

LIST = ".poets-edge.json"
"""Name of the file that lists the generated files in its folder, with their checksums."""


def write_generated(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files and a list of their checksums into a folder; either all are written or none.

    An existing file is replaced only if an earlier call wrote it and it has not been changed since.

    Args:
        files: content of each file, by path relative to the folder.

    Raises:
        OutputError: an existing file was not written by this function or was changed since, or a file cannot be
            written. Nothing is written then.
    """
    finish_pending(folder)
    known = _listed(folder)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    for name, digest in sums.items():
        path = folder / name
        if path.exists() and _checksum(path) not in (digest, known.get(name)):
            raise OutputError(
                f"{path}: edited, or written by another program, and is not replaced. Move it away, or choose another"
                " `output_dir`."
            )
    listed = json.dumps({"files": {**known, **sums}}, indent=1).encode() + b"\n"
    write_together({folder / LIST: listed, **{folder / name: content for name, content in files.items()}})


def _listed(folder: Path) -> dict[str, str]:
    """Return the checksums in a folder's list of generated files; an empty dictionary if there is no valid list."""
    try:
        found = check(parse_json(read_bytes(folder / LIST, 1 << 20)), {"files": DictOf(str)})
    except (OSError, RecordError):
        return {}
    return dict(found["files"])


def _checksum(path: Path) -> str:
    """Return the SHA-256 digest of a file in hexadecimal; "" if the file cannot be read."""
    try:
        return sha256_of(path)
    except OSError:
        return ""
