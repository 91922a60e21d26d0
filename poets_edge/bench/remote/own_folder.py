"""The program's folder on a device, from which exactly the files that the program created can be removed.

This module runs on the device with the standard library only; `Connection` sends its source together with `agent.py`.

    DIR/poets-edge/
        .poets-edge.json           marker that identifies the folder
        .poets-edge-uses.json      number of sessions, and the session that last used each item
        .poets-edge-service.json   description of the deployed service, with the checksums of its unit
        service/<unit>.service     the unit, linked from systemd's folder
        cache/verified/            empty files that record verified models (`tflite/verify/memory.py`)
        incoming/                  partially received items, each with a journal
        packages/<key>/            an item; its .poets-edge.json lists the files in it with their checksums
        program/<key>/ models/<key>/ photos/<key>/ labels/<key>/
        secrets/<key>/             an item that other users cannot read, such as a password

A file is removed only if an item or a journal lists it and, in an item, its SHA-256 equals the listed checksum; a
folder is removed if it is empty afterwards. All other files are kept and reported. Symbolic links are never followed.
No decision depends on a clock: an item expires after SESSIONS sessions without a use, and a partial item was left by a
killed agent if its journal is not locked.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any

if sys.platform != "win32":  # devices run Unix, but Windows imports this module, too
    import fcntl

NAME = "poets-edge"
SIGNATURE = "poets-edge device folder 1"
SESSIONS = 30
"""Number of sessions without a use after which an item expires; secrets expire after 1."""

_MARKER = ".poets-edge.json"
_REMOVING = ".poets-edge-removing.json"
_USES = ".poets-edge-uses.json"
_SERVICE = ".poets-edge-service.json"
_INCOMING = "incoming"
_UNITS = "service"
_NOTES = os.path.join("cache", "verified")
_NOTE_NAME = re.compile(r"[0-9a-f]{64}-[0-9a-f]{16}-\d+")
_BYTECODE = re.compile(r"([^.]+)\.[\w-]+(?:\.opt-[12])?\.pyc(?:\.\d+)?")
"""Name of a bytecode file, or of its temporary file while Python writes it: `module.cpython-311.pyc.140234`."""
_JOURNAL = ".journal"
_SECRETS = "secrets"
_KINDS = ("packages", "program", "models", "photos", "labels", _SECRETS)
_CHUNK = 1 << 20
_LARGEST_STATE = 64 << 20

State = dict[str, Any]


class OwnFolder:
    """The program's folder on a device. Call `open` once per session; the lock is released when the process ends."""

    def __init__(self, path: str) -> None:
        """Store the path, without reading or writing anything.

        Args:
            path: absolute path of the folder; the last component is `poets-edge`.
        """
        self.path = path
        self._lock = -1

    @property
    def state(self) -> str:
        """State of the folder: "missing", "empty", "ours" (has the marker), "link", or "other" (anything else).

        Another user's folder is never "ours": in /tmp, it could contain a program that this user would run.
        """
        try:
            status = os.lstat(self.path)
        except FileNotFoundError:
            return "missing"
        if stat.S_ISLNK(status.st_mode):
            return "link"
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            return "other"
        marker = os.path.join(self.path, _MARKER)
        if _read_state(marker) is not None:
            return "ours"
        names = os.listdir(self.path)
        unfinished = names == [_MARKER] and os.lstat(marker).st_size == 0  # killed before it was written
        return "empty" if not names or unfinished else "other"

    def open(self, *, adopt: bool, alone: bool = False) -> list[str]:
        """Create the folder if needed, lock it for this session, and remove partial and expired items.

        Args:
            alone: whether to prevent other sessions until this session ends; expired items are then not removed.
            adopt: whether to accept a folder that already contains files of other programs; they are never removed.

        Returns:
            Paths in expired items that stay, because the program did not create them.

        Raises:
            OSError: the folder cannot be written, is a symbolic link, contains files of other programs and `adopt` is
                false, or is used by another session and `alone` is true.
        """
        while self._lock < 0:
            state = self.state
            if state == "link":
                raise OSError(0, "is a symbolic link; name the folder that it leads to", self.path)
            if state == "other" and not (adopt and os.lstat(self.path).st_uid == os.getuid()):
                raise OSError(0, "is there already and was not made by this program; name another folder", self.path)
            if state != "ours":
                self._mark()
            self._lock = _locked(os.path.join(self.path, _MARKER), os.O_RDONLY, fcntl.LOCK_SH)
        if alone and not self._alone():
            self.close()
            raise OSError(0, "is in use: another poets-edge works with it; try again when it has ended", self.path)
        self._tidy()
        with self._uses() as uses:
            uses["session"] += 1
        return [] if alone else self._expire()

    def close(self) -> None:
        """End the session, and release the lock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def have(self, items: Sequence[str]) -> list[str]:
        """Return the given items (`<kind>/<key>`) that are complete, and record that this session has used them."""
        found = [item for item in items if self._is_complete(item)]
        with self._uses() as uses:
            uses["items"].update(dict.fromkeys(found, uses["session"]))
        return found

    @contextlib.contextmanager
    def new_item(self, item: str) -> Iterator[Staging]:
        """Create an item atomically: after the `with` block it is complete, or absent if the block failed.

        Raises:
            OSError: the item cannot be written, or its path belongs to a folder that the program did not create.
        """
        staging = Staging(_own_directory(os.path.join(self.path, _INCOMING)), private=_is_secret(item))
        try:
            yield staging
            staging.finish()
            place = self._place(item)
            _own_directory(os.path.dirname(place))
            os.sync()  # after a power failure, the item is complete or absent
            if not self._is_complete(item):  # otherwise another session has just created it
                if os.path.lexists(place):
                    raise OSError(0, "is there already and was not made by this program; move it away", place)
                os.rename(staging.path, place)
        finally:
            staging.discard()
        self.have([item])

    def service(self) -> State:
        """Return the facts saved by `set_service`; empty if there is no service. Raises OSError if they are damaged."""
        path = os.path.join(self.path, _SERVICE)
        found = _read_state(path)
        if found is None and os.path.lexists(path):
            raise OSError(0, "is damaged or was not written by this program; move it away", path)
        note = (found or {}).get("service")
        return note if isinstance(note, dict) else {}

    def unit_path(self, unit: str) -> str:
        """Return the path of the unit file for the service `unit`. Raises OSError if the name is invalid."""
        if not unit.replace("-", "").isalnum():
            raise OSError(0, "not a name for a unit", unit)
        return os.path.join(self.path, _UNITS, f"{unit}.service")

    def set_service(self, note: State, text: str = "") -> None:
        """Write the unit file of a service, and save facts about the service.

        Args:
            note: the facts, including the name of the unit as "unit".
            text: text of the unit file; "" leaves the file unchanged.

        Raises:
            OSError: a file cannot be written, or the unit was edited by hand.
        """
        path = self.unit_path(note["unit"])
        before = self.service()
        known = _checksums(before)
        if text:
            regular = os.path.isfile(path) and not os.path.islink(path)
            there = _sha256(path) if regular else ""
            if os.path.lexists(path) and there not in known:
                raise OSError(0, "was changed since this program wrote it; move it away", path)
            new = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
            known = [one for one in (there, new) if one]
        self._replace(os.path.join(self.path, _SERVICE), _state_bytes({"service": {**note, "sha256": known}}))
        if text:
            _own_directory(os.path.dirname(path))
            self._replace(path, text.encode("utf-8", "surrogateescape"))

    def remove(self) -> list[str]:
        """Remove all files that the program created in the folder.

        The folder itself is removed if the program created it and it is empty afterwards.

        Returns:
            Paths that stay, because the program did not create them.

        Raises:
            OSError: a file cannot be removed.
        """
        for item in self._items():
            _remove_item(self._place(item))
        units = os.path.join(self.path, _UNITS)
        known = _checksums((_read_state(os.path.join(self.path, _SERVICE)) or {}).get("service"))
        for entry in list(os.scandir(units)) if _is_directory(units) else ():
            if entry.is_file(follow_symlinks=False) and _sha256(entry.path) in known:
                os.unlink(entry.path)
        notes = os.path.join(self.path, _NOTES)
        for entry in list(os.scandir(notes)) if _is_directory(notes) else ():
            empty = entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_size == 0
            if empty and _NOTE_NAME.fullmatch(entry.name):
                os.unlink(entry.path)
        for folder in (*_KINDS, _INCOMING, _UNITS, _NOTES, os.path.dirname(_NOTES)):
            _remove_empty(os.path.join(self.path, folder))
        for name in (_SERVICE, _USES):
            if _read_state(os.path.join(self.path, name)) is not None:
                os.unlink(os.path.join(self.path, name))
        left = [path for entry in os.scandir(self.path) if entry.name != _MARKER for path in _leaves(entry.path)]
        if left:  # with the marker, so that the next session recognizes the folder
            return sorted(left)
        marker = os.path.join(self.path, _MARKER)
        made = (_read_state(marker) or {}).get("made") is True
        os.unlink(marker)
        if made:
            _remove_empty(self.path)
        return [] if made else [self.path]

    def _mark(self) -> None:
        """Create the folder and its marker. A process that is killed in between leaves an empty, unmarked folder."""
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        made = True
        try:
            os.mkdir(self.path)
        except FileExistsError:
            made = False
        marker = os.path.join(self.path, _MARKER)
        descriptor = _locked(marker, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX)
        try:
            if os.fstat(descriptor).st_size == 0:
                os.write(descriptor, _state_bytes({"made": made}))
                os.fsync(descriptor)
            elif _read_state(marker) is None:
                raise OSError(0, "is damaged or was not written by this program; move it away", marker)
        finally:
            os.close(descriptor)

    def _replace(self, path: str, content: bytes) -> None:
        """Replace the file at `path` atomically."""
        staging = Staging(_own_directory(os.path.join(self.path, _INCOMING)))
        try:
            with staging.create("new") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(os.path.join(staging.path, "new"), path)
        finally:
            staging.discard()

    def _is_complete(self, item: str) -> bool:
        place = self._place(item)
        own = _is_directory(os.path.dirname(place)) and _is_directory(place)
        return own and _read_state(os.path.join(place, _MARKER)) is not None

    def _alone(self) -> bool:
        """Return whether no other session uses the folder; if true, also prevent new sessions."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with contextlib.suppress(OSError):
                fcntl.flock(self._lock, fcntl.LOCK_SH)
            return False
        return True

    def _place(self, item: str) -> str:
        kind, _, key = item.partition("/")
        if kind not in _KINDS or not key.isalnum():
            raise OSError(0, "not an item of the program's folder", item)
        return os.path.join(self.path, kind, key)

    def _items(self) -> list[str]:
        """Return the items (`<kind>/<key>`) that are complete, or whose removal was interrupted."""
        found = []
        for kind in _KINDS:
            parent = os.path.join(self.path, kind)
            if _is_directory(parent):
                for entry in os.scandir(parent):
                    if entry.name.isalnum() and entry.is_dir(follow_symlinks=False) and _listed(entry.path) is not None:
                        found.append(f"{kind}/{entry.name}")
        return found

    @contextlib.contextmanager
    def _uses(self) -> Iterator[State]:
        """Context manager that yields the record of uses, and saves it afterwards.

        If the record is damaged, all items count as used in this session.
        """
        path = os.path.join(self.path, _USES)
        descriptor = _locked(path, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX)
        try:
            with os.fdopen(os.dup(descriptor), "rb+") as file:
                content = file.read(_LARGEST_STATE).strip(b"\0")  # a power failure leaves zeros
                found = _parsed(content)
                session, items = (found or {}).get("session"), (found or {}).get("items")
                sound = isinstance(session, int) and isinstance(items, dict)
                uses: State = {"session": session, "items": items} if sound else {"session": 0, "items": {}}
                there = set(self._items())
                uses["items"] = {
                    item: last if isinstance(last, int) and last <= uses["session"] else uses["session"]
                    for item, last in {**dict.fromkeys(there, None), **uses["items"]}.items()
                    if item in there
                }
                yield uses
                if content and found is None:  # not written by the program
                    return
                file.seek(0)
                file.write(_state_bytes(uses))
                file.truncate()
        finally:
            os.close(descriptor)

    def _expire(self) -> list[str]:
        """Remove items that no recent session has used and the service does not need, and return the paths that stay.

        Nothing is removed while another session is running.
        """
        if not self._alone():
            return []
        with self._uses() as uses:
            old = [
                item
                for item, last in uses["items"].items()
                if uses["session"] - last > (1 if _is_secret(item) else SESSIONS)
            ]
        items = self.service().get("items") if old else None
        needed = items if isinstance(items, list) else []
        left = [path for item in old if item not in needed for path in _remove_item(self._place(item))]
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        return left

    def _tidy(self) -> None:
        """Remove the partial items that killed agents have left."""
        incoming = os.path.join(self.path, _INCOMING)
        for entry in list(os.scandir(incoming)) if _is_directory(incoming) else ():
            if entry.name.endswith(_JOURNAL) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(BlockingIOError, FileNotFoundError):
                    _discard(entry.path)


