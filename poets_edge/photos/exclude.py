"""Lists of photos to exclude from training, or to assign to another class.

A list is a text file in one of two formats. The HTML report of the `audit` command saves JSON:
`{"leave_out": ["roses/1.jpg"], "belongs_to": {"roses/2.jpg": "tulips"}}`. A list written by hand has one line for each
photo to exclude, which contains the name of the photo, and comments, which begin with #. Names are relative to the
photo folder. No file is moved or deleted: a list is applied to the result of a scan.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from poets_edge.core.files import read_bytes
from poets_edge.core.json_checks import Check, DictOf, Optional, check, parse_json
from poets_edge.errors import DatasetError, RecordError
from poets_edge.photos.address import Location
from poets_edge.photos.folder import PhotoFolder, scan
from poets_edge.photos.names import check_distinct, has_controls
from poets_edge.progress import Reporter

FORMAT = "poets_edge-exclude-1"
_LARGEST_LIST = 256 << 20
_LONGEST_CLASS = 255
"""Maximum number of characters in a class name, the usual limit of file systems."""


def _is_file_name(name: str) -> bool:
    try:
        return bool(name) and b"\0" not in os.fsencode(name)
    except UnicodeError:  # lone surrogates that do not stand for the bytes of a file name
        return False


def _is_class(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeError:
        return False
    return 0 < len(name) <= _LONGEST_CLASS and not has_controls(name)


_NAME = Check(str, "the name of a photo", _is_file_name)
_CLASS = Check(str, "the name of a class, one line of text", _is_class)
_SHAPE = {
    "leave_out": Optional([_NAME]),
    "belongs_to": Optional(
        Check(DictOf(_CLASS), "an object of names of photos", lambda found: all(map(_is_file_name, found)))
    ),
}


@dataclass(frozen=True)
class Exclusions:
    """Photos to exclude or to assign to another class.

    Attributes:
        leave_out: names of the photos to exclude.
        belongs_to: corrected class of each photo to reassign, keyed by the name of the photo.
    """

    leave_out: frozenset[str] = frozenset()
    belongs_to: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.leave_out or self.belongs_to)

    def apply(self, folder: PhotoFolder) -> PhotoFolder:
        """Return a copy of a scan result, without the excluded photos and with reassigned photos in their new classes.

        Raises:
            DatasetError: two class names differ only in case or Unicode normalization.
        """
        remaining = [row for row, name in enumerate(folder.photos.names) if name not in self.leave_out]
        photos = folder.photos.take(np.array(remaining, np.int64))
        moved = {row: self.belongs_to[name] for row, name in enumerate(photos.names) if name in self.belongs_to}
        labels = tuple(dict.fromkeys([*photos.labels, *moved.values()]))
        check_distinct(labels, folder.path)
        return replace(folder, photos=photos.in_classes(labels, moved))

    def unknown(self, folder: PhotoFolder) -> list[str]:
        """Return the names of photos to exclude or to reassign that the folder does not contain, sorted."""
        return sorted((self.leave_out | set(self.belongs_to)).difference(folder.photos.names))

    def to_json(self) -> dict[str, object]:
        """Return the exclusions as JSON fields, for a file that lists them or for a training record."""
        return {"leave_out": sorted(self.leave_out), "belongs_to": dict(sorted(self.belongs_to.items()))}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Exclusions:
        """Construct an instance from the validated fields of an exclusion list or a training record."""
        return Exclusions(frozenset(value.get("leave_out") or ()), value.get("belongs_to") or {})

    def to_facts(self) -> dict[str, object]:
        """Return the exclusions as fields to store in a model file.

        The fields contain hashes of the names of the photos instead of the names, because the model may be published.
        """
        return {
            "leave_out": sorted(map(_hash, self.leave_out)),
            "belongs_to": {_hash(name): label for name, label in sorted(self.belongs_to.items())},
        }


def exclusions_of_training(training: Mapping[str, Any], names: Iterable[str]) -> Exclusions:
    """Return the exclusions that a training run applied, limited to the given photos.

    Args:
        training: a training record, which contains names, or the field `training` of a model's metadata, which
            contains hashes.
        names: names of the photos to which the result is limited.
    """
    listed = training.get("exclude") or training.get("exclude_hashes") or {}
    leave_out, belongs_to = set(listed.get("leave_out") or ()), listed.get("belongs_to") or {}
    if not leave_out and not belongs_to:
        return Exclusions()
    keys = {name: name if "exclude" in training else _hash(name) for name in names}
    return Exclusions(
        frozenset(name for name, key in keys.items() if key in leave_out),
        {name: belongs_to[key] for name, key in keys.items() if key in belongs_to},
    )


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_exclusions(path: Path) -> Exclusions:
    """Read a list of exclusions from a file. Raises DatasetError if the file is missing or invalid."""
    try:
        text = read_bytes(path, _LARGEST_LIST).decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: not a list of photos (not UTF-8 text).") from None
    if not text.lstrip().startswith("{"):
        lines = (line.strip() for line in text.splitlines())
        return Exclusions(frozenset(line for line in lines if line and not line.startswith("#")))
    try:
        found = check(parse_json(text), _SHAPE)
        if not _SHAPE.keys() & found.keys():
            raise RecordError(f"contains none of {', '.join(_SHAPE)}")
    except RecordError as error:
        raise DatasetError(
            f"{path}: not a list of photos ({error}). Save it from the audit's page, or write one photo a line."
        ) from None
    return Exclusions.from_json(found)


def exclusions_json(leave_out: Iterable[str]) -> bytes:
    r"""Return the content of an exclusion list as a JSON file in UTF-8.

    Lone surrogates, which represent undecodable bytes in file names, are written as escapes such as `\udce9`.
    """
    listed = {"format": FORMAT, **Exclusions(frozenset(leave_out)).to_json()}
    return (json.dumps(listed, indent=1, ensure_ascii=False) + "\n").encode("utf-8", errors="backslashreplace")


def scan_without_excluded(
    image_dir: Location, exclude: Path | None, reporter: Reporter, *, recursive: bool = False
) -> tuple[PhotoFolder, Exclusions]:
    """Scan a photo folder, apply a list of exclusions, and warn about listed photos that are not in the folder.

    Args:
        image_dir: folder with one folder of photos per class.
        exclude: file that lists the exclusions; None to exclude nothing.
        reporter: reporter for the warning.
        recursive: whether to include subfolders of class folders.

    Returns:
        The folder without the excluded photos, and the exclusions.

    Raises:
        DatasetError: the folder or the list cannot be read.
    """
    folder = scan(image_dir, recursive=recursive)
    if exclude is None:
        return folder, Exclusions()
    exclusions = read_exclusions(exclude)
    if unknown := exclusions.unknown(folder):
        reporter.warn(f"{exclude}: {len(unknown)} of its photos are not in {folder.path}, as {unknown[0]}.")
    return exclusions.apply(folder), exclusions
