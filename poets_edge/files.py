"""Files: naming them apart, and writing them so that a crash, a power cut or a full disk never leaves half of one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from poets_edge.errors import OutputError


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Say in one line that `path` cannot be written, and why."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}.") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it takes `path`'s place, else it is removed.

    The rename is atomic, so a reader sees the old file or the new one, never a part.

    Raises:
        OutputError: the folder cannot be made, or the disk is full, or permission is missing.
    """
    temporary: Path | None = None
    try:
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
            os.close(handle)
            temporary = Path(name)
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            # mkstemp makes private files; a result is as readable as any other file of the user's.
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
            temporary = None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def unused_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder to fill beside `folder`; on success it takes that name, else it is removed.

    Raises:
        OutputError: `folder` is there and not empty, or cannot be made.
    """
    if not folder.name or folder.name == "..":  # it cannot be replaced: somebody is in it
        raise OutputError(f"{folder}: give the name of a new folder.")
    temporary: Path | None = None
    try:
        with _writing(folder):
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise OutputError(f"{folder}: there is something already. Give a folder that is new or empty.")
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            if folder.exists():
                folder.rmdir()
            temporary.rename(folder)
            temporary = None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def check_writable(path: Path) -> None:
    """Find out now whether `path` can be written later. Raises OutputError."""
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent):
            pass


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically. Raises OutputError."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically as UTF-8 with Unix line ends. Raises OutputError."""
    write_bytes(path, text.encode("utf-8"))


def sha256_of(path: Path) -> str:
    """Checksum of a file's bytes, hexadecimal. Raises OSError."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
