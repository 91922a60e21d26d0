"""Atomic writes and bounded reads.

Files are written under a temporary name and renamed when they are complete. `write_together` replaces a set of files:
after a crash, a power cut or a full disk, either the old set or the new set is present. Temporary files that no
program has locked are leftovers of killed programs and are removed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from poets_edge.core.temporary import LOCK, SUFFIX, held, is_temporary, locked, remove_dead, temporary_pattern
from poets_edge.errors import OutputError

LARGEST_FILE = 1 << 30
"""Default size limit for `read_bytes`, in bytes."""

_JOURNAL = ".poets_edge.pending"
_SCRATCH = "poets_edge-scratch-"


def read_bytes(path: Path, most: int = LARGEST_FILE) -> bytes:
    """Return the content of a regular file.

    Named pipes and devices are not opened, because opening one may block or have side effects.

    Raises:
        OSError: the file cannot be read, is not a regular file, or has more than `most` bytes.
    """
    with _open_regular(path, most) as file:
        status = os.fstat(file.fileno())
        # Not `most` bytes at once: Python allocates the requested size, which takes longer than reading.
        content = file.read(status.st_size + 1)
        if len(content) > status.st_size:  # the file has grown
            content += file.read(most + 1 - len(content))
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most / 1e6:,.0f} MB", str(path))
    return content


def read_head(path: Path, count: int) -> bytes:
    """Return the first `count` bytes of a regular file. Raises OSError if it is not regular or cannot be read."""
    with _open_regular(path, sys.maxsize) as file:
        return file.read(count)


def existing_head(path: Path, count: int) -> bytes:
    """Return the first `count` bytes of a file that is about to be replaced; b"" if it is missing or cannot be read.

    An error is not reported here, because writing the file will report it.
    """
    try:
        return read_head(path, count)
    except (OSError, ValueError):
        return b""


def _open_regular(path: Path, most: int) -> BinaryIO:
    _check_regular(path, path.stat(), most)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    file = open(descriptor, "rb")  # noqa: PTH123, SIM115 - a descriptor, for the caller to close
    try:
        _check_regular(path, os.fstat(descriptor), most)  # the file may have been replaced after the first check
    except OSError:
        file.close()
        raise
    return file


def _check_regular(path: Path, status: os.stat_result, most: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if status.st_size > most:
        raise OSError(errno.EFBIG, f"larger than {most / 1e6:,.0f} MB", str(path))


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file. Raises OSError if it cannot be read."""
    digest = hashlib.sha256()
    _check_regular(path, path.stat(), 1 << 62)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Context manager that yields a temporary file, which replaces `path` on success and is removed on failure.

    The rename is atomic: a reader sees the complete old file or the complete new file.

    Raises:
        OutputError: the parent folder cannot be created, the disk is full, or permission is missing.
    """
    with _writing(path), _temporary_file(path) as temporary:
        _check_replaceable(path)
        yield temporary
        _finish(temporary, path)
        temporary.replace(path)


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write a set of files atomically: all or none of them, and never mixed with files from another writer's set.

    All files are first written to temporary files next to their destinations, so a full disk leaves the old files
    unchanged. The renames are recorded in a journal: if the program is killed between two renames, the next
    `finish_pending` or `write_together` in the folder completes them.

    Raises:
        OutputError: a folder cannot be created, the disk is full, or permission is missing; existing files are
            unchanged.
    """
    with contextlib.ExitStack() as stack:
        staged = []
        for path, content in files.items():
            with _writing(path):
                _check_replaceable(path)
                temporary = stack.enter_context(_temporary_file(path))
                temporary.write_bytes(content)
                _finish(temporary, path)
                staged.append((temporary, path))
        journal = staged[0][1].parent / _JOURNAL
        with _writing(journal.parent), locked({path.parent for path in files}):
            _complete(journal)
            remove_dead(journal.parent, f".{_JOURNAL}.", SUFFIX)
            noted = [
                [str(folder / temporary.name), str(folder / path.name)]
                for folder, temporary, path in ((path.parent.resolve(), temporary, path) for temporary, path in staged)
            ]
            with _temporary_file(journal, tidy=False) as temporary:
                temporary.write_text(json.dumps(noted), encoding="ascii")
                _finish(temporary, journal)
                temporary.replace(journal)
            try:
                for temporary, path in staged:
                    temporary.replace(path)
            except KeyboardInterrupt:
                _complete(journal)
                raise
            finally:
                journal.unlink(missing_ok=True)


def finish_pending(folder: Path) -> None:
    """Complete the renames of an interrupted `write_together` in a folder; do nothing without write permission."""
    journal = folder / _JOURNAL
    if journal.exists():
        with contextlib.suppress(OSError), locked({folder}):
            _complete(journal)


def is_auxiliary(path: Path) -> bool:
    """Return whether a file is a journal, a lock or a temporary file that `poets_edge.core.files` creates."""
    return path.name in (_JOURNAL, LOCK) or re.fullmatch(temporary_pattern(".+"), path.name) is not None


