"""A list of photos to leave out, or to count as another class: what the audit's page saves and `train` heeds.

As JSON, the form that the page saves, `{"leave_out": ["roses/1.jpg"], "belongs_to": {"roses/2.jpg": "tulips"}}`; or
written by hand, one photo a line, lines that begin with # ignored. Names are relative to the photo folder. Nothing is
moved or deleted: the list is applied to what a scan finds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from poets_edge.core.files import write_text
from poets_edge.core.json_checks import Check, DictOf, Optional, check, parse_json
from poets_edge.errors import DatasetError, RecordError
from poets_edge.photos.folder import PhotoFolder

FORMAT = "poets_edge-exclude-1"
_TEXT = Check(str, "a name", bool)
_SHAPE = {"leave_out": Optional([_TEXT]), "belongs_to": Optional(DictOf(_TEXT))}


@dataclass(frozen=True)
class Exclusions:
    """The decisions about photos, by name.

    Attributes:
        leave_out: photos to leave out.
        belongs_to: photos that count as another class, and which.
    """

    leave_out: frozenset[str] = frozenset()
    belongs_to: Mapping[str, str] = field(default_factory=dict)

    def apply(self, folder: PhotoFolder) -> PhotoFolder:
        """The folder as it looks with them."""
        stays = [row for row, name in enumerate(folder.photos.names) if name not in self.leave_out]
        photos = folder.photos.take(np.array(stays, np.int64))
        moved = {row: self.belongs_to[name] for row, name in enumerate(photos.names) if name in self.belongs_to}
        labels = tuple(dict.fromkeys([*photos.labels, *moved.values()]))
        return replace(folder, photos=photos.in_classes(labels, moved))

    def unknown(self, folder: PhotoFolder) -> list[str]:
        """Names in the list that no photo of the folder has."""
        return sorted((self.leave_out | set(self.belongs_to)).difference(folder.photos.names))

    def to_json(self) -> dict[str, object]:
        """Return the value as JSON-compatible dictionaries, lists, strings and numbers."""
        return {"leave_out": sorted(self.leave_out), "belongs_to": dict(sorted(self.belongs_to.items()))}


def read_exclusions(path: Path) -> Exclusions:
    """Read a list. Raises DatasetError: it is missing, or not such a list."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: not a list of photos (not UTF-8 text).") from None
    if not text.lstrip().startswith("{"):
        lines = (line.strip() for line in text.splitlines())
        return Exclusions(frozenset(line for line in lines if line and not line.startswith("#")))
    try:
        found = check(parse_json(text), _SHAPE)
    except RecordError as error:
        raise DatasetError(
            f"{path}: not a list of photos ({error}). Save it from the audit's page, or write one photo a line."
        ) from None
    return Exclusions(frozenset(found.get("leave_out") or ()), found.get("belongs_to") or {})


def write_exclusions(path: Path, leave_out: Sequence[str]) -> None:
    """Write a list of photos to leave out. Raises OutputError."""
    listed = {"format": FORMAT, **Exclusions(frozenset(leave_out)).to_json()}
    write_text(path, json.dumps(listed, indent=1, ensure_ascii=False) + "\n")
