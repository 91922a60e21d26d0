"""Where `watch` takes its frames from: a folder of pictures, or JPEGs in one file or stream.

Each source is a name and a function that gives frames one by one. Videos and cameras, which need packages of their
own, are in `poets_edge.device.watch.cameras`.
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
    """One frame, or the reason why there is none.

    Attributes:
        name: the file's, where each frame is a file.
        photo: None where `problem` says why.
        taken: `time.perf_counter()` when the source gave it.
    """

    name: str = ""
    photo: PhotoSource | None = None
    problem: str = ""
    taken: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True)
class FrameSource:
    """Something that gives frames.

    Attributes:
        name: what to call it in messages.
        live: frames come whether or not somebody takes them, as a camera's do; others wait.
        still: each frame is a picture by itself, so that one says nothing of the next.
        frames: starts it. None among the frames means that nothing has come for a moment. Raises SourceError.
    """

    name: str
    live: bool
    frames: Callable[[], Iterator[Frame | None]]
    still: bool = False


def folder_source(folder: Path) -> FrameSource:
    """The pictures of a folder, `frame_2.jpg` before `frame_10.jpg`. Raises DatasetError."""
    files = sorted(photo_files(folder), key=_by_number)
    return FrameSource(str(folder), False, lambda: (Frame(path.name, path) for path in files), still=True)


def mjpeg_source(path: Path) -> FrameSource:
    """The pictures of a file in which JPEGs follow each other."""
    return FrameSource(str(path), False, lambda: _mjpeg_file(path))


def standard_input() -> FrameSource:
    """JPEGs that follow each other on standard input.

    `< file` waits for its reader. Behind a pipe there may be a camera, so a pipe counts as live.

    Raises:
        SourceError: it is closed.
    """
    if sys.stdin is None:
        raise SourceError("standard input is closed.")
    live = not stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)
    return FrameSource("standard input", live, lambda: _frames(_read_when_ready(sys.stdin.fileno())))


def split_jpegs(chunks: Iterable[bytes | None]) -> Iterator[bytes | None]:
    """Cut a stream of JPEGs, whatever lies between them, into pictures; None is passed on.

    A picture whose end is lost is given as it is up to the start of the next, so that its loss is noticed; so is
    one that never ends, after 32 MB.
    """
    data = bytearray()
    after = 0  # where the search for the open picture's next marker goes on; 0 while none has begun
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
            if marker is None or (marker.end() + 2 > len(data) and marker[0] not in _ALONE):
                after = max(2, len(data) - 1) if marker is None else marker.start()
                break
            if marker[0] in _ALONE:
                end = marker.end() if marker[0] == _END else marker.start()
                yield bytes(data[:end])
                del data[:end]
                after = 0
            else:  # a segment of known length: what looks like a marker in it (a thumbnail) is none
                after = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
            if after > len(data):
                break
        if len(data) > _LONGEST_PICTURE:
            yield bytes(data)
            data.clear()
            after = 0
    if after:
        yield bytes(data)


# 0xFF 0x00 is a data byte of 255, D0 to D7 are restart marks inside the data, 0xFF 0xFF is filling.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_START, _END = b"\xff\xd8", b"\xff\xd9"
_ALONE = (_START, _END)
_CHUNK = 1 << 16
_LONGEST_PICTURE = 1 << 25
"""Bytes; a JPEG of 100 megapixels is smaller."""


def _mjpeg_file(path: Path) -> Iterator[Frame | None]:
    try:
        with path.open("rb") as file:
            yield from _frames(iter(lambda: file.read(_CHUNK), b""))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}.") from None


def _read_when_ready(descriptor: int) -> Iterator[bytes | None]:
    # Not sys.stdin.buffer: a thread that waits in it holds its lock when the program ends.
    while True:
        # On Windows select knows sockets only; there a silent pipe is waited for.
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
    """frame_2.jpg before frame_10.jpg."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]