@contextlib.contextmanager
def unused_folder(folder: Path) -> Iterator[Path]:
    """Context manager that yields a temporary folder, which is renamed to `folder` on success and removed on failure.

    Raises:
        OutputError: `folder` exists and is not empty, or cannot be created.
    """
    if not folder.name or folder.name == "..":  # the working directory cannot be replaced
        raise OutputError(f"{folder}: give the name of a new folder.")
    with _writing(folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise _taken(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_dead(folder.parent, f".{folder.name}.", SUFFIX)
        import tempfile

        make = lambda: Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=SUFFIX, dir=folder.parent))  # noqa: E731
        with held(make) as temporary:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            try:
                if folder.exists():
                    folder.rmdir()
                temporary.rename(folder)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                raise _taken(folder) from None  # another program has created files in the folder


def _taken(folder: Path) -> OutputError:
    return OutputError(f"{folder}: it already contains something. Give a new or empty folder.")


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Context manager that yields an empty temporary folder and removes it afterwards.

    It is meant for libraries that accept file names, but not data in memory.

    Raises:
        OutputError: the system's temporary folder is not writable.
    """
    import tempfile

    place = Path(tempfile.gettempdir())
    remove_dead(place, _SCRATCH, "")
    with contextlib.ExitStack() as stack:
        with _writing(place):
            folder = stack.enter_context(held(lambda: Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=place))))
        yield folder


def check_writable(path: Path) -> None:
    """Raise OutputError if a file cannot be written at `path`, or if `path` is a folder, pipe or device."""
    with _writing(path), _temporary_file(path):
        _check_replaceable(path)


def _check_replaceable(path: Path) -> None:
    """Raise OSError if `path` must not be replaced with a file.

    This is the case for a folder, pipe, device or socket, for the target of standard output or standard error, and for
    a write-protected file. Without this check, an atomic write would replace them; root could even replace `/dev/null`.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    _check_regular(path, status, most=sys.maxsize)
    if not (status.st_mode & 0o222 and os.access(path, os.W_OK)):
        raise OSError(errno.EACCES, "write-protected", str(path))
    printed = []
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):  # closed
            printed.append(os.fstat(descriptor))
    if any(os.path.samestat(status, other) for other in printed):
        raise OSError(errno.EINVAL, "standard output is redirected to it", str(path))


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes to a file atomically. Raises OutputError if the file cannot be written."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write text to a file atomically, as UTF-8 with its line breaks unchanged.

    Lone surrogates, which represent undecodable bytes in file names, are written as escapes such as `\\udce9`.

    Raises:
        OutputError: the file cannot be written.
    """
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Context manager that converts an OSError to an OutputError that contains `path` and the reason."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}.") from error


@contextlib.contextmanager
def _temporary_file(path: Path, *, tidy: bool = True) -> Iterator[Path]:
    """Context manager that yields a new file next to `path`, and removes it afterwards if it still exists.

    Args:
        tidy: whether to complete the renames of killed programs and remove their temporary files before creating the
            new file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}."
    if tidy:
        finish_pending(path.parent)
        remove_dead(path.parent, prefix, SUFFIX, lambda: _complete(path.parent / _JOURNAL))

    def make() -> Path:
        import tempfile

        handle, name = tempfile.mkstemp(prefix=prefix, suffix=SUFFIX, dir=path.parent)
        os.close(handle)
        return Path(name)

    with held(make) as temporary:
        yield temporary


def _finish(temporary: Path, path: Path) -> None:
    """Flush a temporary file to disk, and give it the permissions of the file that it will replace.

    If there is no such file, the temporary file gets the default permissions of new files, because mkstemp creates
    files that only their owner can read.
    """
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    try:
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        mode = 0o666 & ~_umask()
    temporary.chmod(mode)


def _complete(journal: Path) -> None:
    """Perform the remaining renames in a journal, and remove the journal. The caller must hold the folder's lock."""
    try:
        noted = json.loads(read_bytes(journal).decode("ascii"))
        renames = [(Path(temporary), Path(path)) for temporary, path in noted]
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, RecursionError):  # damaged, or written by another program
        renames = []
    for temporary, path in renames:
        ours = temporary.parent == path.parent and is_temporary(temporary.name, f".{path.name}.", SUFFIX)
        if ours and temporary.is_file() and not temporary.is_symlink():
            temporary.replace(path)
    journal.unlink(missing_ok=True)


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return distinct names for distinct files, such as `a/model.tflite` and `b/model.tflite`.

    A name consists of the file name and, if file names are equal, of the nearest parent folders: the same number for
    each file, and as few as are needed.
    """
    deepest = max((len(path.parts) for path in paths), default=1)
    for depth in range(1, deepest + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            return names
    return [str(path) for path in paths]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
