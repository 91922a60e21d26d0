"""Accelerated endurance test of `watch`: `python -m tools.soak --frames 1000000 --losses 1000`.

The frames come first from a camera that is unplugged repeatedly, and then from a stream of small JPEGs, a quarter of
which are damaged. They pass through the pipeline of `watch` (splitting, decoding, the model, smoothing, a trigger, a
collector) at full speed. After the first tenth of the frames, memory and the numbers of file handles, threads and child
processes must not grow.

For speed, the test uses a thousand pictures of 48 x 36 pixels, a model with an input of 32 x 32 pixels, and a short
pause before a camera is opened again.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image

from poets_edge.device.classifier import Classifier
from poets_edge.device.watch.cameras import device
from poets_edge.device.watch.collect import CollectOptions, Collector
from poets_edge.device.watch.frames import Frame, FrameSource, split_jpegs
from poets_edge.device.watch.pipeline import predict_frames, show_predictions
from poets_edge.device.watch.prediction import LabelingOptions, Prediction
from poets_edge.device.watch.trigger import Command, Trigger
from poets_edge.errors import SourceError
from poets_edge.progress import Silent

MODEL = Path(__file__).resolve().parents[1] / "tests/corpus/seeds/seed_graph.tflite"
MOST_GROWTH = 4.0
"""Maximum memory growth in MB after the first tenth of the frames.

