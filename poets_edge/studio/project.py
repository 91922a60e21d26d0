"""State of the project that the server serves: the photos found by the last scan, and a version number."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from poets_edge.errors import DatasetError
from poets_edge.studio import messages
from poets_edge.studio.photo_lists import names_in
from poets_edge.studio.places import OWN, Places
from poets_edge.studio.refusal import missing
from poets_edge.studio.scan import Found, scan_project, stamp_of
from poets_edge.studio.thumbnails import Thumbnails

_SCAN_EVERY = 1.0
"""Minimum time between two scans of the project folder, in seconds."""
_SCAN_SHARE = 0.05
"""Maximum fraction of the server's time that is spent on scans of the project folder."""


class Project:
    """Photos in a project folder. The folder is scanned again at intervals, to detect changes by other programs.

    Attributes:
        places: paths of the studio's files.
        demo: whether the server was started with synthetic photos for demonstration.
        lock: lock to hold while the project is changed.
        thumbnails: thumbnails of the photos.
        version: number that increases with every change, including across restarts of the server.
    """

    def __init__(self, places: Places, *, demo: bool = False) -> None:
        """Scan the project folder.

        Raises:
            DatasetError: the folder or the list of excluded photos cannot be read.
        """
        self.places = places
        self.demo = demo
        self.lock = threading.RLock()
        self.thumbnails = Thumbnails(places)
        self.version = time.time_ns() // 1_000_000
        self._found = Found((), {}, ())
        self._excluded: frozenset[str] = frozenset()
        self._kept: frozenset[str] = frozenset()
        self._problems = 0
        self._next_scan = 0.0
        self._identity = _identity(places.own)
        self.refresh(now=True)

    @property
    def found(self) -> Found:
        """Result of the last scan of the project folder."""
        return self._found

    @property
    def excluded(self) -> frozenset[str]:
        """Names of the photos that are excluded from training."""
        return self._excluded

    @property
    def kept(self) -> frozenset[str]:
        """Names of the photos that the user has decided to keep as they are, despite an audit finding."""
        return self._kept

    def refresh(self, *, now: bool = False) -> None:
        """Scan the project folder again unless the last scan is recent, to detect changes by other programs.

        Args:
            now: whether to scan even if the last scan is recent.

        Raises:
            DatasetError: the folder cannot be read, or was moved, deleted or replaced after the server started.
        """
        with self.lock:
            started = time.monotonic()
            if started < self._next_scan and not now:
                return
            if _identity(self.places.own) != self._identity:
                raise DatasetError(messages.PROJECT_GONE.format(folder=self.places.root))
            found = scan_project(self.places.root)
            excluded, kept = names_in(self.places.excluded), names_in(self.places.kept)
            problems = len(self.thumbnails.problems)
            if (found, excluded, kept, problems) != (self._found, self._excluded, self._kept, self._problems):
                self.version += 1
            if found.stamps != self._found.stamps or not self._next_scan:
                self.thumbnails.check(found.stamps)
            self._found, self._excluded, self._kept, self._problems = found, excluded, kept, problems
            ended = time.monotonic()
            self._next_scan = ended + max(_SCAN_EVERY, (ended - started) / _SCAN_SHARE)

    def apply(self, renames: Iterable[tuple[str, str]], created: Iterable[str]) -> None:
        """Update the list of photos after a change to the project, without a new scan if photos were only renamed.

        Args:
            renames: pairs (old path, new path), relative to the project folder.
            created: paths of folders that were created.
        """
        with self.lock:
            stamps = dict(self._found.stamps)
            folders = {path for path in created if not path.startswith(OWN)} - set(self._found.classes)
            for old, new in renames:
                path = self.places.root / new
                if path.is_dir():
                    self.refresh(now=True)
                    return
                stamps.pop(old, None)
                if not new.startswith(OWN):
                    stamps[new] = stamp_of(path.lstat())
            if folders or stamps == self._found.stamps:
                self.refresh(now=True)
                return
            self._found = replace(self._found, stamps=stamps)
            self._excluded, self._kept = names_in(self.places.excluded), names_in(self.places.kept)
            self.version += 1

    @property
    def state(self) -> str:
        """Digest that changes when a photo used for training is added, removed, renamed or modified."""
        with self.lock:
            used = (
                f"{name} {stamp}\n" for name, stamp in sorted(self._found.stamps.items()) if name not in self._excluded
            )
            return hashlib.blake2b("".join(used).encode(), digest_size=16).hexdigest()

    def stamp(self, name: str) -> str:
        """Return the stamp of a photo, a hash that changes when the file is modified; see `stamp_of`.

        Raises:
            RefusedError: the project has no photo with this name.
        """
        stamp = self._found.stamps.get(name)
        if stamp is None:
            self.refresh()
            stamp = self._found.stamps.get(name)
        if stamp is None:
            raise missing(name)
        return stamp

    def status(self, name: str) -> str:
        """Return the status of a photo: "excluded", "unreadable" or "ok"."""
        if name in self._excluded:
            return "excluded"
        return "unreadable" if self._found.stamps.get(name, "") in self.thumbnails.problems else "ok"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-compatible description of the project, including its classes and their numbers of photos."""
        self.refresh()
        with self.lock:
            counts = {label: Counter[str]() for label in self._found.classes}
            for name in self._found.stamps:
                counts[name.partition("/")[0]][self.status(name)] += 1
            return {
                "name": self.places.root.name,
                "folder": str(self.places.root),
                "version": self.version,
                "classes": [
                    {
                        "name": label,
                        "photos": count.total(),
                        "excluded": count["excluded"],
                        "unreadable": count["unreadable"],
                    }
                    for label, count in counts.items()
                ],
                "notes": [{"kind": "files", "text": text} for text in self._found.notes],
                "demo": self.demo,
            }

    def photos_json(self) -> dict[str, Any]:
        """Return all photos, each with its status, as a JSON-compatible dictionary.

        Each photo also has a stamp, a hash that changes when the file is modified (see `stamp_of`). The dictionary also
        contains the names of the photos to keep despite an audit finding, and the reasons why photos are unreadable.
        """
        self.refresh()
        with self.lock:
            problems = self.thumbnails.problems
            stamps = self._found.stamps
            return {
                "version": self.version,
                "photos": [[name, stamp, self.status(name)] for name, stamp in sorted(stamps.items())],
                "kept": sorted(self._kept),
                "reasons": {name: problems[stamp] for name, stamp in stamps.items() if stamp in problems},
            }


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return the device and inode numbers of a folder, which a rename does not change; None if it does not exist."""
    try:
        status = folder.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
