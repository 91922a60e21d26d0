"""Benchmark of the studio server: importing photos, listing photos, retraining, and memory usage.

    python -m benchmarks.studio [--photos 5000] [--turns 10]
    python -m benchmarks.studio --soak 60

The photos are JPEGs of about 1 MB. They are uploaded over as many connections as the page uses. The import is compared
with copying and decoding the same files, by Pillow at full size and as `train` does at reduced size, in as many
processes as the server uses. The measurements alternate, so that other load affects all of them equally. With
`--soak`, only the memory usage is measured, while a script uses the server for the given number of minutes. Output: a
table on stdout.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache, partial
from http.client import HTTPConnection
from pathlib import Path
from queue import SimpleQueue

import numpy as np
from PIL import Image

from poets_edge.core.parallel import cores
from poets_edge.photos.image import read_photo
from tests.studio.client import StudioClient, running

_CLASSES = 5
_PICTURES = 20
_UPLOADS_AT_ONCE = 4
_MOVED = 10
_TRAINED = 1000
_MANY = 5000
_THUMBNAIL_SECONDS = 600
_ROUNDS_OF_USE = 20
_SOAK_PAUSE = 2.0


def main() -> None:
    """Run the benchmark with the options on the command line, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="measure the memory during scripted use instead")
    arguments = parser.parse_args()
    if arguments.soak is not None:
        with tempfile.TemporaryDirectory() as name:
            _soak(Path(name), arguments.soak)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "photos"
        folder.mkdir()
        with running(folder) as client, ProcessPoolExecutor(min(2, cores())) as processes:
            print_row("question", "result")
            print_row("---", "--:")
            _import(client, processes, Path(name), arguments.photos, arguments.turns)
            _lists(client)
            _memory(client)
        _many(Path(name))
        _retrain(Path(name))


def _import(client: StudioClient, processes: ProcessPoolExecutor, folder: Path, photos: int, turns: int) -> None:
    size, count = 0, photos // turns
    uploads, reduced, full = [], [], []
    for turn in range(turns):
        files = [_photo(turn * count + number) for number in range(count)]
        size = len(files[0])
        source = folder / "source"
        source.mkdir()
        paths = [source / f"{turn}-{number}.jpg" for number in range(count)]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        reduced.append(_seconds(partial(processes.map, _copy_and_decode, paths, chunksize=8)))
        uploads.append(_seconds(partial(_upload_all, client, turn, paths, files)))
        full.append(_seconds(partial(processes.map, _copy_and_decode_in_full, paths, chunksize=8)))
        for path in source.rglob("*"):
            path.unlink()
        source.rmdir()
    print_row(f"import of {photos} photos of {size / 1e6:.2f} MB, photos a second", f"{photos / sum(uploads):.0f}")
    for name, times in {"at full size": full, "at reduced size": reduced}.items():
        ratios = [one / other for one, other in zip(uploads, times, strict=True)]
        print_row(
            f"import over copying and decoding {name}, median of {turns} turns (range)",
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        )


def _seconds(work: Callable[[], Iterable[object]]) -> float:
    started = time.perf_counter()
    list(work())
    return time.perf_counter() - started


def _upload_all(client: StudioClient, turn: int, paths: Sequence[Path], files: Sequence[bytes]) -> Iterator[None]:
    """Upload files over several connections at the same time; yield once for each uploaded file."""
    connections = [client.connection() for _ in range(_UPLOADS_AT_ONCE)]
    idle = SimpleQueue[HTTPConnection]()
    for connection in connections:
        idle.put(connection)

    def upload(path: Path, data: bytes) -> None:
        connection = idle.get()
        label = f"class {hash(path.name) % _CLASSES}"
        assert client.upload(data, path.name, label, f"turn{turn}", connection=connection).ok()["added"] == 1
        idle.put(connection)

    with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
        yield from pool.map(upload, paths, files)
    for connection in connections:
        connection.close()


def _copy_and_decode(path: Path) -> None:
    data = path.read_bytes()
    path.with_suffix(".copy").write_bytes(data)
    read_photo(data)


def _copy_and_decode_in_full(path: Path) -> None:
    data = path.read_bytes()
    path.with_suffix(".copy").write_bytes(data)
    Image.open(io.BytesIO(data)).load()


