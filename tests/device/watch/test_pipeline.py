"""Tests of the pipeline of `watch` with a simulated classifier, publisher and collector."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.scorer import ModelOutput
from poets_edge.device.watch import pipeline, threads, watch
from poets_edge.device.watch.collect import CollectOptions
from poets_edge.device.watch.frames import Frame, FrameSource
from poets_edge.device.watch.mqtt_options import MqttOptions
from poets_edge.device.watch.pipeline import _ModelMonitor, predict_frames, show_predictions
from poets_edge.device.watch.prediction import LabelingOptions, Prediction, WatchSummary
from poets_edge.device.watch.prefetch import Prefetch
from poets_edge.device.watch.trigger import Command
from poets_edge.device.watch.watch import TriggerOptions, WatchOptions
from poets_edge.errors import SourceError, UsageError

SCORES = {
    20: ([0.7, 0.2, 0.1], 0.5), 60: ([0.1, 0.3, 0.6], 0.5), 100: ([0.3, 0.36, 0.34], 0.9), 140: ([0.1, 0.8, 0.1], 1.5),
}  # fmt: skip
"""Scores and distance that the simulated classifier returns for an image, by the brightness of the image."""


def image(brightness: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (brightness, 0, 0)).save(file, "PNG")
    return file.getvalue()


class FakeClassifier:
    labels = ("a", "b", "c")
    path = Path("no such model")
    remarks = ("a remark",)

    def resize(self, picture: Image.Image) -> Any:
        return np.asarray(picture)

    def input_values(self, pixels: Any) -> Any:
        return pixels[0, 0, 0]

    def predict_values(self, values: int) -> ModelOutput:
        scores, distance = SCORES[int(values)]
        return ModelOutput(np.array(scores, np.float32), distance)

    def check_threshold(self, threshold: float) -> None:
        if threshold > 0.9:
            raise UsageError("threshold")


class Recorder:
    """Reporter, trigger, collector and publisher that records all calls."""

    folder = Path("collected")
    kept = 3

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        def record(*arguments: Any, **named: Any) -> None:
            self.calls.append((name, *arguments, *named.items()))

        return record

    def of(self, *names: str) -> list[tuple[Any, ...]]:
        return [call for call in self.calls if call[0] in names]


SINGLE = LabelingOptions(smooth=1)


def predict(
    frames: list[Frame | None],
    options: LabelingOptions = SINGLE,
    *,
    reporter: Recorder | None = None,
    helper: Recorder | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[list[Prediction | None], WatchSummary]:
    """Run the pipeline; return its predictions and totals."""
    helpers: dict[str, Any] = {"triggers": [helper], "collector": helper, "publisher": helper} if helper else {}
    stream = predict_frames(
        cast(Any, FakeClassifier()), FrameSource("camera", False, lambda: iter(frames)), options,
        reporter=cast(Any, reporter or Recorder()), stopped=stopped, **helpers,
    )  # fmt: skip
    shown: list[Prediction | None] = []
    display = SimpleNamespace(show=shown.append, idle=lambda: shown.append(None))
    return shown, show_predictions(stream, display)


def frame(brightness: int, name: str = "") -> Frame:
    return Frame(name, image(brightness))


def answers(shown: list[Prediction | None]) -> list[tuple[Any, ...]]:
    return [(one.frame, one.label, round(one.score, 4), one.unknown, one.changed) for one in shown if one]


def test_good_frames_are_labeled_and_bad_ones_are_reported() -> None:
    frames = [frame(20, "x.png"), frame(20), frame(60), frame(140), Frame(problem="cut off"), frame(16), frame(100)]
    reporter = Recorder()
    shown, summary = predict(list(frames), LabelingOptions(smooth=1, threshold=0.36), reporter=reporter)
    assert answers(shown) == [
        (1, "a", 0.7, False, True), (2, "a", 0.7, False, False), (3, "c", 0.6, False, True),
        (4, "unknown", 0.8, True, True), (5, "", 0.0, False, True), (6, "", 0.0, False, False),
        (7, "b", 0.36, False, True),
    ]  # fmt: skip
    assert [one and (one.name, one.distance, one.problem) for one in shown] == [
        ("x.png", 0.5, ""), ("", 0.5, ""), ("", 0.5, ""), ("", 1.5, ""), ("", None, "cut off"),
        ("", None, "frame 6 is black; is the lens covered?"), ("", 0.9, ""),
    ]  # fmt: skip
    assert reporter.calls == [("warn", "cut off"), ("note", "frame 7: good again")]
    assert (summary.labeled, summary.bad, summary.dropped, len(summary.latencies)) == (5, 2, 0, 5)
    last = shown[-1]
    assert last is not None and summary.seconds == pytest.approx(
        frames[6].taken + summary.latencies[-1] - frames[0].taken
    )
    assert summary.latencies[-1] <= last.latency and last.rate > 0 and shown[0] is not None and shown[0].rate == 0


def test_accept_all_option_disables_the_unknown_photo_detector_but_not_the_threshold() -> None:
    shown, _ = predict([frame(140), frame(100)], LabelingOptions(smooth=1, accept_all=True))
    assert answers(shown) == [(1, "b", 0.8, False, True), (2, "b", 0.36, False, False)]
    shown, _ = predict([frame(140), frame(100)], LabelingOptions(smooth=1, accept_all=True, threshold=0.37))
    assert answers(shown) == [(1, "b", 0.8, False, True), (2, "unknown", 0.36, True, True)]


def test_smoothing_restarts_after_a_damaged_frame() -> None:
    frames = [frame(20), frame(60), Frame(problem="cut off"), frame(60), frame(20), frame(20)]
    shown, _ = predict([*frames], LabelingOptions(smooth=2))
    assert answers(shown) == [
        (1, "a", 0.7, False, True), (2, "a", 0.4, False, False), (3, "", 0.0, False, True), (4, "c", 0.6, False, True),
        (5, "a", 0.4, False, True), (6, "a", 0.7, False, False),
    ]  # fmt: skip


def test_predictions_are_passed_to_publisher_triggers_and_collector() -> None:
    helper, frames = Recorder(), [frame(20), frame(140), Frame(problem="cut off"), frame(60)]
    predict([*frames], helper=helper)

    def published(number: int, label: str, score: float, unknown: bool, distance: float | None, problem: str) -> Any:
        return (
            "publish", ("label", label), ("score", pytest.approx(score)), ("unknown", unknown), ("distance", distance),
            ("problem", problem), ("photo", frames[number - 1].photo),
        )  # fmt: skip

    kept = [call for call in helper.calls if call[0] != "poll"]
    added = [(name, photo, unknown) for name, photo, _, unknown in helper.of("add")]
    assert [call[0] for call in kept] == [
        "publish", "observe", "add", "publish", "observe", "add", "observe", "publish", "publish", "observe", "add",
    ]  # fmt: skip
    assert helper.of("publish") == [
        published(1, "a", 0.7, False, 0.5, ""), published(2, "unknown", 0.8, True, 1.5, ""),
        published(3, "", 0, False, None, "cut off"), published(4, "c", 0.6, False, 0.5, ""),
    ]  # fmt: skip
    assert helper.of("observe") == [
        ("observe", "a", pytest.approx(0.7)), ("observe", "", pytest.approx(0.8)), ("observe", "", 0.0),
        ("observe", "c", pytest.approx(0.6)),
    ]  # fmt: skip
    assert added == [
        ("add", frames[0].photo, ("unknown", False)), ("add", frames[1].photo, ("unknown", True)),
        ("add", frames[3].photo, ("unknown", False)),
    ]  # fmt: skip
    assert len(helper.of("poll")) == 2 * len(frames), "triggers and publisher, after every frame"


def test_watch_reports_if_no_frames_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_NO_FRAME_SECONDS", 0.25)
    gate: list[bool] = []

    def frames() -> Iterator[Frame | None]:
        yield frame(20)
        while len(gate) < 3:
            time.sleep(0.01)
            yield None
        yield frame(60)

    reporter, helper = Recorder(), Recorder()
    stream = predict_frames(
        cast(Any, FakeClassifier()), FrameSource("camera 0", False, frames), LabelingOptions(smooth=5),
        reporter=cast(Any, reporter), triggers=[cast(Any, helper)], publisher=cast(Any, helper),
    )  # fmt: skip
    shown: list[Prediction | None] = []
    show_predictions(stream, cast(Any, SimpleNamespace(show=shown.append, idle=lambda: gate.append(True))))
    assert answers(shown) == [(1, "a", 0.7, False, True), (2, "c", 0.6, False, True)], "smoothing begins anew"
    problem = "camera 0: no frame for 0.25 s"
    assert reporter.calls.count(("warn", problem)) == len(reporter.calls) >= 1
    assert ("publish", ("label", ""), ("problem", problem)) in helper.calls
    assert ("observe", "", 0.0) in helper.calls


def test_missing_frames_are_reported_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(pipeline, "time", SimpleNamespace(monotonic=lambda: clock[0], perf_counter=time.perf_counter))

    class Waiting:
        """Stand-in for a thread that supplies frames: none arrives."""

        dropped = 0

        def __iter__(self) -> Iterator[None]:
            while True:
                yield None

        def close(self) -> None: ...

    monkeypatch.setattr(pipeline, "Prefetch", lambda items, **_: Waiting())
    reporter, publisher = Recorder(), Recorder()
    stream = predict_frames(
        cast(Any, FakeClassifier()), FrameSource("camera 0", True, lambda: iter(())), LabelingOptions(),
        reporter=cast(Any, reporter), publisher=cast(Any, publisher), stopped=lambda: clock[0] >= 25,
    )  # fmt: skip
    for item in stream:
        assert item is None
        clock[0] += 1
    assert [text for _, text in reporter.of("warn")] == ["camera 0: no frame for 10 s"] * 2
    assert len(publisher.of("publish")) == 2


def test_watch_raises_source_error_if_no_frame_could_be_labeled() -> None:
    with pytest.raises(SourceError, match="camera: there are no frames in it"):
        predict([])
    with pytest.raises(SourceError, match="camera: none of its 2 frames can be labeled"):
        predict([Frame(problem="cut off"), frame(10)])
    shown, summary = predict([Frame(problem="cut off"), frame(20)], stopped=lambda: True)
    assert len(shown) == 1 and summary.labeled == 0, "a stop is not an error"


def test_model_monitor_warns_once_about_each_change(tmp_path: Path) -> None:
    reporter, model = Recorder(), tmp_path / "m.tflite"
    model.write_bytes(b"1")
    monitor = _ModelMonitor(model, cast(Any, reporter))
    monitor.check(100.0)
    model.write_bytes(b"12")
    monitor.check(100.99)
    assert not reporter.calls, "the file is checked once a second"
    for now in (101.0, 102.0):
        monitor.check(now)
    model.unlink()
    for now in (103.0, 104.0):
        monitor.check(now)
    stays = "; the model loaded at the start stays in use until a restart"
    assert reporter.calls == [("warn", f"{model} has changed{stays}"), ("warn", f"{model} is gone{stays}")]


@pytest.mark.parametrize(
    ("seconds", "cores", "expected"),
    [
        ({1: 1.0, 2: 0.95, 4: 0.91, 8: 0.1}, 8, (2, [1, 2, 4])),
        ({1: 1.0, 2: 0.951, 4: 0.1}, 8, (1, [1, 2])),
        ({1: 1.0, 2: 0.6, 4: 0.3, 8: 0.2}, 6, (4, [1, 2, 4])),
        ({1: 1.0, 2: 0.6, 4: 0.3, 8: 0.2}, 8, (8, [1, 2, 4, 8])),
        ({1: 1.0}, 1, (1, [1])),
    ],
)
def test_fastest_threads_doubles_the_count_while_inference_gets_5_percent_faster(
    monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], cores: int, expected: tuple[int, list[int]]
) -> None:
    tried: list[int] = []

    def classifier(file: object, *, threads: int, unlabeled: bool) -> int:
        assert file == "file of m" and unlabeled
        tried.append(threads)
        return threads

    monkeypatch.setattr(threads, "read_model", lambda model: f"file of {model}")
    monkeypatch.setattr(threads, "Classifier", classifier)
    monkeypatch.setattr(threads, "cores", lambda: cores)
    monkeypatch.setattr(threads, "_shortest_seconds", seconds.__getitem__)
    assert (threads.fastest_threads("m"), tried) == expected


def test_shortest_inference_time_excludes_the_first_inferences(monkeypatch: pytest.MonkeyPatch) -> None:
    durations = iter([0.1, 0.1, 9, 8, 7, 2, 5, 6, 3, 4])
    clock = [0.0]

    class Timed:
        size = (4, 6)

        def input_values(self, pixels: Any) -> Any:
            assert pixels.shape == (4, 6, 3) and pixels.dtype == np.uint8
            return "values"

        def predict_values(self, values: str) -> None:
            assert values == "values"
            clock[0] += next(durations)

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    found = threads._shortest_seconds(cast(Any, Timed()))
    assert found == pytest.approx(2) and next(durations, None) is None


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Record what `watch` opens; sources, classifier, triggers, collector and publisher are simulated."""
    made = Recorder()
    WatchOptions(model=MODEL)  # its type hints are evaluated once, with the real classifier

    def source(name: str, live: bool, still: bool) -> Callable[[Any], FrameSource]:
        def open_it(what: Any) -> FrameSource:
            made.calls.append((name, what))
            return FrameSource(name, live, lambda: iter([frame(20), frame(60)]), still=still)

        return open_it

    def trigger(label: str, command: Command, hold: int, reporter: object) -> Any:
        made.calls.append(("trigger", label, command.text, hold))
        return made

    def collector(options: CollectOptions, labels: tuple[str, ...], reporter: object) -> Any:
        made.calls.append(("collector", options.folder, labels))
        return made

    def publisher(options: MqttOptions, **settings: Any) -> Any:
        settings.pop("reporter")
        made.calls.append(("publisher", options.broker, settings))
        return made

    class Classifier:
        def __new__(cls, model: Path, **settings: Any) -> Any:
            made.calls.append(("classifier", model, settings))
            return FakeClassifier()

    def predictions(classifier: Any, source: FrameSource, options: LabelingOptions, **settings: Any) -> Any:
        made.calls.append(("predict", source.live, options))
        return predict_frames(classifier, source, options, **settings)

    for name, value in (
        ("open_source", source("file", False, True)), ("open_camera", source("camera", True, False)),
        ("Trigger", trigger), ("Collector", collector), ("MqttPublisher", publisher), ("Classifier", Classifier),
        ("fastest_threads", lambda model: 7), ("predict_frames", predictions),
    ):  # fmt: skip
        monkeypatch.setattr(watch, name, value)
    return made


