"""Runs of `train` for `benchmarks.scale`: generated photos, timed processes, and killed workers."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import numpy as np
from PIL import Image

from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import find_weights
from poets_edge.photos.folder import scan
from poets_edge.photos.image import Pixels
from poets_edge.photos.table import Digest
from poets_edge.tflite.read_model import ModelSource
from poets_edge.training import cluster, vector_task
from poets_edge.training.backbone import prepare_backbone
from poets_edge.training.bottleneck_cache import Vector, open_cache
from poets_edge.training.bottlenecks import Extractor, vector_key
from poets_edge.training.hashed_photos import hash_photos
from poets_edge.training.vector_task import PHOTOS_PER_TASK, PhotoFile, TaskResult
from tools.cluster_workers import workers_of

CLASSES = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
NETWORK = "mobilenet_0.25_128"
ROOT = Path(__file__).parents[1]
_TRAIN = ("train", "--weights", "embedded", "--architecture", NETWORK)
_SIDE = 16
_COUNTED = "POETS_EDGE_SCALE_COUNTED"
"""Environment variable with the path of the file to which workers append their pid for each photo they compute."""
NOTE = 8
"""Length, in bytes, of each process id that workers append to the file named by _COUNTED; it is padded with spaces."""


def make_photos(folder: Path, count: int) -> None:
    """Write JPEGs of a few hundred bytes, each with a number in a JPEG comment, so that all of them differ."""
    rng = np.random.default_rng(0)
    pictures = []
    for label in CLASSES:
        (folder / label).mkdir(parents=True, exist_ok=True)
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (_SIDE, _SIDE, 3), dtype=np.uint8)).save(file, "JPEG", quality=50)
        pictures.append(file.getvalue())
    for number in range(count):
        place, comment = number % len(CLASSES), b"%09d" % number
        picture = pictures[place]
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        (folder / CLASSES[place] / f"{number:07}.jpg").write_bytes(picture[:2] + segment + picture[2:])
    time.sleep(2.1)  # checksums of recently changed photos are not cached


def fill_cache(photos: Path, bottleneck_dir: Path) -> None:
    """Write a random feature vector for each photo into the cache; the vectors of different classes overlap widely."""
    wanted = architecture(NETWORK)
    backbone = prepare_backbone(wanted, find_weights(wanted, Path("tf_files/models"), "embedded"), bottleneck_dir)
    hashed = hash_photos(scan(photos).photos, bottleneck_dir)
    centers = np.random.default_rng(1).standard_normal((len(CLASSES), wanted.bottleneck_size)).astype(np.float32)
    with open_cache(backbone.cache_file) as (cache, _):
        for digest, number in zip(hashed.digests, hashed.photos.classes.tolist(), strict=True):
            cache.put(vector_key(digest.tobytes()), _vector(digest, centers[number]))


def _vector(digest: Digest, center: Vector) -> Vector:
    noise = np.random.default_rng(int.from_bytes(digest[:8].tobytes(), "big"))
    return np.asarray(np.abs(noise.standard_normal(len(center), np.float32) + center * np.float32(0.1)), np.float32)


def forget_bottlenecks(folder: Path) -> None:
    """Remove the cached bottlenecks from the folder of a run, but keep the cached checksums of the photos."""
    for path in (folder / "tf_files/bottlenecks").glob("mobilenet*"):
        for file in path.iterdir() if path.is_dir() else [path]:
            file.unlink()


@dataclass(frozen=True)
class Run:
    """Measurements of one process of `train`.

    Attributes:
        seconds: total duration.
        first_step: seconds until the first training step of the head.
        connected: seconds until the workers were started; 0 without `--cluster`.
        processor: processor time of the process and its children, in seconds.
        memory: peak resident memory of the process, in MB.
        graph: contents of the graph file.
    """

    seconds: float
    first_step: float
    connected: float
    processor: float
    memory: float
    graph: bytes


def train(
    photos: Path, folder: Path, *more: str, checkout: Path = ROOT, kills: int = 0, counted: Path | None = None
) -> tuple[Run, int]:
    """Run `train` in a folder; return the measurements and the number of workers that were killed.

    Args:
        more: additional arguments of `train`.
        checkout: checkout of this repository whose `train` is run.
        kills: number of workers to kill at random; at least one task is finished between two kills.
        counted: file to which workers append their pid for each photo that they compute.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [*_TRAIN, "--image_dir", str(photos), *more]
    command = [sys.executable, "-m", "poets_edge", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    if counted:
        counted.write_bytes(b"")
        environment[_COUNTED] = str(counted)
        command = [sys.executable, "-m", "benchmarks.scale_runs", *arguments]
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    killed: list[int] = []
    if counted and kills:
        Thread(target=_kill_workers, args=(process.pid, kills, counted, killed), daemon=True).start()
    first_step = connected = 0.0
    said = []
    for line in process.stderr or ():
        said.append(line)
        if not first_step and line.startswith("step "):
            first_step = time.perf_counter() - started
        elif line.startswith("cluster "):
            connected = time.perf_counter() - started
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit("".join(said[-5:]))
    seconds = time.perf_counter() - started
    memory = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    graph = (folder / "tf_files/retrained_graph.pb").read_bytes()
    return Run(seconds, first_step, connected, usage.ru_utime + usage.ru_stime, memory, graph), len(killed)


def _kill_workers(parent: int, kills: int, counted: Path, killed: list[int]) -> None:
    chance, seen = random.Random(0), 0
    while len(killed) < kills and Path(f"/proc/{parent}").exists():
        done, workers = counted.stat().st_size // NOTE, workers_of(parent)  # including starting workers
        if (
            workers and done >= seen + PHOTOS_PER_TASK
        ):  # at least one task is finished between two kills, so that the run ends
            chosen = chance.choice(workers)
            with contextlib.suppress(ProcessLookupError):
                os.kill(chosen, signal.SIGKILL)
                killed.append(chosen)
                seen = done
        time.sleep(chance.uniform(0.2, 1.0))


class _CountingExtractor(Extractor):
    """Feature extractor that, for each photo, appends the id of its process to a file shared by all workers."""

    def __call__(self, pixels: Pixels) -> Vector:
        vector = super().__call__(pixels)
        with Path(os.environ[_COUNTED]).open("ab", buffering=0) as file:
            file.write(b"%8d" % os.getpid())
        return vector


def compute_counted(
    photos: Sequence[PhotoFile], models: Sequence[ModelSource], sizes: Sequence[tuple[int, int]]
) -> TaskResult:
    """Compute feature vectors like `vector_task.compute_vectors`, and record the process id for each in a file."""
    setattr(vector_task, "Extractor", _CountingExtractor)  # noqa: B010 - in the worker only
    return vector_task.compute_vectors(photos, models, sizes)


if __name__ == "__main__":
    from benchmarks import scale_runs  # by the name that workers import
    from poets_edge.cli import main

    setattr(cluster, "compute_vectors", scale_runs.compute_counted)  # noqa: B010
    main()
