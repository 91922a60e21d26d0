"""Label consecutive frames in a pipeline of threads.

    source -> [thread: decode, resize, quantize] -> [thread: infer] -> smooth, yield, start commands

Decoding and inference run at the same time. A live source has an additional thread, which reads its frames as they
arrive. All queues are bounded, so that memory use does not depend on the running time.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from poets_edge.device.classifier import Classifier
from poets_edge.device.scorer import ModelOutput, best
from poets_edge.device.watch.collect import Collector
from poets_edge.device.watch.frames import Frame, FrameSource
from poets_edge.device.watch.mqtt import MqttPublisher
from poets_edge.device.watch.prediction import (
    FRAMES_FOR_RATE,
    UNKNOWN,
    Display,
    LabelingOptions,
    Prediction,
    PredictionStream,
    Smoother,
    WatchSummary,
)
from poets_edge.device.watch.prefetch import Prefetch
from poets_edge.device.watch.trigger import Trigger
from poets_edge.errors import PhotoError, SourceError
from poets_edge.photos.image import read_photo
from poets_edge.progress import Reporter

_BLACK = 16
"""Black level of video signals, on a scale of 0 to 255. An image without a brighter pixel is regarded as black."""
_RECENT = 1000
"""Maximum number of latencies in a summary. The latencies of the most recent frames are kept."""
_NO_FRAME_SECONDS = 10.0
_MODEL_CHECK_SECONDS = 1.0
_MAX_CLOSE_SECONDS = 2.0
"""Maximum time, in seconds, to wait for a thread to end. A thread that a device blocks for longer is abandoned."""


def predict_frames(
    classifier: Classifier,
    source: FrameSource,
    options: LabelingOptions,
    *,
    reporter: Reporter,
    triggers: Sequence[Trigger] = (),
    collector: Collector | None = None,
    publisher: MqttPublisher | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> PredictionStream:
    """Label the frames of a source until it ends or `stopped` returns True.

    Args:
        triggers: commands that are started when frames have certain labels.
        collector: saves frames with low scores.
        publisher: publishes the predictions.
        stopped: called after every frame, and five times a second while no frame is available.

    Yields:
        A prediction for each frame, and None while no frame is available.

    Returns:
        Statistics on the run, such as the number of labeled frames.

    Raises:
        SourceError: the source cannot be opened, or none of its frames can be labeled.
    """
    watcher = _Watcher(classifier.labels, options, reporter, triggers, collector, publisher)
    frames = _numbered(source.frames())
    limit = _MAX_CLOSE_SECONDS
    taken = Prefetch(frames, newest_only=True, gives_up_after=limit) if source.live else None
    prepared = Prefetch(_prepare(taken or frames, classifier), newest_only=source.live, gives_up_after=limit)
    scored = Prefetch(_score(prepared, classifier), newest_only=source.live)
    model = _ModelMonitor(classifier.path, reporter)
    with contextlib.closing(scored):
        last = time.monotonic()
        for item in scored:
            now = time.monotonic()
            if item is not None:
                prediction = watcher.predict(item)
                yield prediction
                watcher.act(item, prediction)
                last = now
            else:
                yield None
                if now - last > _NO_FRAME_SECONDS:
                    problem = f"{source.name}: no frame for {_NO_FRAME_SECONDS:g} s"
                    reporter.warn(problem)
                    watcher.interrupt()
                    if publisher:
                        publisher.publish(label="", problem=problem)
                    last = now
            for trigger in triggers:
                trigger.poll()
            if publisher:
                publisher.poll()
            model.check(now)
            if stopped():
                break
        else:
            watcher.check_labeled(source.name)
    return watcher.summary(sum(stage.dropped for stage in (taken, prepared, scored) if stage))


def show_predictions(predictions: PredictionStream, display: Display) -> WatchSummary:
    """Pass each prediction to a display as soon as it is made; return statistics on the run.

    Args:
        predictions: generator of predictions, as returned by `predict_frames`.
        display: object that shows the predictions.
    """
    with contextlib.closing(predictions):
        while True:
            try:
                prediction = next(predictions)
            except StopIteration as end:
                summary: WatchSummary = end.value
                return summary
            if prediction is None:
                display.idle()
            else:
                display.show(prediction)


@dataclass(frozen=True)
class _PreparedFrame:
    """A frame and its model input; if the frame cannot be labeled, `values` is None and `problem` is the reason."""

    number: int
    frame: Frame
    values: npt.NDArray[Any] | None
    problem: str


@dataclass(frozen=True)
class _ScoredFrame:
    """A frame and the model's output; if the frame cannot be labeled, `output` is None and `problem` is the reason."""

    number: int
    frame: Frame
    output: ModelOutput | None
    problem: str


def _numbered(frames: Iterator[Frame | None]) -> Generator[tuple[int, Frame] | None]:
    number = 0
    try:
        for frame in frames:
            if frame is None:
                yield None
            else:
                number += 1
                yield number, frame
    finally:
        close = getattr(frames, "close", lambda: None)
        close()


def _prepare(
    frames: Prefetch[tuple[int, Frame]] | Generator[tuple[int, Frame] | None], classifier: Classifier
) -> Iterator[_PreparedFrame | None]:
    with contextlib.closing(frames):
        for item in frames:
            yield None if item is None else _prepare_one(*item, classifier)


