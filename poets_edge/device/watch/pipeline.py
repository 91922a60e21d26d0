"""Labelling frame after frame until told to stop: the part of `watch` that does the work.

    source -> [thread: decode, resize, quantize] -> [thread: infer] -> smoothed, shown, acted on

No inference waits for what Python does around it. A live source has a thread of its own before these, which empties
it. Everything kept is bounded, so memory stays flat however long it runs.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from poets_edge.core.arguments import check_fields
from poets_edge.device.classifier import Classifier, Scores, best
from poets_edge.device.watch.collect import Collector
from poets_edge.device.watch.frames import Frame, FrameSource
from poets_edge.device.watch.prefetch import Prefetch
from poets_edge.device.watch.trigger import Trigger
from poets_edge.errors import PhotoError, SourceError, UsageError
from poets_edge.photos.image import fit, read_photo
from poets_edge.progress import Reporter

UNKNOWN = "unknown"

_BLACK = 16
"""Black in video signals. A picture without a brighter pixel shows nothing."""
_RECENT = 1000
"""Frames that the latencies in a summary are about."""
_RECENT_FOR_RATE = 30
_LONG_WITHOUT_FRAME_SECONDS = 10.0
_LOOK_AT_MODEL_SECONDS = 1.0
_LONGEST_CLOSE_SECONDS = 2.0
"""A thread that is stuck in a device for longer is left behind."""


@dataclass(frozen=True)
class AnswerOptions:
    """How frames become answers.

    Attributes:
        smooth: an answer is the mean of this many frames' scores.
        threshold: below this score the answer is "unknown".
    """

    smooth: int = 5
    threshold: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.smooth < 1:
            raise UsageError(f"`smooth` must be 1 or more, not {self.smooth}.")


@dataclass(frozen=True)
class Seen:
    """One frame's answer.

    Attributes:
        frame: number, from 1; numbers of dropped frames are not used.
        name: the file's, where each frame is a file.
        label: empty where `problem` says why there is none.
        changed: the answer differs from the frame's before.
        latency: seconds from taking the frame to its answer.
        rate: photos a second, over the last 30; 0 for the first.
    """

    frame: int
    name: str
    label: str
    score: float
    problem: str
    changed: bool
    latency: float
    rate: float


@dataclass(frozen=True)
class Tally:
    """The totals of a watch.

    Attributes:
        labelled, bad, dropped: frames with an answer, without one, and left out because newer ones had come.
        seconds: from the first frame to the last.
        latencies: of the last 1,000 labelled frames, seconds.
    """

    labelled: int
    bad: int
    dropped: int
    seconds: float
    latencies: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Photos a second, over everything."""
        return self.labelled / self.seconds if self.seconds else 0.0


class Display(Protocol):
    """Where answers go."""

    def seen(self, seen: Seen) -> None:
        """One frame has been looked at."""

    def idle(self) -> None:
        """Nothing has come for a moment."""


class Smoother:
    """The mean of the last frames' scores: one odd frame does not change the answer."""

    def __init__(self, frames: int) -> None:
        self._recent: deque[Scores] = deque(maxlen=frames)

    def add(self, scores: Scores) -> Scores:
        """Take one frame's scores in, and give the mean. Both float32 [labels]."""
        self._recent.append(scores)
        mean: Scores = np.mean(np.asarray(self._recent), axis=0, dtype=np.float32)
        return mean if len(self._recent) > 1 else scores

    def forget(self) -> None:
        """Begin anew: what comes next does not follow on what was."""
        self._recent.clear()


def label_frames(
    classifier: Classifier,
    source: FrameSource,
    options: AnswerOptions,
    *,
    display: Display,
    reporter: Reporter,
    triggers: Sequence[Trigger] = (),
    collector: Collector | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Tally:
    """Label the frames of a source until it ends or `stopped`.

    Args:
        triggers: commands that labels start.
        collector: keeps frames that the model is unsure of.
        stopped: asked after every frame, and five times a second where none comes.

    Raises:
        SourceError: the source cannot be opened, or gave no frame that could be labelled.
    """
    watcher = _Watcher(classifier.labels, options, display, reporter, triggers, collector)
    frames = _numbered(source.frames())
    limit = _LONGEST_CLOSE_SECONDS
    taken = Prefetch(frames, newest_only=True, gives_up_after=limit) if source.live else None
    prepared = Prefetch(_prepare(taken or frames, classifier), newest_only=source.live, gives_up_after=limit)
    scored = Prefetch(_score(prepared, classifier), newest_only=source.live)
    model = _ModelFile(classifier.path, reporter)
    with contextlib.closing(scored):
        last = time.monotonic()
        for item in scored:
            now = time.monotonic()
            if item is not None:
                watcher.take(item)
                last = now
            else:
                display.idle()
                if now - last > _LONG_WITHOUT_FRAME_SECONDS:
                    reporter.warn(f"{source.name}: no frame for {_LONG_WITHOUT_FRAME_SECONDS:g} s")
                    watcher.interrupt()
                    last = now
            for trigger in triggers:
                trigger.look_after()
            model.look(now)
            if stopped():
                break
        else:
            watcher.check_that_something_was_seen(source.name)
    return watcher.tally(sum(stage.dropped for stage in (taken, prepared, scored) if stage))


@dataclass(frozen=True)
class _Prepared:
    """A frame as the model is fed with it: `values` as `Classifier.input_values` gives them, or None."""

    number: int
    frame: Frame
    values: npt.NDArray[Any] | None
    problem: str


@dataclass(frozen=True)
class _Scored:
    """A frame and its scores, float32 [labels], or None and why."""

    number: int
    frame: Frame
    scores: Scores | None
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
) -> Iterator[_Prepared | None]:
    with contextlib.closing(frames):
        for item in frames:
            yield None if item is None else _prepare_one(*item, classifier)


