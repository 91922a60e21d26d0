"""The JSON record beside a trained graph: all that decided the result, and all that describes it.

It holds no time of day and no duration, so equal runs write equal records.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import poets_edge
from poets_edge.edge.image import PREPROCESSING
from poets_edge.edge.interpreter import find_runtime
from poets_edge.photos.split import SET_NAMES, SetName
from poets_edge.records import json_bytes
from poets_edge.training.bottlenecks import HashedPhoto

FORMAT = 1


@dataclass(frozen=True)
class Duplicate:
    """Identical photos that lie in different sets or classes, by name."""

    names: tuple[str, ...]
    sets: tuple[SetName, ...]
    labels: tuple[str, ...]


def find_duplicates(photos: Sequence[HashedPhoto], sets: Mapping[str, SetName]) -> list[Duplicate]:
    """Photos of the same bytes in different sets (they inflate the test score) or classes (they cannot be learned)."""
    by_digest: dict[bytes, list[HashedPhoto]] = defaultdict(list)
    for photo in photos:
        by_digest[photo.digest].append(photo)
    found = []
    for group in by_digest.values():
        names = tuple(item.photo.name for item in group)
        duplicate = Duplicate(names, tuple(sets[name] for name in names), tuple(item.photo.label for item in group))
        if len(set(duplicate.sets)) > 1 or len(set(duplicate.labels)) > 1:
            found.append(duplicate)
    return found


def class_table(photos: Sequence[HashedPhoto], sets: Mapping[str, SetName]) -> dict[str, dict[SetName, int]]:
    """Photos of each class in each set."""
    counts = Counter((item.photo.label, sets[item.photo.name]) for item in photos)
    return {label: {name: counts[label, name] for name in SET_NAMES} for label in sorted({key[0] for key in counts})}


def members(sets: Mapping[str, SetName]) -> dict[SetName, list[str]]:
    """Names of each set's photos."""
    return {wanted: sorted(name for name, chosen in sets.items() if chosen == wanted) for wanted in SET_NAMES}


def versions() -> dict[str, str]:
    """Versions of what took part."""
    runtime = find_runtime()
    found = {
        "poets_edge": poets_edge.__version__,
        "python": platform.python_version(),
        runtime.name: runtime.version,
    }
    for package in ("tensorflow", "numpy", "pillow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found | {"preprocessing": PREPROCESSING}


def as_json(value: Any) -> Any:
    """Dataclass fields as JSON knows them; paths become text."""
    return json.loads(json.dumps(asdict(value), default=str))


def record_of(graph: bytes, fields: Mapping[str, Any]) -> bytes:
    """The record of a graph: its checksum, versions and these fields, as JSON."""
    digest = hashlib.sha256(graph).hexdigest()
    record = {"format": FORMAT, "graph_sha256": digest, "versions": versions(), **fields}
    return json_bytes(record)
