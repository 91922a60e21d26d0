"""Tests of `watch --on-label LABEL --run COMMAND`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Ran, Trained, poets_edge
from tests.frames import frame_folder, jpeg, photos_of


@pytest.fixture(scope="module")
def model(trained: Trained) -> Path:
    return trained.model("int8")


@pytest.fixture(scope="module")
def clip(model: Path, flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return ten frames of a daisy, three frames of a tulip, and ten frames of the daisy."""
    from poets_edge.device.classifier import Classifier

    classifier = Classifier(model)
    sure: dict[str, bytes] = {}
    for photo in photos_of(flowers, 20):
        frame = jpeg(photo)
        answer = classifier.classify(frame, 1)[0]
        if answer.name == photo.parent.name and answer.score > 0.9:
            sure.setdefault(answer.name, frame)
    frames = [sure["daisy"]] * 10 + [sure["tulips"]] * 3 + [sure["daisy"]] * 10
    return frame_folder(tmp_path_factory.mktemp("clip"), frames)


def _watch(model: Path, clip: Path, *arguments: str | Path) -> Ran:
    return poets_edge("watch", model, "--source", clip, "--threads", "1", "--smooth", "1", *arguments)


def test_watch_does_not_restart_a_running_command(model: Path, clip: Path, tmp_path: Path) -> None:
    ran = _watch(model, clip, "--on-label", "daisy", "--run", f"mkdir {tmp_path}/once", "--hold", "10").ok()
    assert (tmp_path / "once").is_dir()
    assert "not started again" not in ran.stderr
    slow = _watch(
        *(model, clip, "--on-label", "daisy", "--run", "sleep 60", "--run-limit", "2", "--hold", "2"),
    ).ok()
    assert slow.stderr.count("is still running; not started again") == 1, "it is not started while it runs"
    assert slow.stderr.count("is still running after 2 s; stopping it") == 1
    assert "signal" not in slow.stderr, "its end is told once"


def test_watch_waits_for_a_command_after_the_last_frame(model: Path, clip: Path, tmp_path: Path) -> None:
    late = f"sleep 0.5; touch {tmp_path}/late; exit 3"
    ran = _watch(model, clip, "--on-label", "daisy", "--run", late, "--shell", "--hold", "10").ok()
    assert (tmp_path / "late").exists()
    assert "failed with status 3" in ran.stderr


def test_trigger_restarts_its_count_after_a_bad_frame(model: Path, clip: Path, tmp_path: Path) -> None:
    good = [clip / f"frame_{number}.jpg" for number in range(1, 5)]
    black = tmp_path / "black.jpg"
    Image.new("RGB", (320, 240)).save(black)
    frames = frame_folder(tmp_path / "frames", [path.read_bytes() for path in (*good[:2], black, *good[2:])])
    whole = frame_folder(tmp_path / "whole", [path.read_bytes() for path in good])
    for source, hold, starts in ((whole, 4, True), (frames, 2, True), (frames, 3, False)):
        done = tmp_path / f"{source.name}-{hold}"
        _watch(model, source, "--on-label", "daisy", "--run", f"touch {done}", "--hold", str(hold)).ok()
        assert done.exists() is starts


def test_trigger_waits_for_enough_consecutive_frames(model: Path, clip: Path, tmp_path: Path) -> None:
    _watch(model, clip, "--on-label", "tulips", "--run", f"touch {tmp_path}/early", "--hold", "4").ok()
    _watch(model, clip, "--on-label", "daisy", "--run", f"touch {tmp_path}/late", "--hold", "11").ok()
    time.sleep(0.3)
    assert not list(tmp_path.iterdir())


def test_watch_rejects_commands_that_cannot_run(model: Path, clip: Path) -> None:
    _watch(model, clip, "--on-label", "daisy").failed("--on-label", "--run")
    _watch(model, clip, "--on-label", "rose", "--run", "true").failed("rose", "the model knows daisy")
    _watch(model, clip, "--on-label", "daisy", "--run", "no-such-program x").failed("no such program", "--shell")
    _watch(model, clip, "--on-label", "daisy", "--run", "say 'hello").failed("quot")
    _watch(model, clip, "--on-label", "daisy", "--run", "").failed("no such program")
    _watch(model, clip, "--on-label", "daisy", "--run", "true", "--hold", "0").failed("--hold")