def _prepare_one(number: int, frame: Frame, classifier: Classifier) -> _PreparedFrame:
    if frame.photo is None:
        return _PreparedFrame(number, frame, None, frame.problem)
    try:
        pixels = classifier.resize(read_photo(frame.photo))
    except PhotoError as error:
        return _PreparedFrame(number, frame, None, f"frame {number}: {error}")
    if pixels.max() <= _BLACK:
        return _PreparedFrame(number, frame, None, f"frame {number} is black; is the lens covered?")
    return _PreparedFrame(number, frame, classifier.input_values(pixels), "")


def _score(prepared: Prefetch[_PreparedFrame], classifier: Classifier) -> Iterator[_ScoredFrame | None]:
    with contextlib.closing(prepared):
        for item in prepared:
            if item is None:
                yield None
            else:
                output = None if item.values is None else classifier.predict_values(item.values)
                yield _ScoredFrame(item.number, item.frame, output, item.problem)


class _Watcher:
    """Object that converts scored frames to predictions, and passes them to triggers, a collector and a publisher."""

    def __init__(
        self,
        labels: Sequence[str],
        options: LabelingOptions,
        reporter: Reporter,
        triggers: Sequence[Trigger],
        collector: Collector | None,
        publisher: MqttPublisher | None,
    ) -> None:
        self._labels = labels
        self._options = options
        self._reporter = reporter
        self._triggers = triggers
        self._collector = collector
        self._publisher = publisher
        self._smoother = Smoother(options.smooth)
        self._before: str | None = None
        self._labeled = self._bad = 0
        self._first = self._last = 0.0
        self._latencies: deque[float] = deque(maxlen=_RECENT)
        self._ends: deque[float] = deque(maxlen=FRAMES_FOR_RATE)

    def predict(self, item: _ScoredFrame) -> Prediction:
        """Return the prediction for a frame, smoothed over the last frames."""
        self._first = self._first or item.frame.taken
        if item.output is None:
            return self._predict_nothing(item)
        output = self._smoother.add(item.output)
        self._last = time.perf_counter()
        self._labeled += 1
        self._latencies.append(self._last - item.frame.taken)
        self._ends.append(self._last)
        answer = best(self._labels, output.scores, 1)[0]
        if self._before == "":
            self._reporter.note(f"frame {item.number}: good again")
        unknown = answer.score < self._options.threshold or self._is_unlike(output)
        label = UNKNOWN if unknown else answer.name
        return self._prediction(item, label, answer.score, unknown=unknown, distance=output.distance)

    def _is_unlike(self, output: ModelOutput) -> bool:
        return output.unknown and not self._options.accept_all

    def act(self, item: _ScoredFrame, prediction: Prediction) -> None:
        """Pass the prediction to the publisher and the triggers, and the frame to the collector."""
        if self._publisher is not None:
            self._publisher.publish(
                label=prediction.label,
                score=prediction.score,
                unknown=prediction.unknown,
                distance=prediction.distance,
                problem=prediction.problem,
                photo=item.frame.photo,
            )
        if item.output is None:
            return
        for trigger in self._triggers:  # an unknown frame starts none, even if a class is named "unknown"
            trigger.observe("" if prediction.unknown else prediction.label, prediction.score)
        if self._collector is not None and item.frame.photo is not None:
            self._collector.add(item.frame.photo, item.output.scores, unknown=self._is_unlike(item.output))

    def interrupt(self) -> None:
        """Reset smoothing and triggers at a gap in the frames, so that neither spans the gap."""
        self._smoother.reset()
        for trigger in self._triggers:
            trigger.observe("", 0.0)

    def check_labeled(self, source: str) -> None:
        """Raise SourceError, with the name of the source, if no frame was labeled."""
        if not self._labeled and not self._bad:
            raise SourceError(f"{source}: there are no frames in it.")
        if not self._labeled:
            raise SourceError(f"{source}: none of its {self._bad} frames can be labeled.")

    def summary(self, dropped: int) -> WatchSummary:
        return WatchSummary(
            labeled=self._labeled,
            bad=self._bad,
            dropped=dropped,
            seconds=max(0.0, self._last - self._first),
            latencies=tuple(self._latencies),
        )

    def _predict_nothing(self, item: _ScoredFrame) -> Prediction:
        self._bad += 1
        self.interrupt()
        if self._before != "":  # once, not for every frame that follows
            self._reporter.warn(item.problem)
        return self._prediction(item, "", 0.0)

    def _prediction(
        self, item: _ScoredFrame, label: str, score: float, *, unknown: bool = False, distance: float | None = None
    ) -> Prediction:
        changed = label != self._before
        self._before = label
        return Prediction(
            frame=item.number,
            name=item.frame.name,
            label=label,
            score=score,
            problem=item.problem,
            changed=changed,
            latency=time.perf_counter() - item.frame.taken,
            rate=self._rate(),
            unknown=unknown,
            distance=distance,
        )

    def _rate(self) -> float:
        spent = self._ends[-1] - self._ends[0] if self._ends else 0.0
        return (len(self._ends) - 1) / spent if spent else 0.0


class _ModelMonitor:
    """Monitor that warns when a model's file is changed or deleted while the loaded model is in use."""

    def __init__(self, path: Path, reporter: Reporter) -> None:
        self._path = path
        self._reporter = reporter
        self._state = self._read_state()
        self._next_check = 0.0

    def check(self, now: float) -> None:
        if now < self._next_check:
            return
        self._next_check = now + _MODEL_CHECK_SECONDS
        state = self._read_state()
        if state != self._state:
            what = "has changed" if state else "is gone"
            self._reporter.warn(f"{self._path} {what}; the model loaded at the start stays in use until a restart")
            self._state = state

    def _read_state(self) -> tuple[int, ...]:
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return status.st_mtime_ns, status.st_size, status.st_ino
