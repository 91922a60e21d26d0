"""Renames of files and folders that never overwrite an existing file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_NO_LINKS = frozenset({errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""Error numbers that show that no hard link can be created, for example because the file system does not support hard
links, as exFAT does not, or because the user lacks permission."""


def rename(old: Path, new: Path) -> None:
    """Rename a file or folder, unless something with the new name exists.

    A file is linked to its new name before its old name is removed, because a plain rename would replace an existing
    file. If the program is killed in between, the file has both names; `finish_rename` then removes the old one.

    Raises:
        FileExistsError: the new name exists already.
        OSError: the old name does not exist, or the folder is not writable.
    """
    if old.is_symlink() or not old.is_file():
        _rename_checked(old, new)
        return
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_checked(old, new)
        return
    old.unlink()


def finish_rename(old: Path, new: Path) -> None:
    """Complete a rename that may have been interrupted. Does nothing if the rename was completed.

    If a different file has the new name, both files are left as they are.
    """
    if not os.path.lexists(old):
        return
    if not os.path.lexists(new):
        rename(old, new)
    elif old.is_file() and new.is_file() and old.samefile(new):
        old.unlink()


def free_name(path: Path, taken: set[Path]) -> Path:
    """Return an unused path: the given one or, if it is used, one with a number in its name, such as `a (2).jpg`.

    Args:
        path: the preferred path.
        taken: paths that are reserved for other files, in addition to those that exist.
    """
    found, number = path, 2
    while found in taken or os.path.lexists(found):
        found = path.with_name(f"{path.stem} ({number}){path.suffix}")
        number += 1
    return found


def _rename_checked(old: Path, new: Path) -> None:
    if os.path.lexists(new):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new))
    old.rename(new)
