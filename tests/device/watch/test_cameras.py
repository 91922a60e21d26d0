"""Tests of cameras that are missing, in use, damaged, or unplugged and plugged in again.

Cameras are simulated: OpenCV's VideoCapture and picamera2 are replaced by devices that follow a script.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from poets_edge.device.watch.frames import Frame, FrameSource
from poets_edge.device.watch.pipeline import predict_frames, show_predictions
from poets_edge.device.watch.prediction import LabelingOptions, Prediction
from poets_edge.device.watch.sources import open_camera
from poets_edge.device.watch.watch import WatchOptions, run_watch
from poets_edge.errors import SourceError
from poets_edge.progress import Silent
from tests.conftest import DAISY, Trained, poets_edge
from tests.needs import need_module

GONE, TORN = "gone", "torn"


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """Return the path of a file that replaces /dev/video0."""
    path = tmp_path / "video0"
    path.touch()
    return path


@pytest.fixture
def daisy(flowers: Path) -> Image.Image:
    return Image.open(flowers / DAISY).convert("RGB").resize((640, 480))


class Script:
    """Scripted results of reading a camera: an image, TORN, or GONE, after which the camera must be opened again."""

    def __init__(self, *steps: Image.Image | str) -> None:
        self.steps = list(steps)
        self.opened = self.closed = 0

    def next(self) -> Image.Image | str:
        return self.steps.pop(0) if self.steps else GONE


def _as_opencv(script: Script, patch: pytest.MonkeyPatch) -> None:
    cv2 = need_module("cv2")

    class VideoCapture:
        def __init__(self, path: str, backend: int) -> None:
            assert backend == cv2.CAP_V4L2
            self.open = bool(script.steps)
            script.opened += 1

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
            return self.open

        def set(self, setting: int, value: float) -> bool:
            return True

        def read(self) -> tuple[bool, Any]:
            if script.steps and script.steps[0] == GONE and script.gone_reads < 5:  # type: ignore[attr-defined]
                script.gone_reads += 1  # type: ignore[attr-defined]
                return False, None
            while script.steps and script.steps[0] == GONE:
                script.steps.pop(0)
            step = script.next()
            if isinstance(step, str):
                return False, None
            return True, np.asarray(step)[:, :, ::-1].copy()

        def release(self) -> None:
            script.closed += 1

    script.gone_reads = 0  # type: ignore[attr-defined]
    patch.setattr(cv2, "VideoCapture", VideoCapture)
    patch.setitem(sys.modules, "picamera2", None)


def _as_picamera2(script: Script, patch: pytest.MonkeyPatch, cameras: int = 1, busy: bool = False) -> None:
    class Job:
        def get_result(self, timeout: float) -> Any:
            step = script.next()
            if isinstance(step, str):
                raise TimeoutError
            return np.asarray(step)

    class Picamera2:
        def __init__(self, number: int) -> None:
            script.opened += 1
            if busy:
                raise RuntimeError("Failed to acquire camera: Device or resource busy")

        @staticmethod
        def global_camera_info() -> list[dict[str, Any]]:
            return [{}] * cameras

        def create_video_configuration(self, main: dict[str, Any]) -> dict[str, Any]:
            assert main["format"] == "BGR888", "libcamera's name for R, G, B in memory"
            return main

        def configure(self, configuration: dict[str, Any]) -> None:
            pass

        def start(self) -> None:
            pass

        def capture_array(self, wait: bool) -> Job:
            return Job()

        def close(self) -> None:
            script.closed += 1

    module = ModuleType("picamera2")
    module.Picamera2 = Picamera2  # type: ignore[attr-defined]
    patch.setitem(sys.modules, "picamera2", module)


def _frames(camera: str, count: int) -> list[Frame]:
    """Return the first `count` frames of a camera."""
    iterator = (frame for frame in open_camera(camera).frames() if frame is not None)
    return [next(iterator) for _ in range(count)]


def test_camera_frames_continue_after_a_webcam_is_replugged(
    device: Path, daisy: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(daisy, daisy, GONE, daisy)
    _as_opencv(script, monkeypatch)
    frames = _frames(str(device), 8)
    assert [bool(frame.photo) for frame in frames] == [True, True, False, False, False, False, False, True]
    assert "damaged" in frames[2].problem and "not available" in frames[6].problem
    assert script.opened == 2 and script.closed >= 1
    colors = np.asarray(frames[0].photo)
    np.testing.assert_array_equal(colors, np.asarray(daisy), "the order of the channels")


def test_unplugged_camera_is_closed_only_once(
    device: Path, daisy: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The camera is also closed if the consumer stops while waiting for it."""
    script = Script(daisy, GONE)
    _as_opencv(script, monkeypatch)
    frames = open_camera(str(device)).frames()
    while "waiting until it returns" not in (frame.problem if (frame := next(frames)) else ""):
        pass
    assert script.closed == 1
    frames.close()  # type: ignore[attr-defined]
    assert script.closed == 1


