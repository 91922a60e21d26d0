"""Tests of `watch` on files, folders and streams: the iterator, printed lines, bad input."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from poets_edge.device.watch.frames import Frame, FrameSource, folder_source, split_jpegs
from poets_edge.device.watch.pipeline import predict_frames, show_predictions
from poets_edge.device.watch.prediction import LabelingOptions
from poets_edge.device.watch.threads import fastest_threads
from poets_edge.device.watch.watch import WatchOptions, watch
from poets_edge.errors import UsageError
from poets_edge.progress import Silent
from tests.conftest import ROOT, Trained, poets_edge, poets_edge_process
from tests.frames import Nowhere, frame_folder, jpeg, photos_of
from tests.needs import need_module

SEED = ROOT / "tests/corpus/seeds/seed_graph.tflite"


@pytest.fixture(scope="module")
def frames(flowers: Path) -> list[bytes]:
    """Return twelve frames for each class, sorted by class."""
    return [jpeg(photo) for photo in photos_of(flowers, 12)]


@pytest.fixture(scope="module")
def folder(frames: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frame_folder(tmp_path_factory.mktemp("frames"), frames)


@pytest.fixture(scope="module")
def model(trained: Trained) -> Path:
    return trained.model("int8")


@pytest.fixture(scope="module")
def scores(model: Path, frames: list[bytes]) -> Any:
    """Return the scores that `label` computes for each frame, float32 [frames, labels]."""
    classifier = Classifier(model)
    found = np.stack([classifier.scores(frame) for frame in frames])
    assert len(set(found.argmax(axis=1))) == 5, "the frames must have different labels"
    return found


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def _watch(model: Path, *arguments: str | Path) -> list[dict[str, Any]]:
    return _lines(poets_edge("watch", model, "--threads", "1", "--json", *arguments).ok().stdout)


def test_watch_predicts_the_labels_of_all_frames_of_a_folder_in_order(model: Path, folder: Path, scores: Any) -> None:
    lines = _watch(model, "--source", folder, "--smooth", "1", "--every-frame", "--accept-all")
    assert [line["name"] for line in lines] == [f"frame_{number}.jpg" for number in range(1, 61)]
    assert [line["frame"] for line in lines] == list(range(1, 61))
    labels = Classifier(model).labels
    assert [line["label"] for line in lines] == [labels[row.argmax()] for row in scores]
    np.testing.assert_allclose([line["score"] for line in lines], scores.max(axis=1), atol=1e-6)
    assert all(line["latency_ms"] > 0 for line in lines) and lines[-1]["photos_per_second"] > 5
    assert not any(line["unknown"] for line in lines)
    told = _watch(model, "--source", folder, "--smooth", "1", "--every-frame")
    assert [line["distance"] for line in told] == [line["distance"] for line in lines]
    assert [line["unknown"] for line in told] == [line["distance"] > 1 for line in lines]
    for one, other in zip(told, lines, strict=True):
        assert one["label"] == ("unknown" if one["unknown"] else other["label"])


def test_watch_smooth_option_averages_the_scores_of_the_last_frames(model: Path, folder: Path, scores: Any) -> None:
    lines = _watch(model, "--source", folder, "--smooth", "7", "--every-frame")
    means = np.stack([scores[max(0, n - 6) : n + 1].mean(axis=0) for n in range(len(scores))])
    np.testing.assert_allclose([line["score"] for line in lines], means.max(axis=1), atol=1e-6)
    raw = _watch(model, "--source", folder, "--smooth", "1")
    assert len(_watch(model, "--source", folder, "--smooth", "7")) < len(raw), "smoothing reduces changes"


def test_watch_prints_only_frames_whose_label_changed(model: Path, folder: Path) -> None:
    every = _watch(model, "--source", folder, "--every-frame")
    changes = [line for before, line in zip([{}, *every], every, strict=False) if before.get("label") != line["label"]]
    assert 5 <= len(changes) < len(every)
    printed = _watch(model, "--source", folder)
    assert [(line["frame"], line["label"]) for line in printed] == [(x["frame"], x["label"]) for x in changes]
    text = poets_edge("watch", model, "--source", folder).ok()
    assert [line.split()[2] for line in text.stdout.splitlines()] == [line["label"] for line in changes]
    assert "photos/s" in text.stdout and "60 frames labeled" in text.stderr and "ms (median)" in text.stderr


def test_watch_threshold_option_labels_frames_with_low_scores_as_unknown(
    model: Path, folder: Path, scores: Any
) -> None:
    lines = _watch(model, "--source", folder, "--smooth", "1", "--every-frame", "--threshold", "0.9")
    assert [line["label"] == "unknown" for line in lines] == list(scores.max(axis=1) < 0.9)
    assert 0 < sum(line["label"] == "unknown" for line in lines) < 60


def test_watch_predicts_equal_labels_for_streams_and_folders(
    model: Path, folder: Path, frames: list[bytes], tmp_path: Path
) -> None:
    each = ("--every-frame", "--smooth", "1")  # the pictures of a folder are not smoothed, those of a stream are
    expected = [line["label"] for line in _watch(model, "--source", folder, *each)]
    # An IP camera sends other bytes between the pictures.
    stream = tmp_path / "frames.mjpeg"
    stream.write_bytes(b"".join(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + frame for frame in frames))
    assert [line["label"] for line in _watch(model, "--source", stream, *each)] == expected
    arguments = ("watch", str(model), "--source", "-", *each, "--json", "--threads", "1")
    with stream.open("rb") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", file)
        lines = _lines(poets_edge(*arguments).ok().stdout)
    assert [line["label"] for line in lines] == expected, "a file on standard input loses nothing"
    piped = poets_edge_process(*arguments, "--keep-all", stdin=stream.read_bytes()).ok()
    assert [line["label"] for line in _lines(piped.stdout)] == expected


def test_watch_predicts_the_labels_of_all_frames_of_a_video(model: Path, flowers: Path, tmp_path: Path) -> None:
    cv2 = need_module("cv2")
    video = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 10, (320, 240))
    assert writer.isOpened()
    for photo in photos_of(flowers, 4):
        pixels = np.asarray(Image.open(photo).convert("RGB").resize((320, 240)))
        writer.write(np.ascontiguousarray(pixels[:, :, ::-1]))
    writer.release()
    lines = _watch(model, "--source", video, "--smooth", "1", "--every-frame")
    classifier = Classifier(model)
    expected = [classifier.classify(photo, 1)[0].name for photo in photos_of(flowers, 4)]
    right = sum(line["label"] == label for line, label in zip(lines, expected, strict=True))
    assert right >= 17, "colors in the wrong order would cost more than compression does"


@pytest.mark.parametrize("name", ["nothing.avi", "text.mp4"])
def test_watch_rejects_a_file_that_is_not_a_video(model: Path, name: str, tmp_path: Path) -> None:
    need_module("cv2")
    (tmp_path / name).write_bytes(b"" if name == "nothing.avi" else b"no video at all\n" * 100)
    poets_edge("watch", model, "--source", tmp_path / name).failed(name, "not a video")


def test_watch_rejects_a_video_without_frames(model: Path, tmp_path: Path) -> None:
    cv2 = need_module("cv2")
    video = tmp_path / "empty.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 10, (320, 240))
    writer.release()
    poets_edge("watch", model, "--source", video).failed("empty.avi")


def test_watch_skips_bad_frames_with_one_warning(model: Path, frames: list[bytes], tmp_path: Path) -> None:
    black = jpeg(Image.new("RGB", (320, 240), (5, 5, 5)))
    torn = frames[1][: len(frames[1]) // 2]
    small, large, upright = (jpeg(Image.open(_file(frames[2])), size) for size in ((64, 48), (1600, 1200), (240, 320)))
    stream = tmp_path / "bad.mjpeg"
    stream.write_bytes(frames[0] + torn + black + black + frames[1] + small + large + upright + frames[3] + torn)
    ran = poets_edge("watch", model, "--source", stream, "--every-frame", "--json", "--smooth", "1").ok()
    lines = _lines(ran.stdout)
    assert [line["label"] is None for line in lines] == [False, True, True, True, *[False] * 5, True]
    assert all(line["label"] == "daisy" for line in lines if line["label"] and line["score"] > 0.8)
    assert "decoded" in lines[1]["problem"] and "black" in lines[2]["problem"]
    warnings = [line for line in ran.stderr.splitlines() if line.startswith("warning")]
    assert len(warnings) == 2, "once for each row of bad frames"
    assert "6 frames labeled, 4 bad" in ran.stderr
    changes = _lines(poets_edge("watch", model, "--source", stream, "--json", "--smooth", "1").ok().stdout)
    assert [line["label"] is None for line in changes][:3] == [False, True, False]


def test_splitting_a_jpeg_stream_ignores_embedded_thumbnails(model: Path, frames: list[bytes], tmp_path: Path) -> None:
    thumbnail = b"Exif\0\0" + jpeg(Image.new("RGB", (16, 12), "red"))
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    stream = tmp_path / "thumbnails.mjpeg"
    stream.write_bytes(b"".join(frame[:2] + segment + frame[2:] for frame in frames[:3]))
    (tmp_path / "plain.mjpeg").write_bytes(b"".join(frames[:3]))
    scores = [
        [line["score"] for line in _watch(model, "--source", source, "--every-frame", "--smooth", "1")]
        for source in (stream, tmp_path / "plain.mjpeg")
    ]
    assert scores[0] == scores[1] and len(scores[0]) == 3


@pytest.mark.parametrize("size", [1, 7, 500, 1 << 20])
def test_splitting_a_jpeg_stream_does_not_depend_on_the_chunk_size(size: int) -> None:
    pictures = []
    thumbnail = b"Exif\0\0" + jpeg(Image.new("RGB", (16, 12), "red"))
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    for number in range(2):
        file = _file(b"")
        pixels = np.random.default_rng(number).integers(0, 255, (64, 80, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(file, "JPEG", restart_marker_blocks=1)
        pictures.append(file.getvalue()[:2] + segment + file.getvalue()[2:])
        assert b"\xff\xd0" in pictures[-1] and b"\xff\xd7" in pictures[-1]
    stream = b"".join(pictures)
    assert list(split_jpegs(stream[at : at + size] for at in range(0, len(stream), size))) == pictures


def _file(data: bytes) -> Any:
    import io

    return io.BytesIO(data)


def test_watch_fails_if_every_frame_is_bad(model: Path, tmp_path: Path) -> None:
    frame_folder(tmp_path / "dark", [jpeg(Image.new("RGB", (32, 24)))] * 3)
    poets_edge("watch", model, "--source", tmp_path / "dark").failed("dark", "none of its 3 frames")


def test_watch_rejects_missing_and_conflicting_sources(model: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mjpeg").write_text("not a picture\n" * 100)
    poets_edge("watch", model, "--source", tmp_path / "empty").failed("no frames")
    poets_edge("watch", model, "--source", tmp_path / "text.mjpeg").failed("no frames")
    poets_edge("watch", model, "--source", tmp_path / "missing").failed("missing", "no such file")
    poets_edge("watch", model, "--source", folder, "--camera", "0").failed("--camera", "--source")
    poets_edge("watch", model, "--source", folder, "--smooth", "0").failed("--smooth")
    poets_edge("watch", tmp_path / "no.tflite", "--source", folder).failed("no.tflite")
    if not Path("/dev/video63").exists():
        poets_edge("watch", model, "--camera", "63").failed("/dev/video63", "no such camera")


def test_splitting_a_jpeg_stream_limits_the_size_of_an_image() -> None:
    chunks = [b"\xff\xd8"] + [bytes(1 << 20)] * 100
    assert max(len(picture or b"") for picture in split_jpegs(chunks)) <= 34 << 20


def test_watch_rejects_closed_standard_input_and_zero_threads(
    model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poets_edge("watch", model, "--source", folder, "--threads", "0").failed("threads")
    monkeypatch.setattr(sys, "stdin", None)
    poets_edge("watch", model, "--source", "-").failed("standard input is closed")


def test_fastest_number_of_threads_is_at_most_the_number_of_available_cores(model: Path) -> None:
    assert 1 <= fastest_threads(model) <= len(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert fastest_threads(model) == 1
    finally:
        os.sched_setaffinity(0, before)


def test_watch_that_is_stopped_waits_for_the_running_inference(
    model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise, two inferences could use one interpreter at once, or a camera could stay in use."""
    classifier, whole = Classifier(model), folder_source(folder)
    at_work, ended = [], []
    predict_values = classifier.predict_values

    def slow(values: npt.NDArray[Any]) -> Any:
        at_work.append(True)
        time.sleep(2.5)
        at_work.pop()
        return predict_values(values)

    def frames() -> Iterator[Frame | None]:
        try:
            yield from whole.frames()
        finally:
            ended.append(True)

    monkeypatch.setattr(classifier, "predict_values", slow)
    source = FrameSource(whole.name, False, frames)
    predictions = predict_frames(
        classifier, source, LabelingOptions(), reporter=Silent(), stopped=lambda: bool(at_work)
    )
    show_predictions(predictions, Nowhere())
    assert ended and not at_work