class Staging:
    """Temporary folder in which an item is assembled. A journal records the name of each file before it is created.

    Attributes:
        path: path of the temporary folder.
    """

    def __init__(self, incoming: str, *, private: bool = False) -> None:
        """Create the folder and its journal in `incoming`. If `private`, other users cannot read the folder."""
        self._private = private
        name = secrets.token_hex(8)
        self.path = os.path.join(incoming, name)
        self._journal_path = self.path + _JOURNAL
        self._sums: dict[str, str] = {}
        # It exists without a lock for a moment; if it is removed in this moment, this agent starts again.
        descriptor = _locked(self._journal_path, os.O_RDWR | os.O_CREAT | os.O_EXCL, fcntl.LOCK_EX)
        self._journal = os.fdopen(descriptor, "ab", buffering=0)
        self._note(SIGNATURE)
        os.mkdir(self.path, 0o700)

    @contextlib.contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """Open a new file in the item for writing. Raises OSError if the name is invalid, such as "../file"."""
        relative = os.path.normpath(name)
        if os.path.isabs(relative) or relative.split(os.sep)[0] == ".." or relative in (".", _MARKER):
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
        """Write the list of all files in the item with their checksums, which makes the item complete."""
        sums = {}
        for folder, _, names in os.walk(self.path):
            for name in names:
                path = os.path.join(folder, name)
                sums[os.path.relpath(path, self.path)] = _sha256(path)
        self._note(_MARKER)
        with open(os.path.join(self.path, _MARKER), "xb") as file:
            file.write(_state_bytes({"files": sums}))
        if not self._private:
            os.chmod(self.path, 0o755)

    def discard(self) -> None:
        """Remove the files that remain in the temporary folder, the folder, and the journal."""
        with contextlib.suppress(OSError):
            _discard(self._journal_path, self._journal)
        self._journal.close()

    def _note(self, word: str) -> None:
        self._journal.write(json.dumps(word).encode() + b"\n")


