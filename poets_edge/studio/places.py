"""Paths of the studio's own files in a project, and checks of the names of photos and classes in requests."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from poets_edge.photos.names import composed, folded, has_controls
from poets_edge.photos.tree import is_skipped
from poets_edge.studio import messages
from poets_edge.studio.refusal import RefusedError, missing

OWN = ".poets-edge"
"""Name of the hidden folder, inside the project folder, for the files of the studio."""

_LONGEST_NAME = 200
"""Maximum length of a file name in bytes. File systems allow 255, but temporary names have an additional suffix."""
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
)
"""File names, without suffix, that Windows reserves for devices."""
_NOT_IN_NAMES = frozenset('/\\:*?"<>|\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069')
"""Characters that Windows does not allow in file names, and Unicode's bidirectional formatting characters, with which
one name can look like another."""


@dataclass(frozen=True)
class Places:
    """Paths of the studio's files in a project.

    Attributes:
        root: the project folder.
    """

    root: Path

    @property
    def own(self) -> Path:
        """Path of the hidden folder, inside the project, for the studio's own files."""
        return self.root / OWN

    @property
    def journal(self) -> Path:
        """Path of the journal of changes, a file with one JSON object per line."""
        return self.own / "journal.jsonl"

    @property
    def bin(self) -> Path:
        """Path of the folder for removed photos, which has one subfolder per change."""
        return self.own / "bin"

    @property
    def incoming(self) -> Path:
        """Path of the folder for incomplete uploads."""
        return self.own / "incoming"

    @property
    def thumbnails(self) -> Path:
        """Path of the folder for cached thumbnails, which may be deleted at any time."""
        return self.own / "thumbnails"

    @property
    def models(self) -> Path:
        """Path of the folder for trained graphs, the files exported from them, and cached features of photos."""
        return self.own / "models"

    @property
    def jobs(self) -> Path:
        """Path of the folder for the states and results of jobs."""
        return self.own / "jobs"

    @property
    def taken(self) -> Path:
        """Path of the folder for files that are prepared for download."""
        return self.own / "take"

    @property
    def excluded(self) -> Path:
        """Path of the file that lists the photos excluded from training.

        The file has the format of `poets-edge train --exclude`.
        """
        return self.own / "excluded.json"

    @property
    def kept(self) -> Path:
        """Path of the file that lists photos that the user has decided to keep unchanged, despite an audit finding.

        The file has the format of `poets-edge train --exclude`.
        """
        return self.own / "kept.json"

    @property
    def lock(self) -> Path:
        """Path of the file that the running server locks, so that no second server uses the project."""
        return self.own / "lock"

    def create(self) -> None:
        """Create the studio's folders, and check that they contain only regular files and folders.

        A project from another person may contain links, pipes or devices where the studio expects its own files. If the
        studio opened them, it could read or write files outside the project, or block forever.

        Raises:
            OSError: the project folder is not writable, or one of the studio's folders contains, at any depth,
                something other than files and folders. The bin folder, which contains the user's files, is not checked.
        """
        for folder in (self.own, self.bin, self.incoming, self.thumbnails, self.models, self.jobs, self.taken):
            folder.mkdir(parents=True, exist_ok=True)
            if folder.is_symlink():
                raise NotADirectoryError(errno.ENOTDIR, messages.FOLDER_IS_LINK, str(folder))
        waiting = [self.own]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if Path(entry.path) != self.bin:
                            waiting.append(Path(entry.path))
                    elif not entry.is_file(follow_symlinks=False):
                        raise OSError(errno.EINVAL, messages.NOT_OWN, entry.path)

    def photo(self, name: str) -> Path:
        """Return the path of an existing photo, given its name `class/file`.

        Raises:
            RefusedError: the name does not have this form, the project has no such photo, or the photo or its class
                folder is a symbolic link.
        """
        folder, _, file = name.partition("/")
        if not (is_plain(folder) and is_plain(file)):
            raise missing(name[:200])
        path = self.class_folder(folder) / file
        try:
            regular = stat.S_ISREG(path.lstat().st_mode)
        except OSError:
            regular = False
        if not regular:
            raise missing(name)
        return path

    def class_folder(self, name: str) -> Path:
        """Return the path of an existing class folder.

        Raises:
            RefusedError: the project has no such folder, or it is a symbolic link.
        """
        path = self.root / name
        try:
            real = is_plain(name) and stat.S_ISDIR(path.lstat().st_mode)
        except OSError:
            real = False
        if not real:
            raise missing(name[:200])
        return path


def is_plain(name: str) -> bool:
    """Return whether a file name is valid UTF-8, not hidden, and without path separators or control characters."""
    try:
        name.encode("utf-8")
    except UnicodeError:
        return False
    return bool(name) and not is_skipped(name) and not has_controls(name) and not set(name) & set("/\\")


def check_new_class(name: str, existing: Sequence[str]) -> str:
    """Check the name of a new class, and return it without surrounding spaces.

    Args:
        name: the name to check.
        existing: names of the existing classes.

    Raises:
        RefusedError: the name is not a valid folder name on every system, or differs from an existing class only in
            case or Unicode normalization.
    """
    name = name.strip()
    stem = name.partition(".")[0].lower()
    if not is_plain(name) or set(name) & _NOT_IN_NAMES or name.endswith(".") or stem in _RESERVED:
        raise RefusedError(messages.NO_FOLDER_NAME.format(name=name[:60]))
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise RefusedError(messages.NAME_TOO_LONG.format(name=name[:60], most=_LONGEST_NAME))
    for other in existing:
        if folded(other) == folded(name):
            raise RefusedError(messages.CLASS_EXISTS.format(name=other), 409)
    return name


def upload_class(name: str, existing: Sequence[str]) -> str:
    """Return the class for an uploaded photo: the existing class with the given name or, if there is none, a new name.

    Names that differ only in Unicode normalization are considered equal, because macOS may store é as e and a combining
    accent.

    Args:
        name: name of the class, as sent with the upload.
        existing: names of the existing classes.

    Raises:
        RefusedError: the name is not a valid folder name on every system, or differs from an existing class only in
            case.
    """
    same = (other for other in existing if composed(other) == composed(name))
    return next(same, None) or check_new_class(composed(name), existing)


def safe_file_name(name: str) -> str:
    """Return a safe name for an uploaded file: the last part of its path, with unsuitable characters replaced."""
    last = name.replace("\\", "/").rpartition("/")[2]
    text = "".join("_" if one in _NOT_IN_NAMES or has_controls(one) or _is_surrogate(one) else one for one in last)
    stem, dot, suffix = text.strip().strip(".").rpartition(".")
    stem, suffix = (stem, f"{dot}{suffix}") if dot else (suffix, "")
    if not stem.strip() or stem.partition(".")[0].lower() in _RESERVED or is_skipped(stem + suffix):
        stem = f"photo_{stem.strip()}".rstrip("_")
    suffix = suffix if len(suffix) <= 16 else ""
    while len(os.fsencode(stem)) > _LONGEST_NAME - 16:
        stem = stem[:-1]
    return stem + suffix


def _is_surrogate(one: str) -> bool:
    return 0xD800 <= ord(one) < 0xE000
