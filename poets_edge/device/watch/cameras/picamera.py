"""The Raspberry Pi's own cameras, with picamera2."""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib
import importlib.util
import sys
from typing import Any

from PIL import Image

from poets_edge.errors import SourceError

_SIZE = (640, 480)
"""Twice the largest model input and more; smaller frames cost less to copy and resize."""
_SILENCE_SECONDS = 5.0
"""Without a frame for so long a camera has gone: its cable, or the camera stack."""


class PiCamera:
    """A camera that libcamera knows; see `poets_edge.device.watch.cameras.device.Device`."""

    def __init__(self, module: Any, number: int) -> None:
        """Open camera `number` with the picamera2 module. Raises SourceError: it is in use or does not start."""
        self._camera: Any = None
        try:
            self._camera = module.Picamera2(number)
            # libcamera names the bytes of a word, lowest last: its BGR888 is R, G, B in memory.
            self._camera.configure(self._camera.create_video_configuration(main={"size": _SIZE, "format": "BGR888"}))
            self._camera.start()
        except (RuntimeError, IndexError, OSError) as error:
            self.close()
            raise SourceError(
                f"camera {number}: does not start ({' '.join(str(error).split())});"
                " another program may be using it, or its cable may be loose."
            ) from None

    def read(self) -> Image.Image | None:
        try:
            pixels = self._camera.capture_array(wait=False).get_result(timeout=_SILENCE_SECONDS)
        except (concurrent.futures.TimeoutError, TimeoutError, RuntimeError, OSError) as error:
            raise SourceError(f"no frame from the camera ({error}).") from None
        return Image.fromarray(pixels) if pixels is not None and pixels.size else None

    def close(self) -> None:
        if self._camera is not None:
            with contextlib.suppress(RuntimeError, OSError):  # a camera that has gone may not take leave
                self._camera.close()
            self._camera = None


def find_picamera2(number: int) -> Any | None:
    """The picamera2 module if it is installed, starts, and knows camera `number`, else None."""
    if not is_installed() or picamera2_trouble() is not None:
        return None
    import picamera2

    return picamera2 if number < len(picamera2.Picamera2.global_camera_info()) else None


def is_installed() -> bool:
    """Whether there is a picamera2 here; it may still not start."""
    try:
        return importlib.util.find_spec("picamera2") is not None
    except ValueError:  # it has been imported from nowhere, or is kept from being imported
        return sys.modules.get("picamera2") is not None


def picamera2_trouble() -> str | None:
    """Why the picamera2 that is installed does not start; None where it does, or where there is none."""
    if not is_installed():
        return None
    try:
        importlib.import_module("picamera2")
    except Exception as error:  # built for another numpy or another libcamera, it fails in many ways
        return (
            f"picamera2 is installed but does not start ({' '.join(str(error).split())}). If this is about numpy,"
            " run: pip install 'numpy<2'"
        )
    return None
