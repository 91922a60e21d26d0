"""Memory and seconds of `train` on many photos, which are made here. Prints the figures of `results/scale.md`.

    python -m benchmarks.scale unchanged 100000     # a second run over photos that have not changed
    python -m benchmarks.scale cold 20000 200000    # real JPEGs, small, nothing cached
    python -m benchmarks.scale cached 1000000       # vectors made, not decoded; then `train` from a full cache

Each run of `train` is a process of its own, whose peak memory is what the system says of it when it has ended. Vectors
are made by a double of the extractor: a million photos are real files, and everything but decoding and the network is
the program's own.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from poets_edge.architectures import architecture
from poets_edge.photos.folder import scan
from poets_edge.photos.table import Digest
from poets_edge.training.backbone import prepare_backbone
from poets_edge.training.bottlenecks import hash_photos, vector_key
from poets_edge.training.cache import Vector, open_cache
from poets_edge.training.weights import find_weights

CLASSES = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
NETWORK = "mobilenet_0.25_128"
_COMMAND = ("-m", "poets_edge", "train", "--weights", "embedded", "--architecture", NETWORK, "--quiet")
_SIDE = 16


def make_photos(folder: Path, count: int) -> None:
    """JPEGs of a few hundred bytes, no two of them alike: each has its number in a comment."""
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


def fill_cache(photos: Path, bottleneck_dir: Path) -> None:
    """Make a vector for each photo, hardly nearer to those of its own class than to others, and cache it."""
    wanted = architecture(NETWORK)
    backbone = prepare_backbone(wanted, find_weights(wanted, Path("tf_files/models"), "embedded"), bottleneck_dir)
    hashed = hash_photos(scan(photos).photos, bottleneck_dir)
    centres = np.random.default_rng(1).standard_normal((len(CLASSES), wanted.bottleneck_size)).astype(np.float32)
    with open_cache(backbone.cache_file) as (cache, _):
        for digest, number in zip(hashed.digests, hashed.photos.classes.tolist(), strict=True):
            cache.put(vector_key(digest.tobytes()), _vector(digest, centres[number]))


def _vector(digest: Digest, centre: Vector) -> Vector:
    noise = np.random.default_rng(int.from_bytes(digest[:8].tobytes(), "big"))
    return np.asarray(np.abs(noise.standard_normal(len(centre), np.float32) + centre * np.float32(0.1)), np.float32)


def train(photos: Path, folder: Path) -> tuple[float, float]:
    """Seconds and peak resident MB of one run in a folder."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *_COMMAND, "--image_dir", str(photos)], cwd=folder, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return time.perf_counter() - started, usage.ru_maxrss / scale


def main() -> None:
    job, *counts = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="poets_edge-scale-", dir=os.environ.get("SCALE_DIR")) as name:
        for count in map(int, counts):
            folder = Path(name) / str(count)
            photos = folder / "photos"
            make_photos(photos, count)
            time.sleep(2.1)  # younger photos would be read again
            if job == "cached":
                fill_cache(photos, folder / "tf_files/bottlenecks")
            elif job == "unchanged":
                train(photos, folder)
            seconds, megabytes = train(photos, folder)
            print(f"{job} {count}: {seconds:.1f} s, {megabytes:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
