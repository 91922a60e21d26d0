"""Where photos lie that are no files of this machine: addresses such as `s3://bucket/photos` or `https://host/photos.tar`.

An address is a path, put together and taken apart like any other, that reads as it was written and that no file of this
machine has. What is at it is read by `poets_edge.photos.remote`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

_BEGINNING = re.compile(r"^([a-z][a-z0-9+.-]*):/+", re.IGNORECASE)

if TYPE_CHECKING:
    _AnyPath = Path
else:
    _AnyPath = type(Path())  # of this system


class Address(_AnyPath):
    """An address as a path, with both slashes after its scheme: `image_dir=Address("s3://bucket/photos")`."""

    def __str__(self) -> str:
        text = super().__str__().replace(os.sep, "/")
        return _BEGINNING.sub(r"\1:///" if text.lower().startswith("file:") else r"\1://", text)

    def __fspath__(self) -> str:
        return str(self)

    def absolute(self) -> Address:
        """Itself: it does not depend on where the program runs."""
        return self

    def resolve(self, strict: bool = False) -> Address:
        """Itself."""
        return self


def is_address(text: str) -> bool:
    """Whether it is no path of this machine."""
    return "://" in text


def photo_path(text: str) -> Path:
    """A path, or an address."""
    return Address(text) if is_address(text) else Path(text)


def as_photo_path(value: Any) -> Any:
    """Return text as a path or an address; any other value unchanged."""
    return photo_path(value) if isinstance(value, str) else value


def joined(folder: str, name: str) -> str:
    """The place of a photo, given by its name with `/`, in a folder or archive."""
    return f"{folder.rstrip('/')}/{name}" if is_address(folder) else os.path.join(folder, name)  # noqa: PTH118
