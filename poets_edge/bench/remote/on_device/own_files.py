"""Functions for the program's files on a device: locks, checksums, and state files that contain a signature.

This module runs on the device with the standard library only; see `own_folder.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
from typing import Any

if sys.platform != "win32":  # devices run Unix, but Windows imports this module, too
    import fcntl

SIGNATURE = "poets-edge device folder 1"
_CHUNK = 1 << 20
LARGEST_STATE = 64 << 20
"""Maximum number of bytes that are read from a state file or journal."""
State = dict[str, Any]


def sha256(path: str) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def state_bytes(state: State) -> bytes:
    """Return the bytes to write to a state file: `state` as JSON, with a signature that marks it as this program's."""
    return json.dumps({"signature": SIGNATURE, **state}, indent=1).encode() + b"\n"


def read_state(path: str) -> State | None:
    """Return the values in a state file; None if it is missing, damaged, not a regular file, or another program's."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        return parsed(file.read(LARGEST_STATE))


def parsed(content: bytes) -> State | None:
    """Return the values from the content of a state file; None if it is damaged or from another program."""
    found = parsed_json(content)
    return found if isinstance(found, dict) and found.get("signature") == SIGNATURE else None


def parsed_json(content: bytes) -> Any:
    """Parse JSON text, and return its value; None if the text is not valid JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def locked(path: str, flags: int, how: int) -> int:
    """Open and lock a file, and return its descriptor. If the file is replaced before it is locked, it is opened again.

    Args:
        flags: flags for `os.open`.
        how: operation for `fcntl.flock`.

    Raises:
        BlockingIOError: `how` contains LOCK_NB, and another process has locked the file.
        FileNotFoundError: the file does not exist, and `flags` does not contain O_CREAT.
    """
    while True:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, how)
            except OSError as error:
                if how & fcntl.LOCK_NB:
                    raise BlockingIOError(error.errno, error.strerror, path) from None
                return descriptor  # a file system without locks
            if os.path.lexists(path) and os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def own_directory(path: str) -> str:
    """Create a folder if it is missing, and return its path. Raises OSError if the path is a link or a file."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)
    if not is_directory(path):
        raise OSError(0, "is not a folder; move it away", path)
    return path


def is_directory(path: str) -> bool:
    """Return whether a path is a folder and not a symbolic link to a folder."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def remove_empty(path: str) -> None:
    """Remove a folder if it is empty."""
    if is_directory(path):
        with contextlib.suppress(OSError):
            os.rmdir(path)


def remove_file(path: str) -> None:
    """Remove a regular file if it exists."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISREG(os.lstat(path).st_mode):
            os.unlink(path)


def leaves(path: str) -> list[str]:
    """Return the paths of all files and empty folders below `path`, or `path` itself if nothing is below it."""
    if not is_directory(path):
        return [path]
    return [leaf for entry in os.scandir(path) for leaf in leaves(entry.path)] or [path]


def in_home(folder: str) -> str:
    """Return the absolute path of a folder; relative paths are resolved against the home folder, as in scp."""
    return os.path.normpath(os.path.join(os.path.expanduser("~"), os.path.expanduser(folder)))
