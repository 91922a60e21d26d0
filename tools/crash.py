"""Kill commands at random moments, and at every rename and commit: `python -m tools.crash --kills 200 --points all`.

Random kills are of `train` and `export`; those at renames and commits of `train`, fine-tuning, `export` and `grid`.
After each the files are either those of a whole run or refused; the next run, undisturbed, gives the very bits of a run
that was never disturbed, and leaves no temporary file. With --writers, two and three trainings into one place at once,
on different photos: labels, graph and record must be of one of them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from poets_edge.errors import ModelError
from poets_edge.graphs.beside import read_trained
from tools import crash_points

ROOT = Path(__file__).resolve().parents[1]
_TRAIN = ["--weights", "embedded", "--architecture", "mobilenet_0.25_128", "--how_many_training_steps", "50", "--quiet"]
_FINE_TUNE = ("--fine-tune", "1", "--fine-tune-epochs", "2")
_GRID = (
    *("--architecture", "mobilenet_0.25_128", "--how_many_training_steps", "50", "--calibration_photos", "3"),
    *("--testing_percentage", "40", "--min-seconds", "0.02", "--min-runs", "2", "--rounds", "1", "--quiet"),
)
"""Needs Keras's weights of that architecture; its models are compared, its times are new each time."""
POINTS = ("train", "fine-tune", "export", "grid")
_RESULTS = ("retrained_graph.pb", "retrained_labels.txt", "retrained_graph.json")


