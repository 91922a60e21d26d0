"""Times at which photos were taken, from the EXIF data in local JPEG files."""

from __future__ import annotations

import datetime
import itertools
import re
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from poets_edge.photos.table import PhotoTable

Times = npt.NDArray[np.float64]

_HEADER_BYTES = 1 << 16
"""Number of bytes to read from a JPEG file. EXIF data is at its beginning and has at most 64 KiB."""
_DATE = re.compile(rb"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)\0")
_SECONDS = 3.0
"""Maximum time between successive photos in a burst, in seconds."""
_MAX_PER_SECOND = 30
"""Maximum number of photos in a folder that may have the same time. A time that more photos share is probably the time
at which they were scanned or copied, and is ignored.
"""


def times_taken(photos: PhotoTable) -> Times:
    """Return the time at which each photo was taken, as by `time_taken`, float64 [photos]; nan if it is not known."""
    paths = [Path(path) if path.lower().endswith((".jpg", ".jpeg")) else None for path in photos.paths()]
    return np.array([time_taken(path) if path else None for path in paths], np.float64)


def burst_pairs(photos: PhotoTable, times: Times | None = None) -> list[tuple[int, int]]:
    """Return pairs of row numbers of successive photos in one folder that were taken within 3 seconds of each other.

    If more than 30 photos in a folder have the same time, these photos are ignored, because the time is probably that
    of scanning or copying them.

    Args:
        photos: the photos that the row numbers refer to.
        times: result of `times_taken`; by default, the files are read.
    """
    times = times_taken(photos) if times is None else times
    of_folder: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for row in np.flatnonzero(np.isfinite(times)).tolist():
        of_folder[str(PurePosixPath(photos.names[row]).parent)].append((float(times[row]), row))
    pairs = []
    for dated_rows in of_folder.values():
        counts = Counter(time for time, _ in dated_rows)
        dated = sorted(one for one in dated_rows if counts[one[0]] <= _MAX_PER_SECOND)
        pairs += [(a, b) for (before, a), (after, b) in itertools.pairwise(dated) if after - before <= _SECONDS]
    return pairs


def time_taken(path: Path) -> float | None:
    """Return the time at which a photo was taken, in seconds since the epoch, as if the camera's clock showed UTC.

    The time is the most frequent date in the EXIF data: usually, the dates of taking and of digitizing the photo are
    the same, while that of the last edit may differ. The result is None if the file has no date or cannot be read.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except (OSError, ValueError):
        return None
    start = header.find(b"Exif\0\0")
    if start < 0:
        return None
    dates = Counter(match.groups() for match in _DATE.finditer(header, start))
    if not dates:
        return None
    [((year, month, day, hour, minute, second), _)] = dates.most_common(1)
    try:
        return datetime.datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=datetime.timezone.utc
        ).timestamp()
    except (ValueError, OverflowError):
        return None
