"""Uploads of photos and archives: they are written to temporary files, checked, and added to the project."""

from __future__ import annotations

import contextlib
import filecmp
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool

from poets_edge.core.processes import Helper
from poets_edge.photos.contents import LARGEST_PHOTO
from poets_edge.photos.formats import HEADER_BYTES, PHOTO_SUFFIXES, photo_format
from poets_edge.studio import messages
from poets_edge.studio.changes import Changes
from poets_edge.studio.journal import Step
from poets_edge.studio.places import is_plain, safe_file_name, upload_class
from poets_edge.studio.project import Project
from poets_edge.studio.refusal import RefusedError
from poets_edge.studio.unpacking import UnpackRequest, unpack

LARGEST_ARCHIVE = 8 << 30
"""Maximum size of an uploaded archive in bytes."""
_ARCHIVES = (".zip", ".tar")
_BLOCK = 1 << 20
_SUFFIXES = {"JPEG": ".jpg", "HEIF": ".heic", "TIFF": ".tif"}
_UNPACK_SECONDS = 3600.0
_TEMPORARY = re.compile(r"[0-9a-f]{16}(?:\.photos)?")
"""Pattern for the names of temporary files, and of folders for photos from an archive."""
_PART = re.compile(r"[0-9]+\.part")
"""Pattern for the names of files extracted from an archive."""


@dataclass(frozen=True)
class Received:
    """Result of an upload of a photo or an archive.

    Attributes:
        step: change that added the photos; None if no photo was added.
        added: number of added photos.
        skipped: a tuple (name, reason) for each file that was not added.
    """

    step: Step | None
    added: int
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Upload:
    """A photo or archive in the body of a request.

    Attributes:
        name: file name that the browser sent.
        label: class of the photo or, for an archive, of the photos that are not in a folder. If it is None, a single
            photo is refused, and the photos of an archive that are not in a folder are skipped.
        batch: name of the group of uploads that are undone together; empty if this upload is undone by itself.
        size: size in bytes that the request declares; None if the request declares no size.
        is_archive: whether the file is an archive, according to its suffix.
    """

    name: str
    label: str | None
    batch: str = ""
    size: int | None = None
    is_archive: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_archive", self.name.lower().endswith(_ARCHIVES))

    @property
    def largest(self) -> int:
        """Maximum size of the uploaded file in bytes."""
        return LARGEST_ARCHIVE if self.is_archive else LARGEST_PHOTO


async def receive(project: Project, changes: Changes, upload: Upload, body: AsyncIterator[bytes]) -> Received:
    """Receive an uploaded photo or archive in a temporary file, and add its photos to the project.

    The temporary file is always removed, including when the request ends early.

    Args:
        project: the project.
        changes: the operations that change the project.
        upload: description of the file.
        body: content of the file, in chunks.

    Raises:
        RefusedError: the file is too large or incomplete, or a photo has no class.
        DatasetError: the archive is damaged.
        OutputError: the disk is full.
    """
    if not upload.is_archive and not upload.label:
        raise RefusedError(messages.NO_CLASS.format(name=upload.name[:60]))
    if upload.label:
        _check_class(upload.label)
    if upload.size is not None and upload.size > upload.largest:
        raise _too_large(upload)
    path = project.places.incoming / secrets.token_hex(8)
    try:
        with path.open("wb") as file:
            rest = await _write(upload, body, file)
            return await run_in_threadpool(_complete, project, changes, upload, path, file, rest)
    finally:
        path.unlink(missing_ok=True)


def clear_incoming(project: Project) -> None:
    """Remove the temporary files of uploads that were interrupted by a crash. Other files in their folder are kept."""
    for path in project.places.incoming.iterdir():
        if not _TEMPORARY.fullmatch(path.name) or path.is_symlink():
            continue
        if not path.is_dir():
            path.unlink(missing_ok=True)
            continue
        for part in path.iterdir():
            if _PART.fullmatch(part.name) and not part.is_symlink() and not part.is_dir():
                part.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it contains something else
            path.rmdir()


async def _write(upload: Upload, body: AsyncIterator[bytes], file: BinaryIO) -> list[bytes]:
    """Write the body of an upload to a file, and return the final chunks, 1 MiB at most, which are not written yet.

    Raises:
        RefusedError: the body is too large, or its size differs from the declared one.
    """
    size = held = 0
    waiting: list[bytes] = []
    async for part in body:
        size += len(part)
        held += len(part)
        if size > upload.largest:
            raise _too_large(upload)
        waiting.append(part)
        if held > _BLOCK:
            await run_in_threadpool(file.writelines, waiting)
            waiting, held = [], 0
    if upload.size is not None and size != upload.size:
        raise RefusedError(messages.UPLOAD_ENDED.format(name=upload.name[:60]))
    return waiting