def command(*arguments: str, cwd: Path) -> subprocess.Popen[bytes]:
    """Start `poets-edge ARGUMENTS`."""
    return subprocess.Popen(
        [sys.executable, "-m", "poets_edge", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cwd / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def train(photos: Path, cwd: Path) -> subprocess.Popen[bytes]:
    return command("train", "--image_dir", str(photos), "--folds", "0", *_TRAIN, cwd=cwd)


def export(cwd: Path) -> subprocess.Popen[bytes]:
    return command("export", "--all", "--quiet", cwd=cwd)


def files(cwd: Path) -> dict[str, bytes]:
    """The results: of a training, and what was exported of it."""
    folder = cwd / "tf_files"
    found = [folder / name for name in _RESULTS if (folder / name).exists()]
    found += [path for path in folder.rglob("*.tflite") if "bottlenecks" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(found)}


def leftovers(cwd: Path) -> list[Path]:
    """Temporary files of ours."""
    return [path for path in cwd.rglob(".*") if path.suffix == ".tmp" or path.name.startswith(".poets_edge.")]


def kills(count: int, seed: int, work: Path, photos: Path) -> list[str]:
    """Kill one of the two at a random moment, so many times; gives what was wrong."""
    rng, wrong = Random(seed), []
    calm, torn = work / "calm", work / "torn"
    for folder in (calm, torn):
        folder.mkdir()
    before = time.monotonic()
    assert train(photos, calm).wait() == 0
    middle = time.monotonic()
    assert export(calm).wait() == 0
    spans = {"train": middle - before, "export": time.monotonic() - middle}
    wanted = files(calm)
    for number in range(count):
        what = rng.choice(("train", "export")) if (torn / "tf_files/retrained_graph.pb").exists() else "train"
        process = train(photos, torn) if what == "train" else export(torn)
        time.sleep(rng.uniform(0.05, 1.05) * spans[what])
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        try:
            if (torn / "tf_files/retrained_graph.pb").exists():
                read_trained(torn / "tf_files/retrained_graph.pb")
        except ModelError as error:
            wrong.append(f"kill {number} of {what}: {error}")
        if number % 10 == 9 or number == count - 1:
            if train(photos, torn).wait() or export(torn).wait():
                wrong.append(f"kill {number}: the next run failed")
            elif files(torn) != wanted:
                wrong.append(f"kill {number}: other bits than an undisturbed run")
            wrong += [f"kill {number}: {path.name} was left behind" for path in leftovers(torn)]
    return wrong


def every_point(what: str, work: Path, photos: Path) -> tuple[int, list[str]]:
    """Kill a command before and after each of its renames and commits; gives how often, and what was wrong."""
    ready, calm = work / f"{what}-ready", work / f"{what}-calm"
    ready.mkdir()
    if what == "export":
        assert train(photos, ready).wait() == 0
    shutil.copytree(ready, calm)
    arguments = {
        "train": ("train", "--image_dir", str(photos), "--folds", "0", *_TRAIN),
        "fine-tune": ("train", "--image_dir", str(photos), "--folds", "0", *_TRAIN, *_FINE_TUNE),
        "export": ("export", "--all", "--quiet"),
        "grid": ("grid", "--image_dir", str(photos), *_GRID),
    }[what]
    points = crash_points.count(_at_point(0, "after", arguments, calm))
    wanted, wrong = files(calm), []
    for number in range(1, points + 1):
        for when in ("before", "after"):
            torn = work / f"{what}-torn"
            shutil.copytree(ready, torn)
            place = f"{what}, {when} point {number} of {points}"
            _at_point(number, when, arguments, torn)
            graph = torn / "tf_files/retrained_graph.pb"
            try:
                if graph.exists():
                    read_trained(graph)
            except ModelError as error:
                wrong.append(f"{place}: {error}")
            if command(*arguments, cwd=torn).wait():
                wrong.append(f"{place}: the next run failed")
            elif files(torn) != wanted:
                wrong.append(f"{place}: other bits than an undisturbed run")
            wrong += [f"{place}: {path.name} was left behind" for path in leftovers(torn)]
            shutil.rmtree(torn)
    return 2 * points, wrong


def _at_point(number: int, when: str, arguments: tuple[str, ...], cwd: Path) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "tools.crash_points", str(number), when, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cwd / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert ended.returncode == (-signal.SIGKILL if number else 0), ended.stderr
    return ended.stderr


def writers(count: int, work: Path, photos: tuple[Path, ...]) -> list[str]:
    """Two or three trainings at once into one place, so many times; gives what was wrong."""
    wrong = []
    place = work / "shared"
    place.mkdir()
    for number in range(count):
        processes = [train(folder, place) for folder in photos[: 2 + number % 2]]
        if any(process.wait() for process in processes):
            wrong.append(f"round {number}: a training failed")
        try:
            trained = read_trained(place / "tf_files/retrained_graph.pb")
            record = json.loads((place / "tf_files/retrained_graph.json").read_bytes())
            if trained.record is None or Path(record["image_dir"]) not in photos:
                wrong.append(f"round {number}: no record")
        except ModelError as error:
            wrong.append(f"round {number}: {error}")
        wrong += [f"round {number}: {path.name} was left behind" for path in leftovers(place)]
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--writers", type=int, default=4, help="rounds of two and three trainings at once")
    parser.add_argument("--points", default="", help="commands to kill at every rename and commit: train,export or all")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        photos = tuple(work / f"photos-{number}" for number in range(3))
        for number, folder in enumerate(photos):
            arguments = ("draw-photos", str(folder), "--per_class", "3", "--seed", str(number), "--quiet")
            assert command(*arguments, cwd=work).wait() == 0
        for number, folder in enumerate(photos[1:], 1):  # other names, so that mixed labels show
            for label in folder.iterdir():
                label.rename(folder / f"{label.name}-{number}")
        wrong = kills(given.kills, given.seed, work, photos[0]) if given.kills else []
        wrong += writers(given.writers, work, photos)
        for what in POINTS if given.points == "all" else filter(None, given.points.split(",")):
            count, found = every_point(what, work, photos[0])
            print(f"{what}: killed before and after each rename and commit, {count} times; {len(found)} faults")
            wrong += found
    print("\n".join(wrong) or "nothing lost, nothing mixed, nothing left behind")
    print(f"{given.kills} kills, {given.writers} rounds of several writers, {len(wrong)} faults (seed {given.seed})")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