def _is_secret(item: str) -> bool:
    return item.startswith(f"{_SECRETS}/")


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def older_deployment(folder: str) -> list[str]:
    """Return the paths in `folder` that belong to an older version, which wrote no marker; empty if there are none."""
    found = []
    programs = os.path.join(folder, "program")
    with contextlib.suppress(OSError):
        for entry in os.scandir(programs):
            place = os.path.join(entry.path, "poets_edge")
            if _listed(entry.path) is None and os.path.isfile(os.path.join(place, "__init__.py")):
                found = [os.path.join(folder, name) for name in (*_KINDS, "model", "deployed.json")]
    return [path for path in found if os.path.lexists(path)]


def _discard(journal: str, held: IO[bytes] | None = None) -> None:
    """Remove the files that a journal names, then the journal.

    Args:
        held: the journal, if this process has it open and locked.

    Raises:
        BlockingIOError: the agent that writes the journal is running.
    """
    descriptor = held.fileno() if held else _locked(journal, os.O_RDWR, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        with open(journal, "rb") as file:
            words = [_json(line) for line in file.read(_LARGEST_STATE).splitlines()]
        if words and words[0] != SIGNATURE:
            return  # not written by the program
        folder = journal.removesuffix(_JOURNAL)
        if _is_directory(folder):
            names = {word for word in words[1:] if isinstance(word, str)}
            folders = {folder}
            for name in names:
                for path in _inside(folder, name):
                    _unlink(path)
                    parent = os.path.dirname(path)
                    while parent != folder and parent.startswith(folder + os.sep):
                        folders.add(parent)
                        parent = os.path.dirname(parent)
                if name.endswith("/"):
                    folders.add(os.path.join(folder, name[:-1]))
            for path in sorted(folders, key=len, reverse=True):
                _remove_empty(path)
        os.unlink(journal)
    finally:
        if not held:
            os.close(descriptor)


def _inside(folder: str, name: str) -> list[str]:
    """Return the paths that a journal entry names: one file, or the wheels in a folder.

    The result is empty for an entry outside `folder`. Symbolic links are not followed.
    """
    path = os.path.normpath(os.path.join(folder, name))
    if not path.startswith(folder + os.sep):
        return []
    parent = path if name.endswith("/") else os.path.dirname(path)
    while parent != folder:
        if not _is_directory(parent):
            return []
        parent = os.path.dirname(parent)
    if name.endswith("/"):
        return [entry.path for entry in os.scandir(path) if entry.name.endswith(".whl")]
    return [path]


def _remove_item(place: str) -> list[str]:
    """Remove the files in an item; return the paths that are kept, because they are not listed or were changed."""
    sums = _listed(place)
    if sums is None:
        return []
    with contextlib.suppress(FileNotFoundError):  # from now on it is incomplete
        os.rename(os.path.join(place, _MARKER), os.path.join(place, _REMOVING))
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
                sums[relative] == _sha256(path) if relative in sums else _is_bytecode(relative, sums)
            ):
                os.unlink(path)
        if folder in own_folders and folder != place:
            _remove_empty(folder)
    os.unlink(os.path.join(place, _REMOVING))
    _remove_empty(place)
    return _leaves(place) if os.path.lexists(place) else []