def run(options: WatchOptions, reporter: Recorder | None = None, *, stopped: Callable[[], bool] = lambda: False) -> int:
    display = SimpleNamespace(show=lambda prediction: None, idle=lambda: None)
    return watch.run_watch(
        options, display=lambda source: display, reporter=cast(Any, reporter or Recorder()), stopped=stopped
    ).labeled


MODEL = Path("m.tflite")


@pytest.mark.parametrize(
    ("options", "source", "classifier", "live", "smooth"),
    [
        ({}, ("camera", "0"), (None, None, 7), True, 5),
        ({"camera": 0}, ("camera", "0"), (None, None, 7), True, 5),
        ({"camera": "/dev/video2", "threads": 2}, ("camera", "/dev/video2"), (None, None, 2), True, 5),
        ({"source": Path("x"), "labels": Path("l")}, ("file", Path("x")), (Path("l"), None, 7), False, 1),
        ({"source": Path("x"), "smooth": 3, "input_range": "0:1"}, ("file", Path("x")), (None, "0:1", 7), False, 3),
        ({"keep_all": True, "smooth": 1}, ("camera", "0"), (None, None, 7), False, 1),
    ],
)  # fmt: skip
def test_watch_opens_source_and_model(
    opened: Recorder, options: Any, source: Any, classifier: tuple[Any, ...], live: bool, smooth: int
) -> None:
    assert run(WatchOptions(model=MODEL, threshold=0.25, accept_all=True, **options)) in ((1, 2) if live else (2,))
    assert opened.calls[0] == source
    settings = dict(zip(("labels", "input_range", "threads"), classifier, strict=True))
    assert opened.of("classifier") == [("classifier", MODEL, settings)]
    expected = LabelingOptions(smooth=smooth, threshold=0.25, accept_all=True)
    assert opened.of("predict") == [("predict", live, expected)]