def test_camera_frames_continue_after_a_damaged_frame(
    device: Path, daisy: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(daisy, TORN, daisy)
    _as_opencv(script, monkeypatch)
    assert [bool(frame.photo) for frame in _frames(str(device), 3)] == [True, False, True]
    assert script.opened == 1


def test_watch_reports_a_webcam_that_is_missing_or_in_use(
    trained: Trained, device: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_opencv(Script(), monkeypatch)
    model = trained.model("int8")
    poets_edge("watch", model, "--threads", "1", "--camera", device).failed(str(device), "another program")
    poets_edge("watch", model, "--threads", "1", "--camera", tmp_path / "x").failed("x", "no such camera")


def test_picamera2_is_preferred_for_opening_a_camera(daisy: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(daisy, GONE, daisy)
    _as_picamera2(script, monkeypatch)
    frames = _frames("0", 3)
    assert [bool(frame.photo) for frame in frames] == [True, False, True]
    assert "camera 0 is not available" in frames[1].problem
    assert script.opened == 2 and script.closed >= 1
    np.testing.assert_array_equal(np.asarray(frames[0].photo), np.asarray(daisy))


def test_pi_camera_in_use_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script()
    _as_picamera2(script, monkeypatch, busy=True)
    with pytest.raises(SourceError, match=r"camera 0: does not start .*busy.* another program"):
        _frames("0", 1)


def test_cameras_are_opened_with_opencv_if_there_is_no_pi_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    _as_picamera2(Script(), monkeypatch, cameras=0)
    if Path("/dev/video0").exists():
        pytest.skip("this machine has a camera")
    with pytest.raises(SourceError, match="/dev/video0: no such camera"):
        _frames("0", 1)


def test_watch_predicts_the_labels_of_camera_frames(
    trained: Trained, device: Path, daisy: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    dark = Image.new("RGB", (640, 480), (3, 3, 3))
    _as_opencv(Script(dark, daisy, daisy, GONE, *[daisy] * 3, "end"), monkeypatch)
    monkeypatch.setattr("poets_edge.cli.watch.run_watch", _stopping_after(5))
    ran = poets_edge(
        *("watch", trained.model("int8"), "--threads", "1", "--camera", device, "--json", "--every-frame", "--keep-all")
    ).ok()
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [line["label"] is None for line in lines] == [True, False, False, *[True] * 5, *[False] * 3]
    assert len({line["label"] for line in lines}) == 2, "equal pictures have equal labels"
    assert "black" in ran.stderr and ran.stderr.count("good again") == 2


def _stopping_after(labeled: int) -> Any:
    """Return a version of `run_watch` that stops after a given number of labeled frames."""

    def run(options: WatchOptions, *, display: Any, stopped: Any, **more: Any) -> Any:
        counted: list[_Counter] = []

        def counting(source: FrameSource) -> _Counter:
            counted.append(_Counter(display(source)))
            return counted[0]

        return run_watch(
            options, display=counting, stopped=lambda: bool(counted) and counted[0].labeled >= labeled, **more
        )

    return run


class _Counter:
    def __init__(self, display: Any) -> None:
        self._display = display
        self.labeled = 0

    def show(self, prediction: Prediction) -> None:
        self.labeled += bool(prediction.label)
        self._display.show(prediction)

    def idle(self) -> None:
        self._display.idle()


class _Slow:
    """Display that takes a long time to show a prediction."""

    def __init__(self) -> None:
        self.all: list[Prediction] = []

    def show(self, prediction: Prediction) -> None:
        self.all.append(prediction)
        time.sleep(0.1)

    def idle(self) -> None:
        pass


@pytest.mark.parametrize("live", [True, False])
def test_slow_consumer_skips_frames_only_from_a_live_source(live: bool, trained: Trained, daisy: Image.Image) -> None:
    def frames() -> Iterator[Frame]:
        for _ in range(40):
            time.sleep(0.02)
            yield Frame(photo=daisy)

    display = _Slow()
    source = FrameSource("camera", live, frames)
    predictions = predict_frames(Classifier(trained.model("int8")), source, LabelingOptions(), reporter=Silent())
    summary = show_predictions(predictions, display)
    assert summary.labeled + summary.dropped == 40
    if live:
        assert summary.dropped > 15
        assert display.all[-1].frame == 40, "the newest frame is never skipped"
        assert max(prediction.latency for prediction in display.all[1:]) < 0.45
    else:
        assert summary.dropped == 0


def test_watch_reports_why_picamera2_does_not_start(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's picamera2 fails to start with a numpy installed by pip."""
    (tmp_path / "picamera2.py").write_text("raise ValueError('numpy.dtype size changed')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    ran = poets_edge("watch", trained.model("int8"), "--camera", "0", "--threads", "1")
    ran.failed("no such camera", "picamera2 is installed but does not start", "numpy.dtype size changed", "numpy<2")
