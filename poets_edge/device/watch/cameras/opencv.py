"""Read frames from video files and USB cameras (V4L2) with OpenCV."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from poets_edge.device.watch.frames import Frame
from poets_edge.errors import RuntimeMissingError, SourceError


def video_frames(path: Path) -> Iterator[Frame | None]:
    """Yield the frames of a video file.

    Raises:
        SourceError: OpenCV cannot read the file.
        RuntimeMissingError: OpenCV is not installed.
    """
    cv2 = load_opencv("reading a video")
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise SourceError(f"{path}: not a video that OpenCV can read.")
        while True:
            good, pixels = capture.read()
            if not good:
                return
            yield Frame(photo=_to_image(cv2, pixels))
    finally:
        capture.release()


class OpenCvCamera:
    """V4L2 camera opened with OpenCV; implements `CameraDevice`."""

    def __init__(self, camera: str) -> None:
        """Open a camera.

        Args:
            camera: number of a /dev/video device, or path of a device (paths in /dev/v4l/by-id/ survive replugging).

        Raises:
            SourceError: the camera is missing or in use, or the user lacks permission to open it.
            RuntimeMissingError: OpenCV is not installed.
        """
        self._cv2 = load_opencv("a camera")
        path = Path(f"/dev/video{camera}" if camera.isdecimal() else camera)
        _check(path)
        self._capture = self._cv2.VideoCapture(str(path), self._cv2.CAP_V4L2)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(
                f"{path}: cannot be opened; another program may be using it (fuser -v {path} tells which)."
            )
        self._capture.set(self._cv2.CAP_PROP_BUFFERSIZE, 1)

    def read(self) -> Image.Image | None:
        good, pixels = self._capture.read()
        return _to_image(self._cv2, pixels) if good else None

    def close(self) -> None:
        self._capture.release()


def load_opencv(purpose: str) -> Any:
    """Import cv2, suppress the log messages of its libraries, and return the module.

    Args:
        purpose: the task that needs OpenCV, for the error message.

    Raises:
        RuntimeMissingError: OpenCV is not installed.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError as error:
        missing = "is not installed" if isinstance(error, ModuleNotFoundError) else f"does not start ({error})"
        raise RuntimeMissingError(
            f"{purpose} needs OpenCV, which {missing}. Run: pip install 'poets-edge[camera]'"
            " (on Raspberry Pi OS: sudo apt install python3-opencv, in an environment that sees system packages)"
        ) from None
    return cv2


def _check(path: Path) -> None:
    if not path.exists():
        others = ", ".join(str(found) for found in sorted(Path("/dev").glob("video*")))
        raise SourceError(f"{path}: no such camera. {f'There are: {others}' if others else 'No camera is connected'}.")
    if not os.access(path, os.R_OK | os.W_OK):
        raise SourceError(f"{path}: no permission. Run: sudo usermod -aG video $USER (and log in again)")


def _to_image(cv2: Any, pixels: Any) -> Image.Image | None:
    """Convert a BGR array from OpenCV to an image; return None if it is empty or not [height, width, 3]."""
    if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        return None
    return Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