def test_watch_creates_and_closes_triggers_and_the_mqtt_publisher(opened: Recorder) -> None:
    reporter = Recorder()
    options = WatchOptions(
        model=MODEL,
        source=Path("x"),
        triggers=(TriggerOptions(label="c", command=Command("true"), hold=2),),
        collect=CollectOptions(folder=Path("f")),
        mqtt=MqttOptions(broker="mqtt://host"),
    )
    run(options, reporter)
    names = [call[0] for call in opened.calls if call[0] not in ("poll", "publish", "observe", "add")]
    assert names == [
        "trigger", "file", "classifier", "collector", "publisher", "start", "predict", "close", "close",
    ]  # fmt: skip
    assert opened.of("trigger") == [("trigger", "c", "true", 2)]
    assert opened.of("collector") == [("collector", Path("f"), ("a", "b", "c"))]
    assert opened.of("publisher") == [
        ("publisher", "mqtt://host", {"labels": ["a", "b", "c", "unknown"], "model": "no such model"})
    ]
    (_, stopped), publisher_close = opened.of("close")
    assert publisher_close == ("close",) and stopped() is False, "commands may end after the last frame"
    assert reporter.calls == [
        ("note", "a remark"), ("note", "watching file; press Ctrl-C to stop"), ("note", "saved 3 frames in collected"),
    ]  # fmt: skip


