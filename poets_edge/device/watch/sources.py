"""Open cameras, files and folders as sources of frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from poets_edge.core.credentials import without_login
from poets_edge.device.watch.cameras.device import CameraDevice, camera_frames
from poets_edge.device.watch.cameras.opencv import OpenCvCamera, video_frames
from poets_edge.device.watch.cameras.picamera import PiCamera, find_picamera2, picamera2_problem
from poets_edge.device.watch.frames import Frame, FrameSource, folder_source, mjpeg_source, standard_input
from poets_edge.errors import RuntimeMissingError, SourceError
from poets_edge.photos.address import is_address
from poets_edge.photos.formats import PHOTO_SUFFIXES

_MJPEG_SUFFIXES = frozenset({".mjpeg", ".mjpg"})


def open_source(source: Path) -> FrameSource:
    """Open a source of frames: a folder of images, an image, a video, an MJPEG file, or MJPEG on standard input (`-`).

    Raises:
        SourceError: the file does not exist, or standard input is closed.
        DatasetError: the folder cannot be read.
    """
    if str(source) == "-":
        return standard_input()
    if not source.exists():
        raise SourceError(f"{source}: no such file or folder.")
    if source.is_dir():
        return folder_source(source)
    if source.suffix.lower() in PHOTO_SUFFIXES:
        return FrameSource(str(source), False, lambda: iter([Frame(source.name, source)]), still=True)
    if source.suffix.lower() in _MJPEG_SUFFIXES:
        return mjpeg_source(source)
    return FrameSource(str(source), False, lambda: video_frames(source))


def open_camera(camera: str) -> FrameSource:
    """Return a camera as a source of frames, read with picamera2 if it detects the camera, otherwise with OpenCV.

    Args:
        camera: number of a camera, or path of a video device.

    Raises:
        SourceError: `camera` is a URL.
    """
    if is_address(camera):
        raise SourceError(
            f"camera {without_login(camera)}: an address, and cameras are numbers or devices of this machine. Read the"
            " stream with another program, and its frames with `source` -."
        )
    name = f"camera {camera}"

    def frames() -> Iterator[Frame | None]:
        module = find_picamera2(int(camera)) if camera.isdecimal() else None

        def open_device() -> CameraDevice:
            if module is not None:
                return PiCamera(module, int(camera))
            try:
                return OpenCvCamera(camera)
            except (SourceError, RuntimeMissingError) as error:
                raise type(error)(" ".join(filter(None, (str(error), picamera2_problem())))) from None

        return camera_frames(name, open_device)

    return FrameSource(name, True, frames)
