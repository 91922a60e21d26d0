"""Write generated files into a folder without replacing files that the user has written or edited."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from poets_edge.core.files import finish_pending, read_bytes, sha256_of, write_text, write_together
from poets_edge.core.json_checks import DictOf, check, parse_json
from poets_edge.errors import OutputError, RecordError

LIST = ".poets-edge.json"
"""Name of the file that lists the generated files in its folder, with their checksums."""


def check_generated(folder: Path, names: Collection[str]) -> None:
    """Check, before the contents of files are generated, that `write_generated` may write files with these names.

    Raises:
        OutputError: an existing file was not written by `write_generated`, or was changed since then.
    """
    finish_pending(folder)
    known = _listed(folder)
    _check_unchanged(folder, known, dict.fromkeys(names, ""))


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
    _check_unchanged(folder, known, sums)
    listed = _list_text({**known, **sums}).encode()
    write_together({folder / LIST: listed, **{folder / name: content for name, content in files.items()}})


def remove_generated(folder: Path, suffixes: Collection[str]) -> None:
    """Remove the files that `write_generated` wrote into a folder, except those that were changed since then.

    Args:
        suffixes: suffixes of the files to remove. Files in subfolders are kept.

    Raises:
        OutputError: the list of generated files cannot be written.
    """
    finish_pending(folder)
    known = _listed(folder)
    removed = {
        name
        for name, digest in known.items()
        if Path(name).name == name and Path(name).suffix in suffixes and _is_unchanged(folder / name, digest)
    }
    for name in removed:
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    if removed and removed == known.keys():
        (folder / LIST).unlink(missing_ok=True)
    elif removed:
        write_text(folder / LIST, _list_text({name: digest for name, digest in known.items() if name not in removed}))


def _check_unchanged(folder: Path, known: Mapping[str, str], sums: Mapping[str, str]) -> None:
    """Raise OutputError if an existing file has neither its listed checksum nor the checksum of its new content.

    Args:
        known: listed checksums by file name.
        sums: checksums of the new contents by file name; "" for a file whose content is not yet known.
    """
    for name, digest in sums.items():
        path = folder / name
        if os.path.lexists(path) and not _is_unchanged(path, digest, known.get(name, "")):
            raise OutputError(
                f"{path}: edited, or written by another program, and is not replaced. Move it away, or choose another"
                " folder."
            )


def _is_unchanged(path: Path, *digests: str) -> bool:
    """Return whether a path is a regular file (not a link) with one of the given SHA-256 digests."""
    digest = "" if path.is_symlink() else _checksum(path)
    return bool(digest) and digest in digests


def _list_text(sums: Mapping[str, str]) -> str:
    return json.dumps({"files": sums}, indent=1) + "\n"


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