def _complete(
    project: Project, changes: Changes, upload: Upload, path: Path, file: BinaryIO, rest: Sequence[bytes]
) -> Received:
    """Write the remaining chunks of an upload, flush the file to disk, and add its photos to the project.

    Args:
        project: the project.
        changes: the operations that change the project.
        upload: description of the file.
        path: path of the temporary file.
        file: the temporary file, open for writing.
        rest: the chunks that `_write` has returned.
    """
    file.writelines(rest)
    file.flush()
    os.fsync(file.fileno())
    return _add(project, changes, upload, path)


def _add(project: Project, changes: Changes, upload: Upload, path: Path) -> Received:
    if upload.is_archive:
        return _add_archive(project, changes, upload, path)
    assert upload.label is not None
    label = upload_class(upload.label, project.found.classes)
    return _add_photos(project, changes, [(path, label, upload.name)], upload.batch, ())


def _add_archive(project: Project, changes: Changes, upload: Upload, path: Path) -> Received:
    folder = path.with_suffix(".photos")
    folder.mkdir()
    try:
        return _add_unpacked(project, changes, upload, path, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _add_unpacked(project: Project, changes: Changes, upload: Upload, path: Path, folder: Path) -> Received:
    name = safe_file_name(upload.name)
    with Helper(unpack, one_core=True) as helper:
        unpacked = helper.ask(UnpackRequest(path, name, folder), name, seconds=_UNPACK_SECONDS)
    path.unlink()
    photos, skipped = [], list(unpacked.skipped)
    classes = _Classes(project.found.classes)
    for file, label, photo in unpacked.photos:
        try:
            photos.append((file, classes.named(label or upload.label or ""), photo))
        except RefusedError as error:
            skipped.append((photo, str(error)))
    os.sync()  # all files at once: flushing each takes longer than writing it
    return _add_photos(project, changes, photos, upload.batch, skipped)


class _Classes:
    """Mapping from the folder names in an uploaded archive to classes: existing ones or, if none matches, new ones."""

    def __init__(self, existing: Sequence[str]) -> None:
        self._existing = list(existing)
        self._by_name: dict[str, str] = {}

    def named(self, name: str) -> str:
        """Return the class for a folder name in the archive. Raises RefusedError if the name is empty or unsuitable."""
        if not name:
            raise RefusedError(messages.SKIPPED_NOT_IN_A_CLASS)
        if name not in self._by_name:
            label = upload_class(name, self._existing)
            if label not in self._existing:
                self._existing.append(label)
            self._by_name[name] = label
        return self._by_name[name]


def _add_photos(
    project: Project,
    changes: Changes,
    files: Sequence[tuple[Path, str, str]],
    batch: str,
    skipped: Sequence[tuple[str, str]],
) -> Received:
    """Add uploaded files to a project as photos, except unreadable files and files that are already in their class.

    Args:
        project: the project.
        changes: the operations that change the project.
        files: a tuple (path, class, file name) for each file.
        batch: name of the group of uploads that are undone together.
        skipped: a tuple (name, reason) for each file that was skipped before; included in the result.
    """
    left_out = list(skipped)
    chosen = []
    problems = project.thumbnails.check_files([path for path, _, _ in files])
    for (path, label, given), problem in zip(files, problems, strict=True):
        name = _photo_name(given, path)
        present = project.places.root / label / name
        if problem:
            left_out.append((given, problem))
        elif _is_equal(path, present):
            left_out.append((given, messages.SKIPPED_IN_CLASS_ALREADY.format(label=label)))
        else:
            chosen.append((path, label, name))
    step = changes.add_photos(chosen, batch) if chosen else None
    return Received(step, len(chosen), tuple(left_out))


def _photo_name(given: str, path: Path) -> str:
    """Return a safe name for an uploaded photo. A suffix is appended if the given name has no photo suffix."""
    name = safe_file_name(given)
    if Path(name).suffix.lower() in PHOTO_SUFFIXES:
        return name
    with path.open("rb") as file:
        kind = photo_format(file.read(HEADER_BYTES)) or "JPEG"
    return f"{name}{_SUFFIXES.get(kind, f'.{kind.lower()}')}"


def _is_equal(path: Path, present: Path) -> bool:
    try:
        return not present.is_symlink() and present.is_file() and filecmp.cmp(path, present, shallow=False)
    except OSError:
        return False


def _check_class(label: str) -> None:
    if not is_plain(label):
        raise RefusedError(messages.NOT_A_CLASS.format(name=label[:60]))


def _too_large(upload: Upload) -> RefusedError:
    return RefusedError(messages.TOO_LARGE.format(name=upload.name[:60], megabytes=upload.largest / 1e6), 413)
