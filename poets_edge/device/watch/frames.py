"""Sources of frames for `watch`: folders of images, and files or streams of concatenated JPEGs.

Videos and cameras, which need optional packages, are in `poets_edge.device.watch.cameras`.
"""

from __future__ import annotations

import os
import re
import select
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from poets_edge.device.watch.prefetch import TICK_SECONDS
from poets_edge.errors import SourceError
from poets_edge.photos.folder import photo_files
from poets_edge.photos.image import PhotoSource


@dataclass(frozen=True)
class Frame:
    """A frame, or the reason why no frame could be read.

    Attributes:
        name: name of the frame's file; empty if the frame has no file of its own.
        photo: the image; None if the image could not be read.
        problem: reason why the image could not be read; empty if there is an image.
        taken: time at which the frame was received, in seconds, as returned by `time.perf_counter()`.
    """

    name: str = ""
    photo: PhotoSource | None = None
    problem: str = ""
    taken: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True)
class FrameSource:
    """A source of frames for `watch`.

    Attributes:
        name: name of the source in messages.
        live: whether frames arrive in real time, as from a camera, and are lost if they are not read.
        frames: function that starts the source and returns an iterator of its frames, which yields None while no frame
            is available. The iterator raises SourceError if the source cannot be read.
        still: whether the frames are independent images, as in a folder, instead of parts of one video.
    """

    name: str
    live: bool
    frames: Callable[[], Iterator[Frame | None]]
    still: bool = False


def folder_source(folder: Path) -> FrameSource:
    """Return a folder of images as a source of frames, in natural order of the file names.

    Raises:
        DatasetError: the folder cannot be read.
    """
    files = sorted(photo_files(folder)[0], key=_by_number)
    return FrameSource(str(folder), False, lambda: (Frame(path.name, path) for path in files), still=True)


def mjpeg_source(path: Path) -> FrameSource:
    """Return a file of concatenated JPEGs as a source of frames."""
    return FrameSource(str(path), False, lambda: _mjpeg_file(path))


def standard_input() -> FrameSource:
    """Return standard input, a stream of concatenated JPEGs, as a source of frames.

    The source is live unless standard input is a file.

    Raises:
        SourceError: standard input is closed.
    """
    if sys.stdin is None:
        raise SourceError("standard input is closed.")
    live = not stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)
    return FrameSource("standard input", live, lambda: _frames(_read_when_ready(sys.stdin.fileno())))


def split_jpegs(chunks: Iterable[bytes | None]) -> Iterator[bytes | None]:
    """Split a stream of byte chunks into JPEGs; yield None for each chunk that is None, which means "no data yet".

    Bytes between images are skipped. An image without an end marker is yielded up to the start of the next image, or
    after 32 MB, so that it is counted as a bad frame.
    """
    data = bytearray()
    after = 0  # position from which the next marker is searched; 0 outside an image
    for chunk in chunks:
        if chunk is None:
            yield None
            continue
        data += chunk
        while True:
            if not after:
                start = data.find(b"\xff\xd8")
                del data[: start if start >= 0 else max(0, len(data) - 1)]
                if start < 0:
                    break
                after = 2
            marker = _MARKER.search(data, after)
            if marker is None or (marker.end() + 2 > len(data) and marker[0] not in _WITHOUT_LENGTH):
                after = max(after, len(data) - 1) if marker is None else marker.start()
                break
            if marker[0] in _WITHOUT_LENGTH:
                end = marker.end() if marker[0] == _END else marker.start()
                yield bytes(data[:end])
                del data[:end]
                after = 0
            else:  # a segment of known length, which may contain the markers of a thumbnail
                after = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
            if after > len(data):
                break
        if len(data) > _MAX_PICTURE_BYTES:
            yield bytes(data)
            data.clear()
            after = 0
    if after:
        yield bytes(data)


# 0xFF 0x00 is a data byte of 255, D0 to D7 are restart markers inside the data, and 0xFF 0xFF is padding.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_START, _END = b"\xff\xd8", b"\xff\xd9"
_WITHOUT_LENGTH = (_START, _END)
_CHUNK = 1 << 16
_MAX_PICTURE_BYTES = 1 << 25
"""Size, in bytes, at which an unfinished image is regarded as damaged; a JPEG of 100 megapixels is smaller."""


def _mjpeg_file(path: Path) -> Iterator[Frame | None]:
    try:
        with path.open("rb") as file:
            yield from _frames(iter(lambda: file.read(_CHUNK), b""))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}.") from None


def _read_when_ready(descriptor: int) -> Iterator[bytes | None]:
    # Not sys.stdin.buffer, whose lock would be held by a waiting thread when the program ends.
    while True:
        # On Windows, select works only for sockets, so that a read blocks.
        if sys.platform != "win32" and not select.select([descriptor], [], [], TICK_SECONDS)[0]:
            yield None
            continue
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            return
        yield chunk


def _frames(chunks: Iterable[bytes | None]) -> Iterator[Frame | None]:
    for picture in split_jpegs(chunks):
        yield None if picture is None else Frame(photo=picture)


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Return a sort key for natural order: frame_2.jpg before frame_10.jpg."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]