This allows for the pools of the allocator, but in a long run reveals leaks of 10 bytes per frame.
"""
_PICTURES = 1000
_FRAMES_A_LOSS = 5
_SAMPLES = 50


@dataclass(frozen=True)
class Sample:
    """Resources that the tested process uses after a number of frames.

    Attributes:
        frames: number of processed frames.
        megabytes: resident memory in MB.
        files, threads, children: numbers of open files, threads and child processes.
    """

    frames: int
    megabytes: float
    files: int
    threads: int
    children: int


class Sampler:
    """Display for the predictions of `poets-edge watch` that counts frames instead of showing them.

    At regular intervals, it records the resources that this process uses.

    Attributes:
        every: number of frames between two samples.
        samples: the recorded resources.
        labeled, bad: numbers of frames with a prediction and of unreadable frames.
    """

    def __init__(self, frames: int) -> None:
        self.every = max(1, frames // _SAMPLES)
        self.samples: list[Sample] = []
        self.labeled = self.bad = 0
        self._end = frames

    def show(self, prediction: Prediction) -> None:
        self.bad += bool(prediction.problem)
        self.labeled += not prediction.problem
        count = self.labeled + self.bad
        if count % self.every == 0:
            self.samples.append(sample(count))
            print(self.samples[-1], flush=True)

    def idle(self) -> None:
        pass

    def done(self) -> bool:
        return self.labeled + self.bad >= self._end


def sample(frames: int) -> Sample:
    """Return a `Sample` of this process: resident memory, and numbers of open files, threads and child processes.

    Args:
        frames: number of frames processed so far.
    """
    status = Path("/proc/self/status").read_text()
    megabytes = int(status.split("VmRSS:")[1].split()[0]) / 1024
    files = len(list(Path("/proc/self/fd").iterdir()))
    children = sum(len(path.read_text().split()) for path in Path("/proc/self/task").glob("*/children"))
    return Sample(frames, megabytes, files, threading.active_count(), children)


def pictures(rng: Random) -> list[bytes]:
    """Return a thousand small JPEGs, a quarter of them truncated, damaged or replaced by random bytes."""
    found = []
    for number in range(_PICTURES):
        file = io.BytesIO()
        image = Image.frombytes("RGB", (24, 18), rng.randbytes(24 * 18 * 3))
        image.resize((48, 36)).save(file, "JPEG", quality=80)
        data = bytearray(file.getvalue())
        if number % 4 == 3:
            kind = rng.randrange(4)
            if kind == 0:
                del data[rng.randrange(2, len(data)) :]
            elif kind == 1:
                for _ in range(rng.randrange(1, 30)):
                    data[rng.randrange(2, len(data))] = rng.randrange(256)
            elif kind == 2:
                data[2:2] = rng.randbytes(rng.randrange(1, 300))
            else:
                data = bytearray(rng.randbytes(rng.randrange(1, 3000)))
        found.append(bytes(data))
    return found


def stream(rng: Random) -> FrameSource:
    """Return a source that repeats small JPEGs endlessly, read in chunks that do not end where the JPEGs end."""
    data = b"".join(pictures(rng))

    def frames() -> Iterator[Frame | None]:
        chunks = (data[start : start + 5000] for _ in itertools.count() for start in range(0, len(data), 5000))
        return (None if picture is None else Frame(photo=picture) for picture in split_jpegs(chunks))

    return FrameSource("stream", False, frames)


class LostCamera:
    """Simulated camera that is unplugged after a few pictures; every third attempt to open it fails."""

    opened = 0

    def __init__(self) -> None:
        type(self).opened += 1
        if self.opened % 3 == 2:
            raise SourceError("no such camera.")
        self._left = _FRAMES_A_LOSS - 1
        self._handle = os.open(os.devnull, os.O_RDONLY)
        self._image = Image.new("RGB", (48, 36), (200, 30 * (self.opened % 8), 90))

    def read(self) -> Image.Image | None:
        self._left -= 1
        if self._left < 0:
            raise SourceError("it has gone.")
        return self._image.copy()

    def close(self) -> None:
        os.close(self._handle)


def camera() -> FrameSource:
    device._RETRY_SECONDS = 0.0
    LostCamera.opened = 0
    return FrameSource("camera", False, lambda: device.camera_frames("camera", LostCamera))


def soak(source: FrameSource, frames: int, folder: Path) -> list[str]:
    """Run the pipeline of `poets-edge watch` on frames; return descriptions of the detected faults.

    Args:
        source: source of the frames.
        frames: number of frames.
        folder: where the collector saves frames.
    """
    classifier = Classifier(MODEL, threads=1)
    sampler = Sampler(frames)
    trigger = Trigger(classifier.labels[0], Command("true"), 1, Silent())
    collector = Collector(CollectOptions(folder=folder, below=1.0, most=20), classifier.labels, Silent())
    began = time.monotonic()
    try:
        predictions = predict_frames(
            classifier,
            source,
            LabelingOptions(),
            reporter=Silent(),
            triggers=[trigger],
            collector=collector,
            stopped=sampler.done,
        )
        summary = show_predictions(predictions, sampler)
    finally:
        trigger.close(lambda: False)
    seconds = time.monotonic() - began
    counts = f"{summary.labeled} labeled, {summary.bad} bad"
    print(f"{source.name}: {counts}, {seconds:.0f} s, {frames / seconds:.0f} frames/s")
    return judge(source.name, sampler.samples)


def judge(name: str, samples: list[Sample]) -> list[str]:
    """Return a description of each resource of which the process uses more at the end than after a tenth of the frames.

    Args:
        name: name of the source of frames.
        samples: resources that the process used, measured at regular intervals.
    """
    first, last = samples[max(0, len(samples) // 10 - 1)], samples[-1]
    wrong = []
    growth = max(one.megabytes for one in samples[-3:]) - first.megabytes
    if growth > MOST_GROWTH:
        wrong.append(f"{name}: memory grew by {growth:.1f} MB")
    # The command of the trigger may be running: one child.
    for what in ("files", "threads", "children"):
        if getattr(last, what) > getattr(first, what) + 1:
            wrong.append(f"{name}: {what} {getattr(first, what)} -> {getattr(last, what)}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--losses", type=int, default=100, help="of the camera")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        if given.losses:
            wrong += soak(camera(), _FRAMES_A_LOSS * given.losses, Path(name) / "camera")
        if given.frames:
            wrong += soak(stream(Random(given.seed)), given.frames, Path(name) / "stream")
    print("\n".join(wrong) or "flat: memory, files, threads, children")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