def _lists(client: StudioClient) -> None:
    times, answer = [], b""
    for _ in range(20):
        started = time.perf_counter()
        answer = client.get("/api/photos").body
        times.append(time.perf_counter() - started)
    count = len(json.loads(answer)["photos"])
    print_row(f"list of {count} photos, median of 20 requests (worst)", f"{_ms(times)} ms ({1000 * max(times):.0f})")
    names = sorted(client.photos())
    times = []
    for name in names[:: max(1, len(names) // 200)]:
        started = time.perf_counter()
        client.get(f"/thumb/{name.replace(' ', '%20')}")
        times.append(time.perf_counter() - started)
    print_row("thumbnail, median of 200", f"{_ms(times)} ms")


def _memory(client: StudioClient) -> None:
    """Print the memory usage of the server while a script requests thumbnails, moves photos and undoes the moves."""
    names = [name.replace(" ", "%20") for name in sorted(client.photos())]
    found = [_resident(client)]
    for turn in range(_ROUNDS_OF_USE):
        for name in names[turn :: _ROUNDS_OF_USE * 4]:
            client.get(f"/thumb/{name}")
            client.get("/api/project")
        chosen = sorted(client.photos())[:_MOVED]
        client.post("/api/photos/move", {"photos": chosen, "to": "class 3"})
        client.post("/api/undo")
        found.append(_resident(client))
    shown = ", ".join(f"{value:.0f}" for value in found[:: _ROUNDS_OF_USE // 5])
    print_row("memory of the server after the import and during use, MB", shown)
    print_row("memory of its two decoders, MB", ", ".join(f"{value:.0f}" for value in _helpers(client)))


def _soak(folder: Path, minutes: float) -> None:
    """Print the memory usage of the server while a script uses it for some minutes, including uploads and training."""
    project = folder / "soak"
    write_photos(project, _TRAINED)
    with running(project) as client:
        client.run_job(kind="train", choice="quick")
        found: list[float] = []
        ended = time.monotonic() + 60 * minutes
        while time.monotonic() < ended:
            _use(client, len(found))
            found.append(_resident(client))
            time.sleep(_SOAK_PAUSE)
    warm = len(found) // 6  # caches are filled
    print_row(
        f"memory after {minutes * warm / len(found):.0f} of {minutes:.0f} minutes of use, MB", f"{found[warm]:.1f}"
    )
    print_row(f"memory at the end, after {len(found)} rounds, MB", f"{found[-1]:.1f}")
    print_row("largest memory, MB", f"{max(found):.1f}")


def _use(client: StudioClient, round_number: int) -> None:
    """Send the requests of one round of scripted use; changes are undone, and every 20th round trains a model."""
    names = sorted(client.photos())
    for name in names[round_number % 50 :: 50]:
        client.get(f"/thumb/{name.replace(' ', '%20')}")
    client.get(f"/photo/{names[round_number % len(names)].replace(' ', '%20')}")
    for event in client.events("project", until=""):
        assert event["version"]
        break
    for action in ("move", "exclude", "keep", "delete"):
        client.post(f"/api/photos/{action}", {"photos": names[:_MOVED], "to": "class 3"}).ok()
        client.post("/api/undo").ok()
    client.upload(_photo(round_number, side=320) + b"new", f"new {round_number}.jpg", "class 1").ok()
    client.post("/api/undo").ok()
    if round_number % 20 == 0:
        client.run_job(kind="train", choice="quick")


def _many(folder: Path) -> None:
    """Print the listing time and the memory usage of the server for many small photos that have thumbnails."""
    project = folder / "many"
    write_photos(project, _MANY)
    with running(project) as client:
        wait_for_thumbnails(project, _MANY)
        _lists(client)
        print_row(f"memory of the server with {_MANY} photos, MB", f"{_resident(client):.0f}")


def wait_for_thumbnails(project: Path, count: int) -> None:
    """Wait until the server has made `count` thumbnails, but for ten minutes at most."""
    deadline = time.monotonic() + _THUMBNAIL_SECONDS
    while len(list((project / ".poets-edge/thumbnails").iterdir())) < count and time.monotonic() < deadline:
        time.sleep(1)


def write_photos(project: Path, count: int, side: int = 320) -> None:
    """Write `count` photos that are `side` pixels wide, evenly distributed over the classes."""
    for number in range(count):
        path = project / f"class {number % _CLASSES}" / f"photo {number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_photo(number, side))


def _retrain(folder: Path) -> None:
    """Print the duration of the first training, and of retraining after some photos were moved to another class."""
    project = folder / "retrained"
    write_photos(project, _TRAINED)
    with running(project) as client:
        seconds = []
        for _ in range(4):
            started = time.perf_counter()
            client.run_job(kind="train", choice="quick")
            seconds.append(time.perf_counter() - started)
            chosen = [name for name in sorted(client.photos()) if name.startswith("class 0")][:_MOVED]
            client.post("/api/photos/move", {"photos": chosen, "to": "class 1"}).ok()
        print_row(f"first training with {_TRAINED} photos", f"{seconds[0]:.1f} s")
        print_row(f"training again after moving {_MOVED} of them, best of 3", f"{min(seconds[1:]):.1f} s")


def _photo(number: int, side: int = 2400) -> bytes:
    """Return a JPEG of smooth noise, about 1 MB for `side=2400`. Its content depends on `number`."""
    return _picture(number % _PICTURES, side) + number.to_bytes(4, "big")  # readers ignore what follows the picture


@cache
def _picture(seed: int, side: int) -> bytes:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(coarse).resize((side, side * 3 // 4), Image.Resampling.BICUBIC), np.int16)
    grain = rng.integers(-18, 19, image.shape, dtype=np.int16)
    file = io.BytesIO()
    Image.fromarray(np.clip(image + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=84)
    return file.getvalue()


def _resident(client: StudioClient) -> float:
    return _rss(client.process.pid)


def _helpers(client: StudioClient) -> Sequence[float]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"\nPPid:\t{client.process.pid}\n" in status.read_text():
                found.append(_rss(int(status.parent.name)))
        except OSError:
            continue
    return found


def _rss(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def _ms(times: list[float]) -> str:
    return f"{1000 * statistics.median(times):.0f}"


def print_row(question: str, result: str) -> None:
    """Print a row of the table."""
    print(f"| {question} | {result} |", flush=True)


if __name__ == "__main__":
    main()
