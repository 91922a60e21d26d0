"""Tests of cameras with a simulated device, of snapshots, sources, and of the options of a broker, without delays."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.watch import sources
from poets_edge.device.watch.cameras import opencv
from poets_edge.device.watch.cameras.device import camera_frames
from poets_edge.device.watch.cameras.opencv import _to_image, video_frames
from poets_edge.device.watch.cameras.picamera import PiCamera
from poets_edge.device.watch.collect import class_folder
from poets_edge.device.watch.mqtt_options import MqttOptions
from poets_edge.device.watch.snapshot import snapshot_jpeg
from poets_edge.device.watch.sources import open_camera, open_source
from poets_edge.errors import SourceError, UsageError

PICTURE = Image.new("RGB", (2, 2))


class Camera:
    """A camera that returns prescribed frames, and is unplugged afterwards."""

    def __init__(self, *frames: Image.Image | None) -> None:
        self.frames = [*frames]
        self.closed = 0

    def read(self) -> Image.Image | None:
        if not self.frames:
            raise SourceError("unplugged")
        return self.frames.pop(0)

    def close(self) -> None:
        self.closed += 1


def test_camera_is_opened_again_after_five_reads_without_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    first = Camera(PICTURE, *[None] * 4, PICTURE, *[None] * 5, PICTURE)
    devices: list[Any] = [first, SourceError("absent"), Camera(PICTURE), Camera(PICTURE)]

    def open_device() -> Camera:
        device = devices.pop(0)
        if isinstance(device, Exception):
            raise device
        return device  # type: ignore[no-any-return]

    frames = camera_frames("camera 0", open_device)
    found = [next(frames) for _ in range(24)]
    shown = ["-" if one is None else "photo" if one.photo else one.problem for one in found]
    damaged, gone = "camera 0 returned a damaged frame", "camera 0 is not available; waiting until it returns"
    assert shown == ["photo", *[damaged] * 4, "photo", *[damaged] * 4, gone, *["-"] * 10, "photo", gone, "-"]
    assert first.closed == 1 and len(first.frames) == 1, "the fifth read without a frame ended it"
    assert slept == [0.05] * 8 + [0.2] * 11


def test_camera_that_cannot_be_opened_at_the_start_is_an_error() -> None:
    def fail() -> Camera:
        raise SourceError("absent")

    with pytest.raises(SourceError, match="absent"):
        next(camera_frames("camera 0", fail))


@pytest.mark.parametrize("step", ["create_video_configuration", "configure", "start"])
def test_pi_camera_that_does_not_start_is_closed(step: str) -> None:
    """Otherwise, it would be in use when it is opened again."""
    closed: list[int] = []

    class Picamera2:
        def __init__(self, number: int) -> None:
            self.number = number

        def __getattr__(self, name: str) -> Any:
            if name == step:
                raise RuntimeError("Camera frontend has\n timed out!")
            return lambda *_, **__: None

        def close(self) -> None:
            closed.append(self.number)

    with pytest.raises(SourceError, match=r"camera 1: does not start \(Camera frontend has timed out!\)"):
        PiCamera(SimpleNamespace(Picamera2=Picamera2), 1)
    assert closed == [1]


def test_pi_camera_that_sends_no_frame_for_five_seconds_counts_as_unplugged() -> None:
    limits: list[float] = []

    class Job:
        def get_result(self, timeout: float) -> Any:
            limits.append(timeout)
            raise TimeoutError("no frame")

    def capture(*, wait: bool) -> Job:
        assert not wait
        return Job()

    camera = SimpleNamespace(
        create_video_configuration=lambda main: main, configure=lambda given: None, start=lambda: None,
        capture_array=capture,
    )  # fmt: skip
    with pytest.raises(SourceError, match="no frame from the camera"):
        PiCamera(SimpleNamespace(Picamera2=lambda number: camera), 0).read()
    assert limits == [5.0]


@pytest.mark.parametrize("is_open", [True, False])
def test_video_is_released_when_it_ends_or_cannot_be_read(monkeypatch: pytest.MonkeyPatch, is_open: bool) -> None:
    class Capture:
        left = 2
        released = False

        def isOpened(self) -> bool:  # noqa: N802 - the name in OpenCV
            return is_open

        def read(self) -> tuple[bool, Any]:
            self.left -= 1
            return self.left >= 0, np.zeros((4, 6, 3), np.uint8)

        def release(self) -> None:
            self.released = True

    captures: list[Capture] = []

    def capture(path: str) -> Capture:
        captures.append(Capture())
        return captures[-1]

    cv2 = SimpleNamespace(COLOR_BGR2RGB=0, cvtColor=lambda pixels, how: pixels, VideoCapture=capture)
    monkeypatch.setattr(opencv, "load_opencv", lambda purpose: cv2)
    if is_open:
        assert len(list(video_frames(Path("v.mp4")))) == 2 and captures[0].released
        frames = video_frames(Path("v.mp4"))
        next(frames)
        frames.close()  # type: ignore[attr-defined]  # a generator
    else:
        with pytest.raises(SourceError, match=r"v\.mp4: not a video that OpenCV can read"):
            list(video_frames(Path("v.mp4")))
    assert captures[-1].released


def test_opencv_frames_are_converted_from_bgr_to_rgb() -> None:
    cv2 = SimpleNamespace(COLOR_BGR2RGB="rgb", cvtColor=lambda pixels, how: pixels[..., ::-1] if how == "rgb" else None)
    found = _to_image(cv2, np.full((2, 3, 3), (10, 20, 30), np.uint8))
    assert found is not None and found.size == (3, 2) and found.getpixel((0, 0)) == (30, 20, 10)
    for bad in (None, np.zeros((2, 3), np.uint8), np.zeros((2, 3, 4), np.uint8), np.zeros((0, 3, 3), np.uint8)):
        assert _to_image(cv2, bad) is None


@pytest.mark.parametrize(
    ("size", "expected"), [((2048, 512), (1024, 256)), ((512, 4096), (128, 1024)), ((300, 200), (300, 200))]
)
def test_longer_side_of_a_snapshot_is_at_most_1024_pixels(size: tuple[int, int], expected: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (200, 100, 50))
    shown = Image.open(io.BytesIO(snapshot_jpeg(image)))
    assert (shown.format, shown.size, image.size) == ("JPEG", expected, size)


@pytest.mark.parametrize(
    ("label", "folder"),
    [
        ("a" * 81, "a" * 80), ("a/b\\c:d*e?f\"g<h>i|j\x1fk", "a_b_c_d_e_f_g_h_i_j_k"), (" .a b. ", "a b"),
        ("..", "unlabelled"), ("caf\u00e9", "caf\u00e9"),
    ],
)  # fmt: skip
def test_folders_of_collected_frames_have_valid_names(label: str, folder: str) -> None:
    assert class_folder(label) == folder


def test_open_source_selects_the_reader_for_each_kind_of_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.PNG", "b.MJPEG", "c.mjpg", "d.mp4"):
        (tmp_path / name).touch()
    for name in ("standard_input", "folder_source", "mjpeg_source", "video_frames"):
        monkeypatch.setattr(sources, name, lambda *path, name=name: (name, *path))
    opened: Any = {name: open_source(tmp_path / name) for name in ("a.PNG", "b.MJPEG", "c.mjpg", "d.mp4")}
    opened |= {"-": open_source(Path("-")), "folder": open_source(tmp_path)}
    assert opened["-"] == ("standard_input",) and opened["folder"] == ("folder_source", tmp_path)
    assert opened["b.MJPEG"] == ("mjpeg_source", tmp_path / "b.MJPEG") and opened["c.mjpg"][0] == "mjpeg_source"
    image, video = opened["a.PNG"], opened["d.mp4"]
    assert (image.still, image.live, video.still, video.live) == (True, False, False, False)
    [frame] = image.frames()
    assert (frame.name, frame.photo) == ("a.PNG", tmp_path / "a.PNG")
    assert video.frames() == ("video_frames", tmp_path / "d.mp4")
    with pytest.raises(SourceError, match="no such file or folder"):
        open_source(tmp_path / "none.mp4")
    with pytest.raises(SourceError, match="camera http://host/: an address"):
        open_camera("http://me:secret@host/")


@pytest.mark.parametrize(("module", "expected"), [("picamera2", ("pi", "picamera2", 3)), (None, ("opencv", "3"))])
def test_cameras_are_read_with_picamera2_if_it_detects_them(
    monkeypatch: pytest.MonkeyPatch, module: str | None, expected: tuple[Any, ...]
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(sources, "find_picamera2", lambda number: asked.append(number) or module)  # type: ignore[func-returns-value]
    monkeypatch.setattr(sources, "PiCamera", lambda module, number: ("pi", module, number))
    monkeypatch.setattr(sources, "OpenCvCamera", lambda camera: ("opencv", camera))
    monkeypatch.setattr(sources, "camera_frames", lambda name, open_device: iter([name, open_device()]))
    source = open_camera("3")
    frames: Any = list(source.frames())
    assert frames == ["camera 3", expected] and source.live and not source.still and asked == [3]
    path: Any = list(open_camera("/dev/video3").frames())
    assert path == ["camera /dev/video3", ("opencv", "/dev/video3")] and asked == [3]


@pytest.mark.parametrize(
    ("broker", "expected"),
    [
        ("mqtt://host", ("host", 1883, False)), ("mqtts://host", ("host", 8883, True)),
        ("mqtts://host:1234/", ("host", 1234, True)), ("mqtt://[::1]:1", ("::1", 1, False)),
    ],
)  # fmt: skip
def test_broker_addresses_have_the_standard_port_unless_they_state_another(
    broker: str, expected: tuple[str, int, bool]
) -> None:
    options = MqttOptions(broker=broker, name="Hall, left!")
    assert (options.host, options.port, options.tls) == expected
    assert (options.title, options.slug) == ("Hall, left!", "Hall-left")


@pytest.mark.parametrize("broker", ["host", "mqtt://", "mqtt://host:0", "mqtt://host/topic", "mqtt://host?a=1"])
def test_invalid_broker_addresses_are_rejected(broker: str) -> None:
    with pytest.raises(UsageError, match="not an address of a broker"):
        MqttOptions(broker=broker)


def test_broker_options_require_a_letter_in_the_name_and_tls_for_a_certificate() -> None:
    with pytest.raises(UsageError, match="`mqtt_ca` needs an address that begins with mqtts://"):
        MqttOptions(broker="mqtt://host", ca=Path("ca.pem"))
    with pytest.raises(UsageError, match="`mqtt_name` '!': topics need a letter"):
        MqttOptions(broker="mqtt://host", name="!")


def test_broker_address_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError, match="`mqtt_login`") as raised:
        MqttOptions(broker="mqtt://me:secret@host")
    assert "secret" not in str(raised.value)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize(
    ("mode", "public"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True), (0o611, False)]
)
def test_login_file_is_read_and_its_permissions_checked(tmp_path: Path, mode: int, public: bool) -> None:
    login = tmp_path / "login"
    login.write_text("me:a:b\r\n")
    login.chmod(mode)
    options = MqttOptions(broker="mqtt://host", login=login)
    assert options.read_login() == ("me", "a:b") and options.login_is_public is public
    assert MqttOptions(broker="mqtt://host").read_login() is None
    login.write_text("me:with a space \n")
    assert options.read_login() == ("me", "with a space "), "spaces are part of the password"
    for content in (b"me", b":b", b"me:", b"me:a\nb", b"\xff:a"):
        login.write_bytes(content)
        with pytest.raises(UsageError, match="needs one line, user:password"):
            options.read_login()
