"""Download the photos of the TensorFlow for Poets codelab: an archive of five kinds of flowers.

The checksum of the archive is verified, and the archive is extracted completely or not at all.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from poets_edge.core.download import download
from poets_edge.core.files import unused_folder
from poets_edge.errors import DownloadError, OutputError
from poets_edge.photos.folder import PhotoFolder, scan
from poets_edge.progress import Reporter, Silent


@dataclass(frozen=True)
class Archive:
    """URL, size in bytes and SHA-256 of a `.tgz` file that contains a single top folder."""

    url: str
    size: int
    sha256: str


# Size and checksum: TensorFlow Datasets, tf_flowers.
FLOWERS = Archive(
    "http://download.tensorflow.org/example_images/flower_photos.tgz",
    228_813_984,
    "4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c",
)
"""Archive with 3,670 photos of five kinds of flowers, their license (CC-BY 2.0) and the names of the photographers."""


def fetch_flowers(folder: Path, *, archive: Archive = FLOWERS, reporter: Reporter | None = None) -> PhotoFolder:
    """Download the photos of the TensorFlow for Poets codelab into a new or empty folder, and return a scan of it.

    The archive is stored next to `folder` under a hidden name until it has been extracted. If the download is
    interrupted, the next call resumes it.

    Args:
        folder: folder for the photos.
        archive: archive to download.
        reporter: receives the progress of the download and the extraction.

    Raises:
        DownloadError: the archive cannot be downloaded, is damaged, or has a member that must not be extracted.
        OutputError: `folder` is not empty, or is not writable.
    """
    reporter = reporter or Silent()
    with unused_folder(folder) as temporary:
        file = folder.with_name(f".{folder.name}.poets_edge.tgz")
        download(
            archive.url, file, size=archive.size, sha256=archive.sha256, label="flower_photos.tgz", reporter=reporter
        )
        try:
            with reporter.progress("unpacking", archive.size, "B") as advance:
                _unpack(file, temporary, advance)
        except FileNotFoundError:
            if file.exists():
                raise
            raise OutputError(f"{folder}: another program has just fetched the photos there.") from None
        file.unlink(missing_ok=True)  # another program may have created it meanwhile
    return scan(folder)


def _unpack(file: Path, folder: Path, advance: Callable[[int], object]) -> None:
    """Extract the files in an archive to `folder`, without the archive's top folder.

    Args:
        advance: function that is called after each read with the number of compressed bytes that were read.

    Raises:
        DownloadError: the archive is damaged, or has a member that must not be extracted.
    """
    read = 0
    try:
        with file.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:gz") as packed:
            for member in packed:
                target = _target(member, folder)
                if target is not None:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    content = packed.extractfile(member)
                    assert content is not None  # a regular file
                    target.write_bytes(content.read())
                advance(raw.tell() - read)
                read = raw.tell()
    except (tarfile.TarError, EOFError):
        raise DownloadError(f"{file}: damaged archive. Delete it and fetch again.") from None


def _target(member: tarfile.TarInfo, folder: Path) -> Path | None:
    """Return the path to which a member of an archive is extracted; None if the member is a folder.

    Raises:
        DownloadError: the member is a link, or is outside the archive's top folder.
    """
    path = PurePosixPath(member.name)
    safe = not path.is_absolute() and not any(part == ".." or "\\" in part or ":" in part for part in path.parts)
    if not safe or not (member.isdir() or (member.isfile() and len(path.parts) > 1)):
        raise DownloadError(
            f"the archive holds {member.name!r}, which must not be unpacked: it is a link, or is outside the"
            " archive's folder."
        )
    return folder.joinpath(*path.parts[1:]) if member.isfile() else None
