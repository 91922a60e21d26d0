"""A camera as a source of frames that outlives the camera: unplugged, it is waited for.

A device is opened by a function and gives pictures; which library does it is its own affair.
"""

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
"""Reads in a row without a picture after which a camera is taken to have gone."""
_RETRY_SECONDS = 1.0


class Device(Protocol):
    """An open camera."""

    def read(self) -> Image.Image | None:
        """The next picture, RGB; None where the camera gave none or a torn one. Raises SourceError: it has gone."""

    def close(self) -> None:
        """Let go of the camera, also of one that has gone."""


def camera_frames(name: str, open_device: Callable[[], Device]) -> Iterator[Frame | None]:
    """Frames until the reader stops.

    Raises:
        SourceError: the camera cannot be opened at the start. Later it is waited for.
    """
    device = open_device()
    while True:
        with contextlib.closing(device):
            yield from _frames_until_gone(name, device)
        yield Frame(problem=f"{name} has gone; waiting for it to come back")
        for opened in _reopened(open_device):
            if opened is None:
                yield None
            else:
                device = opened


def _frames_until_gone(name: str, device: Device) -> Iterator[Frame]:
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
        yield Frame(problem=f"{name} gave a torn frame")
        time.sleep(TICK_SECONDS / 4)


def _reopened(open_device: Callable[[], Device]) -> Iterator[Device | None]:
    """None again and again, and at last the device."""
    while True:
        for _ in range(round(_RETRY_SECONDS / TICK_SECONDS)):
            time.sleep(TICK_SECONDS)
            yield None
        try:
            yield open_device()
            return
        except SourceError:
            continue
