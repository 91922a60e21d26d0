"""Label frames from a camera, a video, a folder or a stream: `watch` and its options."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from poets_edge.core.arguments import StrPath, check_fields, given
from poets_edge.device.classifier import Classifier
from poets_edge.device.scorer import check_threshold
from poets_edge.device.watch.collect import CollectOptions, Collector
from poets_edge.device.watch.frames import FrameSource
from poets_edge.device.watch.mqtt import MqttPublisher
from poets_edge.device.watch.mqtt_options import MqttOptions
from poets_edge.device.watch.pipeline import predict_frames, show_predictions
from poets_edge.device.watch.prediction import (
    UNKNOWN,
    Display,
    LabelingOptions,
    Prediction,
    PredictionStream,
    WatchSummary,
)
from poets_edge.device.watch.sources import open_camera, open_source
from poets_edge.device.watch.threads import fastest_threads
from poets_edge.device.watch.trigger import Command, Trigger
from poets_edge.errors import UsageError
from poets_edge.progress import Reporter, Silent
from poets_edge.tflite.model_file import ModelFile


@dataclass(frozen=True, kw_only=True)
class TriggerOptions:
    """Options of a trigger, which starts `command` whenever `hold` consecutive frames have the label `label`."""

    label: str
    command: Command
    hold: int = 5

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """Options of `watch`.

    Attributes:
        model: path of a `.tflite` file, or a classifier.
        source: a video, a folder of images, an image, an MJPEG file, or `-` for MJPEG from standard input.
        camera: number of a camera, or path of a video device; by default camera 0 if there is no `source`.
        labels: path of a labels file for a model without labels, or of a file that translates the model's labels.
        input_range: input values for the pixel values 0 and 255, such as "-1:1", if the model does not specify them.
        smooth: number of frames whose scores are averaged; by default 5, or 1 for the images of a folder, which are
            independent of each other.
        threshold: score, 0 to 1, below which the label is "unknown".
        accept_all: whether to ignore the unknown-photo detector, so that the label depends only on the scores.
        keep_all: whether to label every frame from a camera or pipe, even if the labels are then delayed.
        threads: CPU threads for one inference; by default the fastest number, found by measurement.
        triggers: commands that are started when frames have certain labels.
        collect: options for saving frames with low scores; by default, no frames are saved.
        mqtt: options for publishing predictions to an MQTT broker; by default, nothing is published.
    """

    model: Path | ModelFile | Classifier
    source: Path | None = None
    camera: str | int | None = None
    labels: Path | None = None
    input_range: str | None = None
    smooth: int | None = None
    threshold: float = 0.0
    accept_all: bool = False
    keep_all: bool = False
    threads: int | None = None
    triggers: tuple[TriggerOptions, ...] = ()
    collect: CollectOptions | None = None
    mqtt: MqttOptions | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.camera is not None and self.source is not None:
            raise UsageError("`camera` and `source` are two sources; give one.")
        if isinstance(self.model, Classifier) and (self.labels, self.input_range, self.threads) != (None, None, None):
            raise UsageError(
                "`labels`, `input_range` and `threads` are those of the `Classifier`; do not give them again."
            )
        if self.smooth is not None:
            LabelingOptions(smooth=self.smooth)  # checks the value
        check_threshold(self.threshold)


def watch(
    model: StrPath | Classifier | WatchOptions,
    source: StrPath | None = None,
    *,
    camera: int | str | None = None,
    smooth: int | None = None,
    threshold: float | None = None,
    accept_all: bool | None = None,
    keep_all: bool | None = None,
    reporter: Reporter | None = None,
) -> Iterator[Prediction]:
    """Label the frames from a camera, a video, a folder or a stream as they arrive.

        for prediction in watch("retrained_graph_int8.tflite", camera=0):
            print(prediction.label, prediction.score)

    The source is released when it ends, when the loop ends, or when the iterator's `close` is called. While a camera is
    unplugged, the iterator waits for it.

    Args:
        model: path of a `.tflite` file, or a classifier; or a `WatchOptions`, whose fields other arguments override.
        source: a video, a folder of images, an image, an MJPEG file, or "-" for MJPEG from standard input.
        camera: number of a camera, or path of a video device; by default camera 0 if there is no `source`.
        smooth: number of frames whose scores are averaged; by default 5, or 1 for the images of a folder.
        threshold: score, 0 to 1, below which the label is "unknown".
        accept_all: whether to ignore the unknown-photo detector, so that the label depends only on the scores.
        keep_all: whether to label every frame from a camera or pipe, even if the labels are then delayed.
        reporter: receives warnings.

    Returns:
        Iterator of predictions, one per frame. If a frame cannot be labeled, `label` is empty and `problem` contains
        the reason.

    Raises:
        SourceError: the source cannot be opened, or (in the loop) none of its frames can be labeled.
        ModelError, RuntimeMissingError: the model cannot be run.
        UsageError: an argument is out of range, or the label of a trigger is not among the model's labels.
    """
    changes = given(
        source=source, camera=camera, smooth=smooth, threshold=threshold, accept_all=accept_all, keep_all=keep_all
    )
    options = (
        replace(model, **changes) if isinstance(model, WatchOptions) else WatchOptions(**{"model": model, **changes})
    )
    _, predictions = _open(options, reporter or Silent())
    return _without_pauses(predictions)


def run_watch(
    options: WatchOptions,
    *,
    display: Callable[[FrameSource], Display],
    reporter: Reporter | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> WatchSummary:
    """Label frames until the source ends or `stopped` returns True, and show each prediction.

    Args:
        display: function that is called with the opened source and returns the display of its predictions.
        stopped: called after every frame, and five times a second while no frame is available.

    Raises:
        SourceError, ModelError, RuntimeMissingError, UsageError: as raised by `watch`.
    """
    source, predictions = _open(options, reporter or Silent(), stopped)
    return show_predictions(predictions, display(source))


def _open(
    options: WatchOptions, reporter: Reporter, stopped: Callable[[], bool] = lambda: False
) -> tuple[FrameSource, PredictionStream]:
    """Open the source and the model; return the source and a generator of predictions for its frames."""
    triggers = [Trigger(wanted.label, wanted.command, wanted.hold, reporter) for wanted in options.triggers]
    camera = "0" if options.camera is None else str(options.camera)
    source = open_source(options.source) if options.source is not None else open_camera(camera)
    smooth = options.smooth or (1 if source.still else LabelingOptions.smooth)
    if options.keep_all:
        source = replace(source, live=False)
    classifier = _open_classifier(options)
    for remark in classifier.remarks:
        reporter.note(remark)
    classifier.check_threshold(options.threshold)
    for wanted in options.triggers:
        if wanted.label not in classifier.labels:
            raise UsageError(f"`on_labels` {wanted.label}: the model knows {', '.join(classifier.labels)}.")
    collector = Collector(options.collect, classifier.labels, reporter) if options.collect else None
    publisher = _make_publisher(options.mqtt, classifier, reporter) if options.mqtt else None
    reporter.note(f"watching {source.name}; press Ctrl-C to stop")
    answers = LabelingOptions(smooth=smooth, threshold=options.threshold, accept_all=options.accept_all)
    return source, _predictions(classifier, source, answers, reporter, triggers, collector, publisher, stopped)


def _make_publisher(options: MqttOptions, classifier: Classifier, reporter: Reporter) -> MqttPublisher:
    labels = [*classifier.labels, *({UNKNOWN} - set(classifier.labels))]
    return MqttPublisher(options, labels=labels, model=classifier.path.name, reporter=reporter)


def _open_classifier(options: WatchOptions) -> Classifier:
    if isinstance(options.model, Classifier):
        return options.model
    threads = fastest_threads(options.model) if options.threads is None else options.threads
    return Classifier(options.model, labels=options.labels, input_range=options.input_range, threads=threads)


def _predictions(
    classifier: Classifier,
    source: FrameSource,
    answers: LabelingOptions,
    reporter: Reporter,
    triggers: list[Trigger],
    collector: Collector | None,
    publisher: MqttPublisher | None,
    stopped: Callable[[], bool],
) -> PredictionStream:
    """Yield a prediction per frame; then wait for the triggers' commands, and report how many frames were saved."""
    ended = False
    with contextlib.ExitStack() as stack:
        if publisher:
            publisher.start()
            stack.callback(publisher.close)
        for trigger in triggers:
            stack.callback(trigger.close, lambda: stopped() or not ended)
        summary = yield from predict_frames(
            classifier,
            source,
            answers,
            reporter=reporter,
            triggers=triggers,
            collector=collector,
            publisher=publisher,
            stopped=stopped,
        )
        ended = True
    if collector:
        reporter.note(f"saved {collector.kept} frames in {collector.folder}")
    return summary


def _without_pauses(predictions: PredictionStream) -> Iterator[Prediction]:
    with contextlib.closing(predictions):
        for prediction in predictions:
            if prediction is not None:
                yield prediction
