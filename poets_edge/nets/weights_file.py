"""Read weights files with a size limit and a checksum."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from poets_edge.core.files import read_bytes
from poets_edge.errors import WeightsError

_MAX_BYTES = 512 << 20
"""Maximum size of a weights file in bytes, both compressed and uncompressed. The largest, Inception V3, is 88 MB."""


@dataclass(frozen=True)
class Weights:
    """A weights file.

    Attributes:
        path: path of the file; its suffix specifies the format.
        digest: SHA-256 of the file, hexadecimal.
    """

    path: Path
    digest: str

    def read(self) -> bytes:
        """Return the bytes of the file. Raises WeightsError if they have changed since they were hashed."""
        try:
            content = read_bytes(self.path, _MAX_BYTES)
        except OSError as error:
            raise WeightsError(f"{self.path}: cannot be read ({error.strerror or error}).") from None
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise WeightsError(f"{self.path}: has changed while it was being read. Run again.")
        return content

    def frozen_graph(self) -> bytes:
        """Return the bytes of the GraphDef in a `.tgz` or `.pb` file of the codelab "TensorFlow for Poets".

        Raises:
            WeightsError: the file is damaged, contains no graph, or has changed since it was hashed.
        """
        if self.path.suffix != ".tgz":
            return self.read()
        try:
            unpacked = _Unpacked(self.read())
            with tarfile.open(fileobj=unpacked, mode="r|") as archive:  # type: ignore[call-overload]
                for member in archive:
                    # Links are not followed: they may lead anywhere.
                    wanted = member.name.endswith("frozen_graph.pb") and member.isreg()
                    file = archive.extractfile(member) if wanted else None
                    if file:
                        return bytes(file.read())
        except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error):
            raise WeightsError(f"{self.path}: damaged archive. Delete it, or fetch it again.") from None
        raise WeightsError(f"{self.path}: no frozen_graph.pb inside.")


class _Unpacked:
    """File object for the tar archive in a `.tgz` file, decompressed while it is read.

    `read` raises ValueError if the uncompressed size exceeds _MAX_BYTES.
    """

    def __init__(self, content: bytes) -> None:
        self._file = gzip.GzipFile(fileobj=io.BytesIO(content))
        self._remaining = _MAX_BYTES

    def read(self, size: int) -> bytes:
        block = self._file.read(min(size, self._remaining + 1))
        self._remaining -= len(block)
        if self._remaining < 0:
            raise ValueError(f"more than {_MAX_BYTES:,} bytes")
        return block
