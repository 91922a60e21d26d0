"""Temporary files and folders, and locks on folders.

The owner of a temporary file holds a lock on it, and the system releases the lock when the owner ends, even if it is
killed. An unlocked temporary file is therefore a leftover of a killed program, and the next program removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # not Unix: without locks, leftovers cannot be recognized
    fcntl = None  # type: ignore[assignment]

LOCK = ".poets_edge.lock"
SUFFIX = ".poets_edge.tmp"
"""Suffix of temporary files and folders, which distinguishes them from those of other programs."""
_PATIENCE_SECONDS = 60.0


@contextlib.contextmanager
def held(make: Callable[[], Path]) -> Iterator[Path]:
    """Context manager that creates a temporary file or folder, locks it, yields its path, and removes it afterwards.

    Args:
        make: function that creates the file or folder and returns its path.
    """
    if fcntl is None:  # Windows cannot rename open files
        temporary = make()
        with contextlib.ExitStack() as stack:
            stack.callback(_remove, temporary)
            yield temporary
        return
    while True:
        temporary = make()
        try:
            descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # another program removed it as a leftover before it was locked
            continue
        if _lock_if_ours(temporary, descriptor):
            break
        os.close(descriptor)
    try:
        yield temporary
    finally:
        _remove(temporary)
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folders: Collection[Path]) -> Iterator[None]:
    """Context manager that locks folders, so that only one program at a time writes to them.

    Raises:
        OSError: a lock cannot be acquired.
    """
    with contextlib.ExitStack() as stack:
        for folder in sorted({folder.resolve() for folder in folders}):
            stack.enter_context(_lock(folder / LOCK))
        yield


@contextlib.contextmanager
def owned(path: Path, patience: float) -> Iterator[None]:
    """Context manager that holds an exclusive lock on a file, which is created if missing.

    Args:
        path: path of the file, which may be renamed inside the context.
        patience: maximum time to wait for the lock, in seconds.

    Raises:
        OSError: another program holds the lock for longer than `patience`, or the file is not writable.
    """
    if fcntl is None:
        path.touch()
        yield
        return
    descriptor = _acquire(path, patience)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock_if_ours(temporary: Path, descriptor: int) -> bool:
    """Lock a new temporary file, and return whether it still exists.

    Another program may take the file for a leftover, and remove it before it is locked.

    Args:
        temporary: path of the file.
        descriptor: descriptor of the open file.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return _is_still(temporary, descriptor)


def remove_dead(folder: Path, prefix: str, suffix: str, before: Callable[[], None] | None = None) -> None:
    """Remove the temporary files and folders that killed programs left in a folder.

    Args:
        folder: folder that contains the files.
        prefix, suffix: parts of the file names before and after the eight random characters that `tempfile` chooses.
        before: function that is called before the removal, while the folder is locked, if any name matches.
    """
    remove_dead_matching(folder, _made_with(re.escape(prefix), suffix), before)


def remove_dead_matching(folder: Path, pattern: str, before: Callable[[], None] | None = None) -> None:
    """Remove the temporary files that killed programs left in a folder, if their names match a regular expression.

    Args:
        folder: folder that contains the files.
        pattern: regular expression for the complete file name.
        before: function that is called before the removal, while the folder is locked, if any name matches.
    """
    if fcntl is None:
        return
    with contextlib.suppress(OSError):
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if re.fullmatch(pattern, entry.name)]
        if not names:
            return
        with locked({folder}) if before else contextlib.nullcontext():
            if before:
                before()
            for name in names:
                with contextlib.suppress(OSError):
                    _remove_if_dead(folder / name)


def is_temporary(name: str, prefix: str, suffix: str) -> bool:
    """Return whether a name consists of `prefix`, eight characters that `tempfile` may choose, and `suffix`."""
    return re.fullmatch(_made_with(re.escape(prefix), suffix), name) is not None


def temporary_pattern(name: str) -> str:
    """Return a regular expression for the temporary names of files whose final names match the expression `name`."""
    return _made_with(rf"\.{name}\.", SUFFIX)


def _made_with(prefix: str, suffix: str) -> str:
    return f"{prefix}[a-z0-9_]{{8}}{re.escape(suffix)}"


def _remove_if_dead(path: Path) -> None:
    if path.is_symlink() or path.lstat().st_uid != os.geteuid():
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if its owner is alive
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    descriptor = _acquire(path, _PATIENCE_SECONDS)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, patience: float) -> int:
    """Open and lock a file, which is created if missing, and return its descriptor.

    Args:
        path: path of the file.
        patience: maximum time to wait for the lock, in seconds.

    Raises:
        TimeoutError: another program holds the lock for longer than `patience`.
    """
    end = time.monotonic() + patience
    while True:
        # Neither a link is followed, nor a pipe waited for.
        flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(path, descriptor):  # else the previous holder has removed or renamed the file
                return descriptor
        except BlockingIOError:
            if time.monotonic() > end:
                os.close(descriptor)
                raise TimeoutError(errno.ETIMEDOUT, f"another program holds {path}") from None
        except OSError:  # a file system without locks
            return descriptor
        os.close(descriptor)
        time.sleep(0.002)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
