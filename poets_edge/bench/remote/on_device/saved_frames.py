"""List and read the camera frames that `watch --collect` saved on a device.

This module runs on the device with the standard library only; see `agent.py`.
"""

from __future__ import annotations

import os
import re

FRAME_NAME = re.compile(r"collected-\d{8}-\d{6}-\d{5,}\.jpg")
"""Pattern for the names of the files that `watch --collect` writes."""
MOST_FRAMES = 10_000
"""Maximum number of frames that `list_frames` returns."""
_LARGEST_FRAME = 8 << 20


def list_frames(folder: str) -> dict[str, int]:
    """Return the sizes in bytes of the first 10,000 frames in a folder, by name (`<label>/<file>`), sorted by name."""
    sizes = {}
    for entry in os.scandir(folder):
        for file in os.scandir(entry.path) if entry.is_dir(follow_symlinks=False) else ():
            if FRAME_NAME.fullmatch(file.name) and file.is_file(follow_symlinks=False):
                sizes[f"{entry.name}/{file.name}"] = file.stat(follow_symlinks=False).st_size
    return {name: sizes[name] for name in sorted(sizes)[:MOST_FRAMES]}


def read_frame(path: str) -> bytes:
    """Return the first 8 MB of the image file of a saved frame.

    Raises:
        OSError: the file name is not one that `watch --collect` writes, or the file cannot be read.
    """
    if not FRAME_NAME.fullmatch(os.path.basename(path)):
        raise OSError(0, "not a frame that this program has saved", path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_LARGEST_FRAME)
