"""The program's folder on a device. The program removes only files that it has created there.

This module runs on the device with the standard library only; `Connection` sends its source together with `agent.py`.

    DIR/poets-edge/
        .poets-edge.json           marker that identifies the folder
        .poets-edge-uses.json      number of sessions, and the session that last used each item
        .poets-edge-service.json   data on the deployed service, with checksums of its unit file (`own_service.py`)
        service/<unit>.service     the unit file, to which a link in systemd's folder points
        cache/verified/            empty files that record verified models (`tflite/verify/memory.py`)
        incoming/                  partially received items, each with a journal
        packages/<key>/            an item; its .poets-edge.json lists the files in it with their checksums
        program/<key>/ models/<key>/ photos/<key>/ labels/<key>/
        secrets/<key>/             an item that other users cannot read, such as a password

A file is removed only if an item or a journal lists it and, in an item, its SHA-256 equals the listed checksum; a
folder is removed if it is empty afterwards. All other files are kept and reported. Symbolic links are never followed.
No decision depends on a clock: an item expires if 30 sessions (in `secrets`, one) have not used it, and a partially
received item is removed if its journal is not locked, which shows that the agent that created it was killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence

from poets_edge.bench.remote.on_device.own_files import (
    LARGEST_STATE,
    State,
    is_directory,
    leaves,
    locked,
    own_directory,
    parsed,
    read_state,
    remove_empty,
    state_bytes,
)
from poets_edge.bench.remote.on_device.own_items import (
    JOURNAL,
    MARKER,
    Staging,
    discard,
    listed,
    remove_item,
)
from poets_edge.bench.remote.on_device.own_service import OwnService

if sys.platform != "win32":  # devices run Unix, but Windows imports this module, too
    import fcntl

NAME = "poets-edge"
SESSIONS = 30
"""Number of sessions after which an unused item, such as a model, is removed; for items in `secrets`, it is 1."""
_USES = ".poets-edge-uses.json"
_INCOMING = "incoming"
_NOTES = os.path.join("cache", "verified")
_NOTE_NAME = re.compile(r"[0-9a-f]{64}-[0-9a-f]{16}-\d+")
_JOURNAL_NAME = re.compile(rf"[0-9a-f]{{16}}{re.escape(JOURNAL)}")
_SECRETS = "secrets"
_KINDS = ("packages", "program", "models", "photos", "labels", _SECRETS)


class OwnFolder:
    """The program's folder on a device. Call `open` once per session; it locks the folder until the process ends.

    Attributes:
        path: path of the folder.
        service: service that is deployed in this folder; see `OwnService`.
    """

    def __init__(self, path: str) -> None:
        """Store the path, without reading or writing anything.

        Args:
            path: absolute path of the folder; the last component is `poets-edge`.
        """
        self.path = path
        self.service = OwnService(path, os.path.join(path, _INCOMING))
        self._lock = -1

    @property
    def state(self) -> str:
        """State of the folder: "missing", "empty", "ours" (has the marker), "link" (symbolic link) or "other".

        The state is "other" for everything else, including a folder that has the marker but belongs to another user,
        because it could contain a malicious program, for example in /tmp.
        """
        try:
            status = os.lstat(self.path)
        except FileNotFoundError:
            return "missing"
        if stat.S_ISLNK(status.st_mode):
            return "link"
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            return "other"
        marker = os.path.join(self.path, MARKER)
        if read_state(marker) is not None:
            return "ours"
        names = os.listdir(self.path)
        unfinished = names == [MARKER] and os.lstat(marker).st_size == 0  # killed before it was written
        return "empty" if not names or unfinished else "other"

    def open(self, *, adopt: bool, alone: bool = False) -> list[str]:
        """Create the folder if needed, lock it, and remove incomplete and expired items.

        An item is a subfolder that the program created, such as a model or a set of packages. It is incomplete if it
        was only partially received. It expires if neither the last 30 sessions nor the installed service used it.

        Args:
            adopt: whether to accept a folder that contains files of other programs; these files are never removed.
            alone: whether this session needs the folder for itself, as for removing it. The lock is then exclusive
                until the session ends, and expired items are not removed. By default, sessions share the lock.

        Returns:
            Paths of files inside expired items that were kept, because the program did not create them.

        Raises:
            OSError: one of the following:
                - The folder cannot be written, or is a symbolic link.
                - It contains files of other programs, and `adopt` is false.
                - Another session uses it, and `alone` is true.
        """
        while self._lock < 0:
            state = self.state
            if state == "link":
                raise OSError(0, "is a symbolic link; name the folder that it leads to", self.path)
            if state == "other" and not (adopt and os.lstat(self.path).st_uid == os.getuid()):
                raise OSError(0, "already exists and was not created by this program; name another folder", self.path)
            if state != "ours":
                self._mark()
            with contextlib.suppress(FileNotFoundError):  # another session has just removed the folder
                self._lock = locked(os.path.join(self.path, MARKER), os.O_RDONLY, fcntl.LOCK_SH)
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
        """Return which of the items (folders `<kind>/<key>`) are complete, and record that they were used."""
        found = [item for item in items if self._is_complete(item)]
        with self._uses() as uses:
            uses["items"].update(dict.fromkeys(found, uses["session"]))
        return found

    @contextlib.contextmanager
    def new_item(self, item: str) -> Iterator[Staging]:
        """Create an item, a folder `<kind>/<key>`, atomically: if the `with` block fails, the item does not exist.

        Raises:
            OSError: the item cannot be written, or its path belongs to a folder that the program did not create.
        """
        staging = Staging(own_directory(os.path.join(self.path, _INCOMING)), private=_is_secret(item))
        try:
            yield staging
            staging.finish()
            place = self._place(item)
            own_directory(os.path.dirname(place))
            os.sync()  # after a power failure, the item is complete or absent
            if not self._is_complete(item):  # otherwise another session has just created it
                if os.path.lexists(place):
                    raise OSError(0, "already exists and was not created by this program; move it away", place)
                os.rename(staging.path, place)
        finally:
            staging.discard()
        self.have([item])

    def remove(self) -> list[str]:
        """Remove all files that the program created in the folder.

        The folder itself is removed if the program created it and it is empty afterwards.

        Returns:
            Paths of files that are kept, because the program did not create them.

        Raises:
            OSError: a file cannot be removed.
        """
        for item in self._items():
            remove_item(self._place(item))
        self.service.remove()
        notes = os.path.join(self.path, _NOTES)
        linked = os.path.islink(os.path.dirname(notes))
        for entry in list(os.scandir(notes)) if is_directory(notes) and not linked else ():
            empty = entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_size == 0
            if empty and _NOTE_NAME.fullmatch(entry.name):
                os.unlink(entry.path)
        for folder in (*_KINDS, _INCOMING, *(() if linked else (_NOTES, os.path.dirname(_NOTES)))):
            remove_empty(os.path.join(self.path, folder))
        uses = os.path.join(self.path, _USES)
        if read_state(uses) is not None:
            os.unlink(uses)
        left = [path for entry in os.scandir(self.path) if entry.name != MARKER for path in leaves(entry.path)]
        if left:  # with the marker, so that the next session recognizes the folder
            return sorted(left)
        marker = os.path.join(self.path, MARKER)
        made = (read_state(marker) or {}).get("made") is True
        os.unlink(marker)
        if made:
            remove_empty(self.path)
        return [] if made else [self.path]

    def _mark(self) -> None:
        """Create the folder, then its marker file. If the process is killed in between, an empty folder is left."""
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        made = True
        try:
            os.mkdir(self.path)
        except FileExistsError:
            made = False
        marker = os.path.join(self.path, MARKER)
        descriptor = locked(marker, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX)
        try:
            if os.fstat(descriptor).st_size == 0:
                os.write(descriptor, state_bytes({"made": made}))
                os.fsync(descriptor)
            elif read_state(marker) is None:
                raise OSError(0, "is damaged or was not written by this program; move it away", marker)
        finally:
            os.close(descriptor)

    def _is_complete(self, item: str) -> bool:
        place = self._place(item)
        own = is_directory(os.path.dirname(place)) and is_directory(place)
        return own and read_state(os.path.join(place, MARKER)) is not None

    def _alone(self) -> bool:
        """Return whether no other session uses the folder. If so, lock out new sessions."""
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
        """Return the paths `<kind>/<key>` of all items that are complete, or whose removal was interrupted."""
        found = []
        for kind in _KINDS:
            parent = os.path.join(self.path, kind)
            if is_directory(parent):
                for entry in os.scandir(parent):
                    if entry.name.isalnum() and entry.is_dir(follow_symlinks=False) and listed(entry.path) is not None:
                        found.append(f"{kind}/{entry.name}")
        return found

    @contextlib.contextmanager
    def _uses(self) -> Iterator[State]:
        """Yield the current session number and, for each item, the last session that used it; save changes on exit.

        If the saved numbers are damaged, all items count as used in the current session.
        """
        path = os.path.join(self.path, _USES)
        descriptor = locked(path, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX)
        try:
            with os.fdopen(os.dup(descriptor), "rb+") as file:
                content = file.read(LARGEST_STATE).strip(b"\0")  # a power failure leaves zeros
                found = parsed(content)
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
                file.write(state_bytes(uses))
                file.truncate()
        finally:
            os.close(descriptor)

    def _expire(self) -> list[str]:
        """Remove the items (folders `<kind>/<key>`) that no recent session has used and the service does not need.

        Nothing is removed while another session is running.

        Returns:
            Paths of files in these items that are kept, because the program did not create them.
        """
        if not self._alone():
            return []
        with self._uses() as uses:
            old = [
                item
                for item, last in uses["items"].items()
                if uses["session"] - last > (1 if _is_secret(item) else SESSIONS)
            ]
        items = self.service.read().get("items") if old else None
        needed = items if isinstance(items, list) else []
        left = [path for item in old if item not in needed for path in remove_item(self._place(item))]
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        return left

    def _tidy(self) -> None:
        """Remove partially received items (new folders in the program's folder) that killed agents have left."""
        incoming = os.path.join(self.path, _INCOMING)
        for entry in list(os.scandir(incoming)) if is_directory(incoming) else ():
            if _JOURNAL_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(BlockingIOError, FileNotFoundError):
                    discard(entry.path)


def _is_secret(item: str) -> bool:
    return item.startswith(f"{_SECRETS}/")


def older_deployment(folder: str) -> list[str]:
    """Return the paths in `folder` that were created by versions of the program too old to write a marker file."""
    found = []
    programs = os.path.join(folder, "program")
    with contextlib.suppress(OSError):
        for entry in os.scandir(programs):
            place = os.path.join(entry.path, "poets_edge")
            if listed(entry.path) is None and os.path.isfile(os.path.join(place, "__init__.py")):
                found = [os.path.join(folder, name) for name in (*_KINDS, "model", "deployed.json")]
    return [path for path in found if os.path.lexists(path)]
