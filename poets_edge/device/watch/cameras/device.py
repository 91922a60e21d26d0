"""Read frames from a camera that may be unplugged and plugged in again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from PIL import Image

from poets_edge.device.watch.frames import Frame
from poets_edge.device.watch.prefetch import TICK_SECONDS
from poets_edge.errors import SourceError

_BAD_READS = 5
"""Number of consecutive reads without a frame after which a camera is regarded as unplugged."""
_RETRY_SECONDS = 1.0


class CameraDevice(Protocol):
    """Protocol of an open camera, from which frames can be read."""

    def read(self) -> Image.Image | None:
        """Return the next frame, an RGB image; None if it is damaged. Raises SourceError if the camera is unplugged."""

    def close(self) -> None:
        """Release the camera, even if it is unplugged."""


def camera_frames(name: str, open_device: Callable[[], CameraDevice]) -> Iterator[Frame | None]:
    """Yield the frames of a camera indefinitely, and None while the camera is unplugged.

    Args:
        name: name of the camera in messages.
        open_device: function that opens the camera.

    Raises:
        SourceError: the camera cannot be opened the first time.
    """
    device = open_device()
    while True:
        with contextlib.closing(device):
            yield from _frames_until_gone(name, device)
        yield Frame(problem=f"{name} is not available; waiting until it returns")
        for opened in _reopened(open_device):
            if opened is None:
                yield None
            else:
                device = opened


def _frames_until_gone(name: str, device: CameraDevice) -> Iterator[Frame]:
    bad = 0
    while True:
        try:
            picture = device.read()
        except SourceError:
            return
        if picture is not None:
            bad = 0
            yield Frame(photo=picture)
            continue
        bad += 1
        if bad == _BAD_READS:
            return
        yield Frame(problem=f"{name} returned a damaged frame")
        time.sleep(TICK_SECONDS / 4)


def _reopened(open_device: Callable[[], CameraDevice]) -> Iterator[CameraDevice | None]:
    """Try to open a camera once per second; yield None while it is unavailable, and then the opened camera."""
    while True:
        for _ in range(round(_RETRY_SECONDS / TICK_SECONDS)):
            time.sleep(TICK_SECONDS)
            yield None
        try:
            yield open_device()
            return
        except SourceError:
            continue
