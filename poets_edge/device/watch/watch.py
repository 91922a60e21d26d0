"""`watch`: labels of a camera's, a video's, a folder's or a stream's frames as they arrive."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from poets_edge.core.arguments import check_fields
from poets_edge.device.classifier import Classifier
from poets_edge.device.watch.collect import CollectOptions, Collector
from poets_edge.device.watch.frames import FrameSource
from poets_edge.device.watch.pipeline import AnswerOptions, Display, Tally, label_frames
from poets_edge.device.watch.sources import open_camera, open_source
from poets_edge.device.watch.threads import fastest_threads
from poets_edge.device.watch.trigger import Command, Trigger
from poets_edge.errors import UsageError
from poets_edge.progress import Reporter, Silent


@dataclass(frozen=True, kw_only=True)
class TriggerOptions:
    """Start `command` each time that `label` has been the answer for `hold` frames in a row."""

    label: str
    command: Command
    hold: int = 5

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """Options of `watch`.

    Attributes:
        model: a `.tflite` file.
        source: a video, a folder of frames, a picture, MJPEG in a file or (`-`) on standard input.
        camera: a camera's number, or the path of a video device; the first one where there is no `source`.
        labels: labels file in place of the model's own.
        smooth: an answer is the mean of this many frames' scores; by default of 5, and of 1 where the frames are
            pictures of a folder, which have nothing to do with each other.
        threshold: below this score the answer is "unknown".
        keep_all: leave out no frame of a camera or pipe; answers may come late.
        threads: CPU threads for one inference; None tries which number is fastest.
        triggers: commands that labels start.
        collect: keep frames that the model is unsure of; None keeps none.
    """

    model: Path
    source: Path | None = None
    camera: str | None = None
    labels: Path | None = None
    smooth: int | None = None
    threshold: float = 0.0
    keep_all: bool = False
    threads: int | None = None
    triggers: tuple[TriggerOptions, ...] = ()
    collect: CollectOptions | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.camera is not None and self.source is not None:
            raise UsageError("`camera` and `source` are two sources; give one.")
        if self.smooth is not None:
            AnswerOptions(smooth=self.smooth)  # for its checks


def watch(
    options: WatchOptions,
    *,
    display: Callable[[FrameSource], Display],
    reporter: Reporter | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Tally:
    """Label frames until the source ends or `stopped`; a camera that goes away is waited for.

    Args:
        display: makes, for the source that was opened, what is given every answer.
        stopped: asked after every frame, and five times a second where none comes.

    Raises:
        SourceError: the source cannot be opened, or gave no frame that could be labelled.
        ModelError, RuntimeMissingError: the model cannot be run.
        UsageError: an option makes no sense, or a trigger waits for a label that the model does not know.
    """
    reporter = reporter or Silent()
    triggers = [Trigger(wanted.label, wanted.command, wanted.hold, reporter) for wanted in options.triggers]
    frames = open_source(options.source) if options.source is not None else open_camera(options.camera or "0")
    smooth = options.smooth or (1 if frames.still else AnswerOptions.smooth)
    answers = AnswerOptions(smooth=smooth, threshold=options.threshold)
    if options.keep_all:
        frames = replace(frames, live=False)
    threads = fastest_threads(options.model, options.labels) if options.threads is None else options.threads
    classifier = Classifier(options.model, labels=options.labels, threads=threads)
    classifier.check_threshold(options.threshold)
    for wanted in options.triggers:
        if wanted.label not in classifier.labels:
            raise UsageError(f"`on_labels` {wanted.label}: the model knows {', '.join(classifier.labels)}.")
    collector = Collector(options.collect, classifier.labels, reporter) if options.collect else None
    reporter.note(f"watching {frames.name}; press Ctrl-C to stop")
    ended = False
    with ExitStack() as stack:
        for trigger in triggers:
            stack.callback(trigger.close, lambda: stopped() or not ended)
        tally = label_frames(
            classifier,
            frames,
            answers,
            display=display(frames),
            reporter=reporter,
            triggers=triggers,
            collector=collector,
            stopped=stopped,
        )
        ended = True
    if collector and options.collect:
        reporter.note(f"kept {collector.kept} frames in {options.collect.folder}")
    return tally