def _prepare_one(number: int, frame: Frame, classifier: Classifier) -> _Prepared:
    if frame.photo is None:
        return _Prepared(number, frame, None, frame.problem)
    try:
        pixels = fit(read_photo(frame.photo), classifier.size)
    except PhotoError as error:
        return _Prepared(number, frame, None, f"frame {number}: {error}")
    if pixels.max() <= _BLACK:
        return _Prepared(number, frame, None, f"frame {number} is black; is the lens covered?")
    return _Prepared(number, frame, classifier.input_values(pixels), "")


def _score(prepared: Prefetch[_Prepared], classifier: Classifier) -> Iterator[_Scored | None]:
    with contextlib.closing(prepared):
        for item in prepared:
            if item is None:
                yield None
            else:
                scores = None if item.values is None else classifier.score_values(item.values)
                yield _Scored(item.number, item.frame, scores, item.problem)


class _Watcher:
    """Turns scored frames into answers, one after the other."""

    def __init__(
        self,
        labels: Sequence[str],
        options: AnswerOptions,
        display: Display,
        reporter: Reporter,
        triggers: Sequence[Trigger],
        collector: Collector | None,
    ) -> None:
        self._labels = labels
        self._options = options
        self._display = display
        self._reporter = reporter
        self._triggers = triggers
        self._collector = collector
        self._smoother = Smoother(options.smooth)
        self._before: str | None = None
        self._labelled = self._bad = 0
        self._first = self._last = 0.0
        self._latencies: deque[float] = deque(maxlen=_RECENT)
        self._ends: deque[float] = deque(maxlen=_RECENT_FOR_RATE)

    def take(self, item: _Scored) -> None:
        self._first = self._first or item.frame.taken
        if item.scores is None:
            self._take_bad(item)
            return
        scores = self._smoother.add(item.scores)
        self._last = time.perf_counter()
        self._labelled += 1
        self._latencies.append(self._last - item.frame.taken)
        self._ends.append(self._last)
        answer = best(self._labels, scores, 1)[0]
        label = answer.name if answer.score >= self._options.threshold else UNKNOWN
        if self._before == "":
            self._reporter.note(f"frame {item.number}: good again")
        self._show(item, label, answer.score, "")
        for trigger in self._triggers:
            trigger.see(label, answer.score)
        if self._collector is not None and item.frame.photo is not None:
            self._collector.see(item.frame.photo, item.scores)

    def interrupt(self) -> None:
        """Forget what was seen so far: no label holds across a gap."""
        self._smoother.forget()
        for trigger in self._triggers:
            trigger.see("", 0.0)

    def check_that_something_was_seen(self, source: str) -> None:
        if not self._labelled and not self._bad:
            raise SourceError(f"{source}: there are no frames in it.")
        if not self._labelled:
            raise SourceError(f"{source}: none of its {self._bad} frames can be labelled.")

    def tally(self, dropped: int) -> Tally:
        return Tally(self._labelled, self._bad, dropped, max(0.0, self._last - self._first), tuple(self._latencies))

    def _take_bad(self, item: _Scored) -> None:
        self._bad += 1
        self.interrupt()
        if self._before != "":  # once, not for every frame that follows
            self._reporter.warn(item.problem)
        self._show(item, "", 0.0, item.problem)

    def _show(self, item: _Scored, label: str, score: float, problem: str) -> None:
        latency = time.perf_counter() - item.frame.taken
        changed = label != self._before
        self._before = label
        self._display.seen(Seen(item.number, item.frame.name, label, score, problem, changed, latency, self._rate()))

    def _rate(self) -> float:
        spent = self._ends[-1] - self._ends[0] if self._ends else 0.0
        return (len(self._ends) - 1) / spent if spent else 0.0


class _ModelFile:
    """Notices that a model was replaced while its old content is at work."""

    def __init__(self, path: Path, reporter: Reporter) -> None:
        self._path = path
        self._reporter = reporter
        self._state = self._read_state()
        self._next_look = 0.0

    def look(self, now: float) -> None:
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_AT_MODEL_SECONDS
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
