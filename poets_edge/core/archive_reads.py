"""Read archives from untrusted sources with limits on size, because the header of an archive may declare any length."""

from __future__ import annotations

import contextlib
import sys
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO


class BoundedReads:
    """Wrapper of a seekable file that limits the number of bytes per read, for use with `zipfile` and `tarfile`."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self.most = file, most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, by default all up to the end.

        Raises:
            ValueError: `size`, or the number of bytes up to the end, exceeds the limit.
        """
        if size > self.most:
            raise ValueError(f"a header of {size:,} bytes")
        data = self._file.read(size if size >= 0 else min(self.most + 1, sys.maxsize))
        if len(data) > self.most:
            raise ValueError(f"a header of more than {self.most:,} bytes")
        return data


@contextlib.contextmanager
def opened_zip(file: BinaryIO, most: int) -> Iterator[zipfile.ZipFile]:
    """Context manager that opens a zip file whose central directory has at most `most` bytes.

    The limit bounds memory use: `zipfile` needs about ten times the size of the central directory.

    Raises:
        ValueError, zipfile.BadZipFile, NotImplementedError: the central directory has more than `most` bytes, or is
            damaged.
    """
    bounded: Any = BoundedReads(file, most)
    with zipfile.ZipFile(bounded) as archive:
        bounded.most = sys.maxsize  # from here on, the sizes of the members are known
        yield archive