def test_watch_stops_commands_if_it_is_stopped_or_fails(opened: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    options = WatchOptions(
        model=MODEL, source=Path("x"), triggers=(TriggerOptions(label="c", command=Command("true")),)
    )
    run(options, stopped=lambda: True)
    predictions = watch.watch(options)
    next(iter(predictions))
    cast(Any, predictions).close()
    assert [stopped() for _, stopped in opened.of("close")] == [True, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"triggers": (TriggerOptions(label="d", command=Command("true")),)}, "`on_labels` d: the model knows a, b, c"),
        ({"threshold": 0.95}, "threshold"),
    ],
)
def test_watch_checks_options_against_the_model(opened: Recorder, changes: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(replace(WatchOptions(model=MODEL, source=Path("x")), **changes))
    assert not opened.of("predict")


def test_published_labels_contain_unknown_only_once_if_a_class_has_this_name(
    opened: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeClassifier, "labels", ("unknown", "b", "c"))
    run(WatchOptions(model=MODEL, source=Path("x"), mqtt=MqttOptions(broker="mqtt://host")))
    assert opened.of("publisher")[0][2]["labels"] == ["unknown", "b", "c"]


def test_watch_summary_uses_the_rate_and_latencies_of_the_most_recent_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [10.0]
    monkeypatch.setattr(pipeline, "time", SimpleNamespace(perf_counter=lambda: clock[0], monotonic=time.monotonic))
    monkeypatch.setattr(pipeline, "FRAMES_FOR_RATE", 3)
    monkeypatch.setattr(pipeline, "_RECENT", 2)
    watcher = pipeline._Watcher(("a", "b", "c"), SINGLE, cast(Any, Recorder()), (), None, None)
    output = FakeClassifier().predict_values(20)
    rates = []
    for number, seconds in enumerate((0.5, 0.5, 1.0, 2.0), start=1):
        taken = clock[0]
        clock[0] += seconds
        item = pipeline._ScoredFrame(number, Frame(photo=b"", taken=taken), output, "")
        prediction = watcher.predict(item)
        rates.append(prediction.rate)
        assert prediction.latency == seconds
    assert rates == pytest.approx([0, 2, 2 / 1.5, 2 / 3])
    summary = watcher.summary(7)
    assert (summary.latencies, summary.labeled, summary.dropped, summary.seconds) == ((1.0, 2.0), 4, 7, 4.0)
    assert summary.rate == 1.0 and WatchSummary(labeled=0, bad=1, dropped=0, seconds=0, latencies=()).rate == 0


@pytest.mark.parametrize(
    ("live", "stages"), [(True, [(True, 2.0), (True, 2.0), (True, None)]), (False, [(False, 2.0), (False, None)])]
)
def test_every_pipeline_stage_of_a_live_source_keeps_only_the_newest_frame(
    monkeypatch: pytest.MonkeyPatch, live: bool, stages: list[tuple[bool, float | None]]
) -> None:
    made: list[tuple[bool, float | None]] = []

    class Stage(Prefetch[Any]):
        def __init__(self, items: Any, *, newest_only: bool, gives_up_after: float | None = None) -> None:
            made.append((newest_only, gives_up_after))
            super().__init__(items, newest_only=False, gives_up_after=gives_up_after)
            self.dropped = 10 ** len(made)

    monkeypatch.setattr(pipeline, "Prefetch", Stage)
    source = FrameSource("camera", live, lambda: iter([frame(20), frame(60)]))
    stream = predict_frames(cast(Any, FakeClassifier()), source, SINGLE, reporter=cast(Any, Recorder()))
    summary = show_predictions(stream, cast(Any, SimpleNamespace(show=lambda one: None, idle=lambda: None)))
    assert made == stages and summary.labeled == 2
    assert summary.dropped == (1110 if live else 110), "in all stages"