def _is_bytecode(relative: str, sums: State) -> bool:
    """Return whether a file is bytecode that Python has written for a source file that `sums` lists."""
    folder, name = os.path.split(relative)
    parent, cache = os.path.split(folder)
    match = _BYTECODE.fullmatch(name) if cache == "__pycache__" else None
    return match is not None and os.path.join(parent, f"{match[1]}.py") in sums


def _checksums(note: Any) -> list[str]:
    """Return the checksums of the unit file from the record of a service; empty if the record contains none."""
    sums = note.get("sha256") if isinstance(note, dict) else None
    return [one for one in sums if isinstance(one, str)] if isinstance(sums, list) else []


def _listed(place: str) -> State | None:
    """Return the checksums of the files in an item by name; None if the folder is not an item."""
    for name in (_MARKER, _REMOVING):
        sums = (_read_state(os.path.join(place, name)) or {}).get("files")
        if isinstance(sums, dict):
            return sums
    return None


def _leaves(path: str) -> list[str]:
    """Return the paths of all files and empty folders below a path; the path itself if it is not a folder."""
    if not _is_directory(path):
        return [path]
    return [leaf for entry in os.scandir(path) for leaf in _leaves(entry.path)] or [path]


def _locked(path: str, flags: int, how: int) -> int:
    """Open a file, lock it, and return its descriptor; open it again if it was replaced meanwhile.

    Args:
        flags: flags for `os.open`.
        how: operation for `fcntl.flock`.

    Raises:
        BlockingIOError: `how` contains LOCK_NB, and another process has locked the file.
        FileNotFoundError: the file does not exist, and `flags` do not create it.
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


def _own_directory(path: str) -> str:
    """Create a folder if it is missing, and return its path. Raises OSError if the path is a link or a file."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)
    if not _is_directory(path):
        raise OSError(0, "is not a folder; move it away", path)
    return path


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _remove_empty(path: str) -> None:
    if _is_directory(path):
        with contextlib.suppress(OSError):
            os.rmdir(path)


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISREG(os.lstat(path).st_mode):
            os.unlink(path)


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def _state_bytes(state: State) -> bytes:
    return json.dumps({"signature": SIGNATURE, **state}, indent=1).encode() + b"\n"


def _read_state(path: str) -> State | None:
    """Return the content of a state file; None if it is missing, a link, damaged, or not written by the program."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return _parsed(file.read(_LARGEST_STATE))


def _parsed(content: bytes) -> State | None:
    found = _json(content)
    return found if isinstance(found, dict) and found.get("signature") == SIGNATURE else None


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
