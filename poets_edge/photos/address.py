"""Addresses of photos that are not files on this machine, such as `s3://bucket/photos` or `https://host/photos.tar`.

`poets_edge.photos.remote` reads the files at these addresses.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from poets_edge.core.credentials import split_user_info
from poets_edge.errors import UsageError

_QUERY = r"(?i)https?://[^?#]*(#|\?[^?]*=)"
"""Pattern for a web address with a fragment or a query. A `?` without a later `=` does not begin a query, because it
can be a wildcard in a file name.
"""


@dataclass(frozen=True, order=True)
class Address:
    """Address of a folder, an archive or a photo on a web server or in an object store.

    The operator `/` appends a relative path, as for `pathlib.Path`: `Address("s3://bucket/photos") / "daisy/1.jpg"`.
    A user name and password in the address are removed from `text`; `poets_edge.core.credentials` stores them in memory
    for requests to the host.

    Attributes:
        text: the address without a slash at its end.

    Raises:
        UsageError: the address has a fragment, or a query, which often contains a secret.
    """

    text: str

    def __post_init__(self) -> None:
        text = split_user_info(self.text) if "@" in self.text else self.text
        if ("?" in text or "#" in text) and (match := re.match(_QUERY, text)):
            raise UsageError(
                f"{text[: match.start(1)]}: with a query or a fragment after it, from which no photos are read."
                " Download the file first."
            )
        object.__setattr__(self, "text", text.rstrip("/") if not text.endswith("://") else text)

    def __str__(self) -> str:
        return self.text

    def __truediv__(self, name: str) -> Address:
        return Address(f"{self.text}/{name}")

    @property
    def name(self) -> str:
        """The part of the address after the last slash."""
        return self.text.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The file name suffix, including its dot; "" if there is none."""
        return os.path.splitext(self.name)[1]  # noqa: PTH122

    def absolute(self) -> Address:
        """Return this address unchanged, as `Path.absolute` does for an absolute path."""
        return self

    def resolve(self) -> Address:
        """Return this address unchanged; `Path.resolve` is the corresponding method of a path."""
        return self


Location: TypeAlias = Path | Address
"""Path or address of a photo, or of a folder or archive of photos."""


def is_address(text: str) -> bool:
    """Return whether a string is an address such as `https://host/photos`, rather than a path on this machine."""
    return "://" in text


def photo_path(text: str) -> Location:
    """Convert a string to an `Address` if it contains `://`, else to a `Path`."""
    return Address(text) if is_address(text) else Path(text)


def as_photo_path(value: Any) -> Any:
    """Convert a string to a `Path` or an `Address`; return any other value unchanged."""
    return photo_path(value) if isinstance(value, str) else value


def joined(folder: str, name: str) -> str:
    """Return the path or address of a photo in a folder or archive.

    Args:
        folder: path or address of the folder or archive.
        name: path of the photo relative to the folder or archive, with `/` as the separator.
    """
    return f"{folder.rstrip('/')}/{name}" if is_address(folder) else os.path.join(folder, name)  # noqa: PTH118