def test_watch_yields_a_prediction_for_each_frame(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)) for _ in range(4)]
    frame_folder(tmp_path, [jpeg(picture) for picture in pictures])
    (tmp_path / "frame_3.jpg").write_bytes(b"not a picture")
    classifier = Classifier(SEED)
    for model in (str(SEED), SEED, classifier, WatchOptions(model=SEED, threads=1)):
        predictions = list(watch(model, str(tmp_path)))
        assert [prediction.frame for prediction in predictions] == [1, 2, 3, 4]
        assert [bool(prediction.problem) for prediction in predictions] == [False, False, True, False]
        best = classifier(tmp_path / "frame_2.jpg", top=1)[0]
        assert (predictions[1].label, predictions[1].score) == (best.name, best.score)
    assert {prediction.label for prediction in watch(classifier, tmp_path, threshold=1)} == {"unknown", ""}


def test_watch_releases_its_source_when_the_loop_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    ended = []

    def frames() -> Iterator[Frame | None]:
        try:
            while True:
                yield Frame(photo=picture)
        finally:
            ended.append(True)

    source = FrameSource("camera 0", True, frames)
    monkeypatch.setattr("poets_edge.device.watch.watch.open_camera", lambda camera: source if camera == "0" else None)
    for prediction in watch(Classifier(SEED), camera=0):
        assert prediction.label
        break
    del prediction
    gc.collect()
    assert ended


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": float("nan")}, "`threshold`"),
        ({"threshold": 2}, "`threshold`"),
        ({"smooth": 0}, "`smooth`"),
        ({"smooth": "5"}, "`smooth`"),
        ({"camera": 1.5}, "`camera`"),
        ({"camera": 0}, "`camera` and `source`"),
    ],
)
def test_watch_errors_name_the_invalid_argument(tmp_path: Path, arguments: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        watch(SEED, tmp_path, **arguments)


def test_watch_rejects_the_threads_argument_with_a_classifier(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`threads`"):
        WatchOptions(model=Classifier(SEED), source=tmp_path, threads=2)
