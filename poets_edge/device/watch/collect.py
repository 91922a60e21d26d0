"""Collect frames with low scores, to be labeled by a person and used for training.

Frames are saved in one folder per label, and frames unlike the training photos in a separate folder. The number and
the size of frames are limited. A scene is not saved twice in a row, so a camera in an empty room saves one frame.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from poets_edge.core.arguments import check_fields
from poets_edge.core.files import check_writable, write_bytes
from poets_edge.core.temporary import remove_dead_matching, temporary_pattern
from poets_edge.device.scorer import Scores
from poets_edge.device.watch.snapshot import snapshot_jpeg
from poets_edge.errors import OutputError, PhotoError, UsageError
from poets_edge.photos.image import PhotoSource, read_photo
from poets_edge.progress import Reporter

_PREFIX = "collected"
FRAME_NAME = re.compile(rf"{_PREFIX}-\d{{8}}-\d{{6}}-\d{{5,}}\.jpg")
"""Pattern for the file names of saved frames, duplicated in `poets_edge.bench.remote.on_device.saved_frames`."""
_SIDE = 16
_SAME_SCENE = 6.0
"""Mean absolute difference of gray values, 0 to 255, between two frames reduced to 16 x 16 pixels, below which both
show the same scene. Camera noise causes differences of 1 to 2; a person who enters the scene causes 10 or more."""
_MAX_NAME = 80
_UNKNOWN, _UNKNOWN_ALTERNATIVE = "unknown", "unknown (unlike the training photos)"
"""Name of the folder for frames unlike the training photos, and the name used instead if a class is named "unknown"."""


@dataclass(frozen=True, kw_only=True)
class CollectOptions:
    """Options for collecting frames.

    Attributes:
        folder: folder in which frames are saved.
        below: a frame is saved if all its scores are below this value, 0 to 1, or if it is unlike the training photos.
        most: maximum number of frames in the folder.
    """

    folder: Path
    below: float = 0.6
    most: int = 500

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0 < self.below <= 1:
            raise UsageError(f"`below` must lie between 0 and 1, not {self.below:g}.")
        if self.most < 1:
            raise UsageError(f"`most` must be 1 or more, not {self.most}.")


class Collector:
    """Object that saves frames with low scores. If a frame cannot be written, it warns once and saves no more frames.

    Attributes:
        kept: number of frames that were saved.
    """

    def __init__(self, options: CollectOptions, labels: Sequence[str], reporter: Reporter) -> None:
        """Count the existing frames in the folder. Raises OutputError if the folder is not writable."""
        self.folder = options.folder
        check_writable(options.folder / _PREFIX)
        self._options = options
        names = [class_folder(label) for label in labels]
        self._folders = [options.folder / name for name in names]
        self._unknown = options.folder / (_UNKNOWN if _UNKNOWN not in names else _UNKNOWN_ALTERNATIVE)
        self._reporter = reporter
        for folder in (*self._folders, self._unknown):  # incomplete frames of an earlier watch that was killed
            remove_dead_matching(folder, temporary_pattern(FRAME_NAME.pattern))
        self._existing = sum(1 for _ in options.folder.glob(f"*/{_PREFIX}-*.jpg"))
        self._scene: npt.NDArray[np.float32] | None = None
        self._full = False
        self.kept = 0

    def add(self, photo: PhotoSource, scores: Scores, *, unknown: bool = False) -> None:
        """Save a frame if it is uncertain or unknown, unless it shows the same scene as the last saved frame.

        Args:
            scores: float32 [labels]; a frame is uncertain if all scores are below `CollectOptions.below`.
            unknown: whether the frame is unlike the training photos.
        """
        best = int(scores.argmax())
        if self._full or (scores[best] >= self._options.below and not unknown):
            return
        if self._existing + self.kept >= self._options.most:
            self._stop(f"{self._options.folder} holds {self._existing + self.kept} collected frames: no more are saved")
            return
        try:
            image = read_photo(photo)
            scene = _scene(image)
            if self._scene is not None and float(np.abs(scene - self._scene).mean()) < _SAME_SCENE:
                return
            self._scene = scene
            write_bytes(self._name(self._unknown if unknown else self._folders[best]), snapshot_jpeg(image))
            self.kept += 1
        except PhotoError:  # the file was deleted after its inference
            return
        except OutputError as error:
            self._stop(f"no more frames are saved: {error}")

    def _name(self, folder: Path) -> Path:
        stamp = f"{_PREFIX}-{time.strftime('%Y%m%d-%H%M%S')}"
        number = self._existing + self.kept
        while (path := folder / f"{stamp}-{number:05d}.jpg").exists():
            number += 1
        return path

    def _stop(self, why: str) -> None:
        self._full = True
        self._reporter.warn(why)


def _scene(image: Image.Image) -> npt.NDArray[np.float32]:
    """Convert an image to gray, float32 [16, 16], with mean 0, so that a scene looks the same in brighter light."""
    small = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    gray = np.asarray(small, np.float32)
    return np.asarray(gray - gray.mean(), np.float32)


def class_folder(label: str) -> str:
    """Return a folder name for a label; path separators are replaced, because labels are untrusted."""
    name = re.sub(r'[\x00-\x1f/\\:*?"<>|]', "_", label).strip(" .")
    return name[:_MAX_NAME] or "unlabelled"
