"""Create items in the program's folder on a device atomically, and remove them file by file.

An item is a folder with a list of its files and their checksums. This module runs on the device with the standard
library only; see `own_folder.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator
from typing import IO

from poets_edge.bench.remote.on_device.own_files import (
    LARGEST_STATE,
    SIGNATURE,
    State,
    is_directory,
    leaves,
    locked,
    own_directory,
    parsed_json,
    read_state,
    remove_empty,
    remove_file,
    sha256,
    state_bytes,
)

if sys.platform != "win32":  # devices run Unix, but Windows imports this module, too
    import fcntl

MARKER = ".poets-edge.json"
_REMOVING = ".poets-edge-removing.json"
JOURNAL = ".journal"
_BYTECODE = re.compile(r"([^.]+)\.[\w-]+(?:\.opt-[12])?\.pyc(?:\.\d+)?")
"""Pattern for the names of bytecode files and of the temporary files that Python writes first, such as
`module.cpython-311.pyc.140234`."""


class Staging:
    """Temporary folder in which a new item, a folder with a list of its files and their checksums, is assembled.

    Each file is listed in a journal before it is created, so that the remains of a killed process can be removed.

    Attributes:
        path: path of the temporary folder.
    """

    def __init__(self, incoming: str, *, private: bool = False) -> None:
        """Create the folder and its journal in `incoming`. If `private` is true, other users cannot read the folder."""
        self._private = private
        name = secrets.token_hex(8)
        self.path = os.path.join(incoming, name)
        self._journal_path = self.path + JOURNAL
        self._sums: dict[str, str] = {}
        # It exists without a lock for a moment; if it is removed in this moment, this agent starts again.
        descriptor = locked(self._journal_path, os.O_RDWR | os.O_CREAT | os.O_EXCL, fcntl.LOCK_EX)
        self._journal = os.fdopen(descriptor, "ab", buffering=0)
        self._note(SIGNATURE)
        os.mkdir(self.path, 0o700)

    @contextlib.contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """Open a new file in this folder for writing. Raises OSError if the name is invalid, such as "../file"."""
        relative = os.path.normpath(name)
        if os.path.isabs(relative) or relative.split(os.sep)[0] == ".." or relative in (".", MARKER):
            raise OSError(0, "not a name for a file in an item", name)
        self._note(relative)
        path = os.path.join(self.path, relative)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb", opener=_open_private if self._private else None) as file:
            yield file

    def expect(self, name: str) -> str:
        """Create a folder in which another program will write wheels, record it in the journal, and return its path."""
        self._note(f"{name}/")
        path = os.path.join(self.path, name)
        os.mkdir(path)
        return path

    def drop(self, name: str) -> None:
        """Remove a file or an empty folder from this temporary folder, so that it does not become part of the item.

        Args:
            name: path relative to the temporary folder.
        """
        path = os.path.join(self.path, name)
        if os.path.isdir(path):
            os.rmdir(path)
        else:
            os.unlink(path)

    def finish(self) -> None:
        """Complete the item by writing the list of its files and their checksums."""
        sums = {}
        for folder, _, names in os.walk(self.path):
            for name in names:
                path = os.path.join(folder, name)
                sums[os.path.relpath(path, self.path)] = sha256(path)
        self._note(MARKER)
        with open(os.path.join(self.path, MARKER), "xb") as file:
            file.write(state_bytes({"files": sums}))
        if not self._private:
            os.chmod(self.path, 0o755)

    def discard(self) -> None:
        """Remove the temporary folder, any files in it, and the journal."""
        with contextlib.suppress(OSError):
            discard(self._journal_path, self._journal)
        self._journal.close()

    def _note(self, word: str) -> None:
        self._journal.write(json.dumps(word).encode() + b"\n")


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def discard(journal: str, held: IO[bytes] | None = None) -> None:
    """Remove an incomplete item: the files that its journal lists, and then the journal itself.

    Args:
        held: the open journal file if this process has locked it, otherwise None.

    Raises:
        BlockingIOError: another process has locked the journal, because it is creating the item.
    """
    descriptor = held.fileno() if held else locked(journal, os.O_RDWR, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        with open(journal, "rb") as file:
            words = [parsed_json(line) for line in file.read(LARGEST_STATE).splitlines()]
        if words and words[0] != SIGNATURE:
            return  # not written by the program
        folder = journal.removesuffix(JOURNAL)
        if is_directory(folder):
            names = {word for word in words[1:] if isinstance(word, str)}
            folders = {folder}
            for name in names:
                for path in _files_of_entry(folder, name):
                    remove_file(path)
                    parent = os.path.dirname(path)
                    while parent != folder and parent.startswith(folder + os.sep):
                        folders.add(parent)
                        parent = os.path.dirname(parent)
                if name.endswith("/"):
                    folders.add(os.path.join(folder, name[:-1]))
            for path in sorted(folders, key=len, reverse=True):
                remove_empty(path)
        os.unlink(journal)
    finally:
        if not held:
            os.close(descriptor)


def _files_of_entry(folder: str, entry: str) -> list[str]:
    """Return the paths of the files in an item's folder that one entry of the item's journal refers to.

    The journal lists the files of an item that is being created, so that an incomplete item can be removed. The result
    is empty if the entry leads out of `folder` or through a symbolic link.

    Args:
        folder: absolute path of the item's folder.
        entry: line of the journal, relative to `folder`: the path of a file, or of a subfolder, ending in "/", which
            stands for all wheels in it.
    """
    path = os.path.normpath(os.path.join(folder, entry))
    if not path.startswith(folder + os.sep):
        return []
    parent = path if entry.endswith("/") else os.path.dirname(path)
    while parent != folder:
        if not is_directory(parent):
            return []
        parent = os.path.dirname(parent)
    if entry.endswith("/"):
        return [file.path for file in os.scandir(path) if file.name.endswith(".whl")]
    return [path]


def remove_item(place: str) -> list[str]:
    """Remove an item (a folder that the program created) except for files that were changed or added later.

    Returns:
        The paths of the files that are kept.
    """
    sums = listed(place)
    if sums is None:
        return []
    with contextlib.suppress(FileNotFoundError):  # from now on it is incomplete
        os.rename(os.path.join(place, MARKER), os.path.join(place, _REMOVING))
    own_folders = {place}
    for name in sums:
        parent = os.path.dirname(name)
        while parent:
            own_folders |= {os.path.join(place, parent), os.path.join(place, parent, "__pycache__")}
            parent = os.path.dirname(parent)
    own_folders.add(os.path.join(place, "__pycache__"))
    for folder, _, names in os.walk(place, topdown=False):
        for name in names:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, place)
            if stat.S_ISREG(os.lstat(path).st_mode) and (
                sums[relative] == sha256(path) if relative in sums else _is_bytecode(relative, sums)
            ):
                os.unlink(path)
        if folder in own_folders and folder != place:
            remove_empty(folder)
    os.unlink(os.path.join(place, _REMOVING))
    remove_empty(place)
    return leaves(place) if os.path.lexists(place) else []


def _is_bytecode(relative: str, sums: State) -> bool:
    """Return whether a file is the Python bytecode of a source file listed in `sums`."""
    folder, name = os.path.split(relative)
    parent, cache = os.path.split(folder)
    match = _BYTECODE.fullmatch(name) if cache == "__pycache__" else None
    return match is not None and os.path.join(parent, f"{match[1]}.py") in sums


def listed(place: str) -> State | None:
    """Return the checksums of the files in the item at the path `place`, keyed by relative path.

    An item is a folder with a list of its files and their checksums. None is returned if the folder has no such list.
    """
    for name in (MARKER, _REMOVING):
        sums = (read_state(os.path.join(place, name)) or {}).get("files")
        if isinstance(sums, dict):
            return sums
    return None


def replace_file(incoming: str, path: str, content: bytes) -> None:
    """Write `content` to the file at `path` atomically; an existing file is replaced.

    Args:
        incoming: folder in which the new file is written before it is moved; it is created if it is missing.
    """
    staging = Staging(own_directory(incoming))
    try:
        with staging.create("new") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(os.path.join(staging.path, "new"), path)
    finally:
        staging.discard()
