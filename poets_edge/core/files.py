"""Reading and writing files so that nothing is half there, half of another set, or something else than a file.

Paths and bytes come in; files go out under their names only when they are whole. What belongs together is written by
`write_together`: a reader sees the old set or the new one, also after a crash, a power cut or a full disk. Temporary
files that a killed program left behind are recognised by the lock that nobody holds on them any more, and removed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from poets_edge.core.temporary import LOCK, held, is_temporary, locked, remove_dead, temporary_pattern
from poets_edge.errors import OutputError

LARGEST_FILE = 1 << 30
"""Bytes of a file that is read whole, unless its reader says otherwise."""

_JOURNAL = ".poets_edge.pending"
_SCRATCH = "poets_edge-scratch-"


def read_bytes(path: Path, most: int = LARGEST_FILE) -> bytes:
    """The content of a regular file.

    A named pipe or a device is not even opened: it may never answer, or do something.

    Raises:
        OSError: it cannot be read, is no regular file, or has more than `most` bytes.
    """
    _check_regular(path, path.stat(), most)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        status = os.fstat(descriptor)
        _check_regular(path, status, most)  # it may have been swapped meanwhile
        # Not `most` at once: Python sets aside the memory for all that is asked for, which takes longer than to read.
        content = file.read(status.st_size + 1)
        if len(content) > status.st_size:  # it has grown
            content += file.read(most + 1 - len(content))
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most / 1e6:,.0f} MB", str(path))
    return content


def _check_regular(path: Path, status: os.stat_result, most: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if status.st_size > most:
        raise OSError(errno.EFBIG, f"larger than {most / 1e6:,.0f} MB", str(path))


def sha256_of(path: Path) -> str:
    """Checksum of a file's bytes, hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    _check_regular(path, path.stat(), 1 << 62)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it takes `path`'s place, else it is removed.

    The rename is atomic, so a reader sees the old file or the new one, never a part.

    Raises:
        OutputError: the folder cannot be made, or the disk is full, or permission is missing.
    """
    with _writing(path), _temporary_file(path) as temporary:
        yield temporary
        _finish(temporary)
        temporary.replace(path)


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together: all of them or none, and none of another writer's set between them.

    All are written beside their places first, so a full disk changes nothing. The renames are noted before they are
    begun: where the program is killed between two of them, whoever next reads by `finish_pending` or writes in that
    folder completes them.

    Raises:
        OutputError: see `replacing`; the files that were there stay as they were.
    """
    with contextlib.ExitStack() as stack:
        staged = []
        for path, content in files.items():
            with _writing(path):
                if path.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
                temporary = stack.enter_context(_temporary_file(path))
                temporary.write_bytes(content)
                _finish(temporary)
                staged.append((temporary, path))
        journal = staged[0][1].parent / _JOURNAL
        with _writing(journal.parent), locked({path.parent for path in files}):
            _complete(journal)
            remove_dead(journal.parent, f".{_JOURNAL}.", ".tmp")
            noted = [
                [str(folder / temporary.name), str(folder / path.name)]
                for folder, temporary, path in ((path.parent.resolve(), temporary, path) for temporary, path in staged)
            ]
            with _temporary_file(journal, tidy=False) as temporary:
                temporary.write_text(json.dumps(noted), encoding="ascii")
                _finish(temporary)
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
    """Complete what a killed `write_together` had begun in a folder; where that is not allowed, nothing happens."""
    journal = folder / _JOURNAL
    if journal.exists():
        with contextlib.suppress(OSError), locked({folder}):
            _complete(journal)


def is_begun(path: Path) -> bool:
    """Whether a file is what `replacing` and `write_together` leave where they are killed, and remove the next time."""
    return path.name in (_JOURNAL, LOCK) or re.fullmatch(temporary_pattern(".+"), path.name) is not None


@contextlib.contextmanager
def unused_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder to fill beside `folder`; on success it takes that name, else it is removed.

    Raises:
        OutputError: `folder` is there and not empty, or cannot be made.
    """
    if not folder.name or folder.name == "..":  # it cannot be replaced: somebody is in it
        raise OutputError(f"{folder}: give the name of a new folder.")
    with _writing(folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise _taken(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_dead(folder.parent, f".{folder.name}.", ".tmp")
        import tempfile

        make = lambda: Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))  # noqa: E731
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
                raise _taken(folder) from None  # by another program, meanwhile


def _taken(folder: Path) -> OutputError:
    return OutputError(f"{folder}: there is something already. Give a folder that is new or empty.")


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give an empty folder for what somebody else's code wants to have as a file; it is removed in the end.

    Raises:
        OutputError: the system's folder for temporary files cannot be written.
    """
    import tempfile

    place = Path(tempfile.gettempdir())
    remove_dead(place, _SCRATCH, "")
    with contextlib.ExitStack() as stack:
        with _writing(place):
            folder = stack.enter_context(held(lambda: Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=place))))
        yield folder


def check_writable(path: Path) -> None:
    """Find out now whether `path` can be written later. Raises OutputError."""
    with _writing(path), _temporary_file(path):
        pass


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically. Raises OutputError."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically as UTF-8 with Unix line ends. Raises OutputError.

    Of file names that are no text, the bytes are escaped as JSON and Python escape them: `\\udce9`.
    """
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Say in one line that `path` cannot be written, and why."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}.") from error


@contextlib.contextmanager
def _temporary_file(path: Path, *, tidy: bool = True) -> Iterator[Path]:
    """A new file beside `path`, removed in the end if it is still there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}."
    if tidy:
        finish_pending(path.parent)
        remove_dead(path.parent, prefix, ".tmp", lambda: _complete(path.parent / _JOURNAL))

    def make() -> Path:
        import tempfile

        handle, name = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=path.parent)
        os.close(handle)
        return Path(name)

    with held(make) as temporary:
        yield temporary


def _finish(temporary: Path) -> None:
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    # mkstemp makes private files; a result is as readable as any other file of the user's.
    temporary.chmod(0o666 & ~_umask())


def _complete(journal: Path) -> None:
    """Do the renames that a journal notes and that are still to be done. The caller holds the folder's lock."""
    try:
        noted = json.loads(journal.read_text(encoding="ascii"))
        renames = [(Path(temporary), Path(path)) for temporary, path in noted]
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, RecursionError):  # not ours
        renames = []
    for temporary, path in renames:
        ours = temporary.parent == path.parent and is_temporary(temporary.name, f".{path.name}.", ".tmp")
        if ours and temporary.is_file() and not temporary.is_symlink():
            temporary.replace(path)
    journal.unlink(missing_ok=True)


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The files' names, with as many folders before them as it takes to tell them apart."""
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
