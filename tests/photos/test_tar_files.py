"""Tests of tar files that end early, or whose members are not the whole content of a file."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from poets_edge.errors import DatasetError
from poets_edge.photos.folder import scan

NAMES = ("daisy/1.jpg", "daisy/2.jpg", "roses/1.jpg")


def tar(kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return a tar file with three photos, the second of which is of another kind."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in NAMES:
            info = tarfile.TarInfo(name)
            info.size, info.type = 600, kind if name == NAMES[1] else tarfile.REGTYPE
            archive.addfile(info, io.BytesIO(b"\xff\xd8\xff" + bytes(597)))
    return file.getvalue()


def scanned(folder: Path, content: bytes) -> list[str]:
    (folder / "x.tar").write_bytes(content)
    return list(scan(folder / "x.tar").photos.names)


# Each member takes three blocks of 512 bytes: a header, and 600 bytes of content.
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar()[: 9 * 512], "it has no end"),
        (tar()[: 6 * 512], "it has no end"),  # one photo is missing
        (tar()[: 6 * 512] + b"garbage" * 200, "it has no end"),
        (tar()[: 3 * 512] + b"\1" * 512 + tar()[4 * 512 :], "it has no end"),  # a damaged header
        (tar()[: 4 * 512 + 100], "damaged, truncated"),
    ],
)
def test_tar_file_without_an_end_is_rejected(content: bytes, message: str, tmp_path: Path) -> None:
    """Python's reader ends silently at a damaged header, as if there were no further photos."""
    with pytest.raises(DatasetError, match=rf"x\.tar: .*{message}"):
        scanned(tmp_path, content)


def test_tar_file_may_end_with_a_single_block_of_zeros(tmp_path: Path) -> None:
    assert scanned(tmp_path, tar()[: 10 * 512]) == list(NAMES)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_SPARSE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE])
def test_photos_that_are_links_or_not_stored_completely_are_rejected(kind: bytes, tmp_path: Path) -> None:
    """The holes of a sparse file are not stored, so its bytes in the archive are not those of the photo."""
    with pytest.raises(DatasetError, match=r"daisy/2\.jpg is a link, or not a whole file"):
        scanned(tmp_path, tar(kind))
