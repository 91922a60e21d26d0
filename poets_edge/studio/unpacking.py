"""Unpacking of uploaded archives in a helper process, with the function that `poets-edge train` uses for archives."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from poets_edge.errors import DatasetError, OutputError
from poets_edge.photos.archive_members import read_member
from poets_edge.photos.archives import read_archive
from poets_edge.photos.contents import LARGEST_PHOTO
from poets_edge.photos.tree import other_files_text
from poets_edge.studio import messages

_SPARE = 64 << 20
"""Minimum free disk space, in bytes, that must remain after unpacking."""
_MOST_PHOTOS = 200_000


@dataclass(frozen=True)
class UnpackRequest:
    """An archive to unpack.

    Attributes:
        archive: path of the archive.
        name: name of the archive in messages, with its suffix.
        folder: folder for the photos; it must exist and be empty.
    """

    archive: Path
    name: str
    folder: Path


@dataclass(frozen=True)
class Unpacked:
    """Photos extracted from an archive.

    Attributes:
        photos: a tuple (path, class, name) for each photo. The class is empty if the photo is not in a folder.
        skipped: a tuple (name, reason) for each file that was skipped.
    """

    photos: tuple[tuple[Path, str, str], ...]
    skipped: tuple[tuple[str, str], ...]


def unpack(request: UnpackRequest) -> Unpacked:
    """Extract the photos from an archive to numbered files. The folder that contains a photo determines its class.

    Raises:
        DatasetError: the archive is damaged, or has more than 200,000 photos.
        OutputError: the disk does not have enough space.
    """
    photos, skipped = [], []
    with request.archive.open("rb") as file:
        archive = read_archive(file, request.name)
        members = [archive.find(name) for name in archive.names]
        if len(members) > _MOST_PHOTOS:
            raise DatasetError(messages.TOO_MANY_PHOTOS.format(name=request.name, most=_MOST_PHOTOS))
        needed = sum(member.length for member in members if member and member.length <= LARGEST_PHOTO)
        if needed + _SPARE > shutil.disk_usage(request.folder).free:
            raise OutputError(messages.NO_SPACE_TO_UNPACK.format(name=request.name, megabytes=needed / 1e6))

        def read(start: int, end: int) -> bytes:
            file.seek(start)
            return file.read(end - start)

        for number, (name, member) in enumerate(zip(archive.names, members, strict=True)):
            assert member is not None
            label = archive.labels[number] if archive.labels else name.rpartition("/")[0].rpartition("/")[2]
            try:
                content = read_member(member, read, LARGEST_PHOTO)
            except OSError as error:
                skipped.append((name, error.strerror or str(error)))
                continue
            path = request.folder / f"{number}.part"
            try:
                path.write_bytes(content)
            except OSError as error:
                raise OutputError(
                    messages.NOT_ADDED.format(name=request.name, reason=error.strerror or error)
                ) from None
            photos.append((path, label, name.rpartition("/")[2]))
    if archive.others:
        kinds: dict[str, int] = {}
        for (_, kind), count in archive.others.items():
            kinds[kind] = kinds.get(kind, 0) + count
        skipped.append((request.name, other_files_text(kinds)))
    if not photos and not skipped:
        skipped.append((request.name, messages.SKIPPED_EMPTY))
    return Unpacked(tuple(photos), tuple(skipped))
