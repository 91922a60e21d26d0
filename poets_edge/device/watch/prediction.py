"""Predictions for frames, their smoothing, and statistics on a run of `watch`."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from poets_edge.core.arguments import check_fields
from poets_edge.device.scorer import ModelOutput, Scores, check_threshold
from poets_edge.errors import UsageError

UNKNOWN = "unknown"
FRAMES_FOR_RATE = 30


@dataclass(frozen=True)
class LabelingOptions:
    """Options for converting scores to labels.

    Attributes:
        smooth: number of frames whose scores are averaged.
        threshold: score, 0 to 1, below which the label is "unknown".
        accept_all: whether to ignore the unknown-photo detector, so that frames unlike the training photos are assigned
            a class.
    """

    smooth: int = 5
    threshold: float = 0.0
    accept_all: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if self.smooth < 1:
            raise UsageError(f"`smooth` must be 1 or more, not {self.smooth}.")
        check_threshold(self.threshold)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The label of one frame.

    Attributes:
        frame: number of the frame, from 1; numbers of dropped frames are skipped.
        name: name of the frame's file; empty for a camera or a video.
        label: the most probable class or "unknown"; empty if the frame could not be labeled.
        score: score of the most probable class, 0 to 1.
        unknown: whether the label is "unknown": the frame is unlike the training photos, or its score is below the
            threshold.
        distance: distance from the training photos, averaged over frames like the scores; a frame with a distance above
            1 is unlike them. None if the model has no unknown-photo detector, or the frame could not be labeled.
        problem: reason why the frame could not be labeled; empty if it was labeled.
        changed: whether the label differs from that of the previous frame.
        latency: time from the receipt of the frame to its label, seconds.
        rate: labeled frames per second, over the last 30 labeled frames; 0 for the first frame.
    """

    frame: int
    name: str
    label: str
    score: float
    problem: str
    changed: bool
    latency: float
    rate: float
    unknown: bool = False
    distance: float | None = None


@dataclass(frozen=True, kw_only=True)
class WatchSummary:
    """Statistics on one run of `watch`.

    Attributes:
        labeled: number of frames that were labeled.
        bad: number of frames that could not be labeled.
        dropped: number of frames that were skipped because newer frames had arrived.
        seconds: time from the receipt of the first frame to the last label, in seconds.
        latencies: latencies of the last 1,000 labeled frames, seconds.
    """

    labeled: int
    bad: int
    dropped: int
    seconds: float
    latencies: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Labeled frames per second; 0 if no frame was labeled."""
        return self.labeled / self.seconds if self.seconds else 0.0


class Display(Protocol):
    """Protocol for receivers of predictions, such as a console display."""

    def show(self, prediction: Prediction) -> None:
        """Receive the prediction for one frame."""

    def idle(self) -> None:
        """Do work that is unrelated to a new prediction. This is called repeatedly while no frame is available."""


class Smoother:
    """Moving average of scores and distances, so that a single unusual frame does not change the label."""

    def __init__(self, frames: int) -> None:
        self._recent: deque[ModelOutput] = deque(maxlen=frames)

    def add(self, output: ModelOutput) -> ModelOutput:
        """Add the model's output for a frame, and return the mean of the outputs for the last frames."""
        self._recent.append(output)
        if len(self._recent) == 1:
            return output
        scores: Scores = np.mean([one.scores for one in self._recent], axis=0, dtype=np.float32)
        distances = [one.distance for one in self._recent if one.distance is not None]
        return ModelOutput(scores, float(np.mean(distances)) if distances else None)

    def reset(self) -> None:
        """Discard the scores of all previous frames. Call this at a gap in the sequence of frames."""
        self._recent.clear()


PredictionStream: TypeAlias = Generator["Prediction | None", None, WatchSummary]
"""Generator that yields predictions, and None while no frame is available; returns a WatchSummary."""
