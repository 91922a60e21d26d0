"""Read frames from Raspberry Pi camera modules with picamera2."""

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
"""Size of the frames, (width, height) in pixels: larger than the inputs of most models, and fast to copy and resize."""
_SILENCE_SECONDS = 5.0
"""Time without a frame, in seconds, after which a camera is regarded as unplugged."""


class PiCamera:
    """Raspberry Pi camera that is opened with picamera2; implements `CameraDevice`."""

    def __init__(self, module: Any, number: int) -> None:
        """Open camera `number`. Raises SourceError if it is in use or does not start."""
        self._camera: Any = None
        try:
            self._camera = module.Picamera2(number)
            # libcamera names the bytes of a word from highest to lowest: its BGR888 is R, G, B in memory.
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
            with contextlib.suppress(RuntimeError, OSError):  # an unplugged camera
                self._camera.close()
            self._camera = None


def find_picamera2(number: int) -> Any | None:
    """Return the picamera2 module if it can be imported and detects camera `number`; otherwise None."""
    if not is_installed() or picamera2_problem() is not None:
        return None
    import picamera2

    return picamera2 if number < len(picamera2.Picamera2.global_camera_info()) else None


def is_installed() -> bool:
    """Return True if picamera2 is installed, whether or not it can be imported."""
    try:
        return importlib.util.find_spec("picamera2") is not None
    except ValueError:  # a module in sys.modules without a spec
        return sys.modules.get("picamera2") is not None


def picamera2_problem() -> str | None:
    """Return why picamera2 cannot be imported; None if it can be imported or is not installed."""
    if not is_installed():
        return None
    try:
        importlib.import_module("picamera2")
    except Exception as error:  # for example, compiled for another version of numpy or libcamera
        return (
            f"picamera2 is installed but does not start ({' '.join(str(error).split())}). If this is about numpy,"
            " run: pip install 'numpy<2'"
        )
    return None
