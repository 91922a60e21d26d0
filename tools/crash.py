"""Kill commands at random moments, and at every rename and commit: `python -m tools.crash --kills 200 --points all`.

After each kill, every file must equal the previous file or the output of a complete run, no file may be missing, and
graph, labels and record must be from one training run. The next run must produce the files of an undisturbed run, bit
for bit.
With --writers, two or three commands run concurrently in one folder (trainings on different photos, exports or
downloads); the final files must all be the outputs of a single command.

Ctrl-C ends the current part and prints its results.

Only files that are equal in two undisturbed runs are compared. This excludes reports, which contain times.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from unittest.mock import patch

from poets_edge.bench.remote import installation
from poets_edge.bench.remote.connection import Connection
from poets_edge.errors import ModelError
from poets_edge.nets.trained_graph import read_trained
from tests.decoy import Decoy
from tests.photos.server import Files, serving
from tools.crash_commands import COMMANDS, Command, Line, files, names, train, words
from tools.crash_points import Point, When, environment

_KILLS_PER_CHECK = 5
"""Number of times a command is killed before it is run to completion and its results are checked."""
_LARGE = 30 << 20
"""Minimum size of the archive in bytes, so that its download can be interrupted."""


@dataclass(frozen=True)
class Ground:
    """Inputs shared by all commands: folders of photos, and the address of an archive.

    Attributes:
        prepared: folders that preparatory commands have written, by the command lines that were run.
    """

    work: Path
    photos: tuple[Path, ...]
    archive: str
    prepared: dict[tuple[Line, ...], Path] = field(default_factory=dict)

    def start(self, line: Line, cwd: Path, point: Point | None = None) -> subprocess.Popen[bytes]:
        """Start `poets-edge LINE` in a folder, and return its process."""
        return subprocess.Popen(
            [sys.executable, "-m", "poets_edge", *words(line, self.photos, cwd)],
            cwd=cwd,
            env=environment(cwd, point, self.archive if line[0] == "fetch-flowers" else ""),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, line: Line, cwd: Path, point: Point | None = None) -> tuple[int, str]:
        """Run `poets-edge LINE`; return its exit status and the last line of its output."""
        process = self.start(line, cwd, point)
        _, said = process.communicate()
        return process.returncode, (said.decode(errors="replace").strip().splitlines() or [""])[-1]


class Trial:
    """Trial of one command, with its previous files, the outputs of an undisturbed run, and the checks after a kill."""

    def __init__(self, command: Command, ground: Ground) -> None:
        self.command, self.ground = command, ground
        self.place = ground.work / command.name
        self.place.mkdir(parents=True)
        self._ready, self.torn = self.place / "ready", self.place / "torn"
        (self._ready / "app/app/src/main").mkdir(parents=True)
        (self._ready / "app/app/src/main/AndroidManifest.xml").write_text("<manifest/>\n")
        if command.device:
            _make_device(self._ready)
        self._prepare()
        self._decoys = Decoy()
        if command.device:
            self._decoys.plant(self._ready / "pi")
            self._decoys.plant(self._ready / "pi/board")
        self._decoys.plant_everywhere(self._ready)
        self.before = files(self._ready)
        calm = [self.place / "calm", self.place / "calm-2"]
        for folder in calm:
            shutil.copytree(self._ready, folder, symlinks=True)
            start = time.monotonic()
            self._succeed(command.line, folder)
            self.seconds = time.monotonic() - start
            if command.after:
                self._succeed(command.after, folder)
        one, other = map(files, calm)
        self.wanted = {name: content for name, content in one.items() if other.get(name) == content}
        self._names = names(calm[0])
        shutil.rmtree(calm[1])

    def begin(self) -> Path:
        """Create the folder in which the command will be killed, with its previous files; return the path."""
        shutil.rmtree(self.torn, ignore_errors=True)
        shutil.copytree(self._ready, self.torn, symlinks=True)
        return self.torn

    def after_kill(self) -> list[str]:
        """Return descriptions of the faults in the files that a killed command has left."""
        there = files(self.torn)
        changed = {name for name, content in self.wanted.items() if self.before.get(name) != content}
        wrong = [f"{name} is lost" for name in self.before if name in self.wanted and name not in there]
        for name, content in there.items():
            if name in self.wanted and content not in (self.wanted[name], self.before.get(name)):
                wrong.append(f"{name} is neither the earlier one nor the new one")
        if self.command.once and there.keys() & changed and not changed <= there.keys():
            wrong.append("a part of what is there whole or not at all")
        return wrong + _mixed(self.torn) + self._touched()

    def after_next(self) -> list[str]:
        """Run the command to completion after a kill; return descriptions of the faults in its outputs."""
        done = self.command.once and self.wanted.keys() <= files(self.torn).keys()
        status, said = self.ground.run(self.command.after or self.command.line, self.torn)
        if status and not done:
            return [f"the next run failed: {said}"]
        there = files(self.torn)
        wrong = [f"{name} has other bits" for name, content in self.wanted.items() if there.get(name) != content]
        extra = names(self.torn) - self._names
        return wrong + [f"{name} was left behind" for name in extra] + self._touched()

    def _touched(self) -> list[str]:
        """Return a fault for each of the user's files that was changed or removed."""
        return [
            f"{path} is the user's, and was touched" for path in self._decoys.moved(self._ready, self.torn).changed()
        ]

    def _prepare(self) -> None:
        """Run the preparatory commands, except for those whose files can be copied from an earlier trial."""
        first = self.command.first
        known = next((n for n in range(len(first), 0, -1) if first[:n] in self.ground.prepared), 0)
        if known:
            shutil.copytree(self.ground.prepared[first[:known]], self._ready, symlinks=True, dirs_exist_ok=True)
        for number, line in enumerate(first[known:], known + 1):
            self._succeed(line, self._ready)
            if line[0] != "deploy":
                folder = self.ground.work / f"prepared-{len(self.ground.prepared)}"
                shutil.copytree(self._ready, folder, symlinks=True, ignore=lambda *_: ["app", "pi"])
                self.ground.prepared[first[:number]] = folder

    def _succeed(self, line: Line, cwd: Path) -> None:
        status, said = self.ground.run(line, cwd)
        assert status == 0, f"{line}: {said}"


def _make_device(cwd: Path) -> None:
    """Create a simulated device on which an empty wheel replaces the large packages that the program requires."""
    (cwd / "pi").mkdir()

    @contextmanager
    def nothing(*_: object) -> Iterator[list[Path]]:
        wheel = cwd / "nothing.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("nothing_here.py", "")
        yield [wheel]
        wheel.unlink()

    variables = environment(cwd)
    with patch.dict(os.environ, variables), patch.object(installation, "fetched", nothing):
        with Connection("pi") as connection:
            installed = installation.install(connection, folder="board", kind="data")
        shutil.rmtree(Path(installed.folder) / "program")


def _mixed(cwd: Path) -> list[str]:
    """Return a list with a fault if the graph, labels and record in a folder do not belong together, otherwise []."""
    graph = cwd / "tf_files/retrained_graph.pb"
    try:
        if graph.exists():
            read_trained(graph)
    except ModelError as error:
        return [f"mixed: {error}"]
    return []


def every_point(trial: Trial, most: int = 0) -> tuple[int, int, list[str]]:
    """Kill a command before and after its renames and commits; return the numbers of points and kills, and the faults.

    Args:
        most: maximum number of kills; if 0, the maximum set for the command is used.
    """
    command = trial.command
    counter = trial.place / "points"
    trial.ground.run(command.line, trial.begin(), Point(counter, removals=command.removals))
    points = Point(counter).passed()
    whens: tuple[When, ...] = ("before", "after")
    kills = [(number, when) for number in range(1, points + 1) for when in whens]
    most = most or command.most or len(kills)
    if len(kills) > most:
        kills = [kills[index * (len(kills) - 1) // (most - 1)] for index in range(most)]
    done, wrong = 0, []
    with suppress(KeyboardInterrupt):
        for number, when in kills:
            status, _ = trial.ground.run(command.line, trial.begin(), Point(counter, number, when, command.removals))
            faults = [*trial.after_kill(), *trial.after_next()]
            done += status == -signal.SIGKILL
            wrong += [f"{command.name}, {when} point {number} of {points}: {fault}" for fault in faults]
    return points, done, wrong


def random_kills(
    trials: list[Trial], count: int, seed: int, seconds: float = math.inf
) -> tuple[Counter[str], list[str]]:
    """Kill commands at random moments; return the number of kills by command name, and the faults.

    Args:
        seconds: time limit in seconds, after which no command is started.
    """
    rng, wrong = Random(seed), []
    end = time.monotonic() + seconds
    killed: Counter[str] = Counter()
    since = dict.fromkeys([trial.command.name for trial in trials], 0)

    def kill(trial: Trial) -> list[str]:
        name = trial.command.name
        if not since[name] or trial.command.once:
            trial.begin()
        process = trial.ground.start(trial.command.line, trial.torn)
        try:
            process.communicate(timeout=rng.uniform(0.02, 1.0) * trial.seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            killed[name] += 1
        faults = trial.after_kill()
        since[name] += 1
        if since[name] == _KILLS_PER_CHECK or trial.command.once:
            faults += trial.after_next()
            since[name] = 0
        return faults

    with suppress(KeyboardInterrupt):
        while killed.total() < count and time.monotonic() < end:
            [trial] = rng.choices(trials, [trial.command.share for trial in trials])
            wrong += [f"{trial.command.name}, kill {killed.total()}: {fault}" for fault in kill(trial)]
    for trial in trials:
        if since[trial.command.name]:
            wrong += [f"{trial.command.name}, in the end: {fault}" for fault in trial.after_next()]
    return killed, wrong


def writers(count: int, ground: Ground) -> tuple[int, list[str]]:
    """Run two or three commands concurrently in one folder, in rounds of trainings, exports or downloads.

    Returns:
        The number of completed rounds, and the faults.
    """
    done, wrong = 0, []
    place = ground.work / "writers"
    place.mkdir()
    with suppress(KeyboardInterrupt):
        for number in range(count):
            kind = ("train", "train", "train", "train", "export", "fetch-flowers")[number % 6]
            many = 2 + number % 4 // 2
            faults = _at_once(kind, many, ground, place)
            wrong += [f"{many} {kind} at once, round {number}: {fault}" for fault in faults]
            done += 1
    return done, wrong


def _at_once(kind: str, many: int, ground: Ground, place: Path) -> list[str]:
    lines: list[Line] = [("export", "--all", "--quiet")] * many
    if kind == "train":
        lines = [train(f"{{photos-{which}}}") for which in range(many)]
    elif kind == "fetch-flowers":
        shutil.rmtree(place / "flowers", ignore_errors=True)
        lines = [("fetch-flowers", "flowers", "--quiet")] * many
    processes = [ground.start(line, place) for line in lines]
    said = [process.communicate()[1].decode(errors="replace") for process in processes]
    failed = [text for process, text in zip(processes, said, strict=True) if process.returncode]
    faults = _mixed(place)
    if kind == "fetch-flowers":
        drawn = {path.relative_to(ground.photos[0]).as_posix() for path in ground.photos[0].rglob("*.jpg")}
        if {*files(place / "flowers")} != {*drawn, "LICENSE.txt"}:
            faults.append("not the whole folder of photos")
        refused = ("there is something already", "another program has just fetched")  # one of them is the first
        late = [text for text in failed if any(words in text for words in refused)]
        failed = failed if len(failed) == many else [text for text in failed if text not in late]
    elif kind == "train":
        record = json.loads((place / "tf_files/retrained_graph.json").read_bytes())
        if Path(record["image_dir"]) not in ground.photos:
            faults.append("a record of nobody")
    else:
        faults += _exports_of_another(place)
    faults += [f"failed: {text.strip().splitlines()[-1:]}" for text in failed]
    left = [path for path in place.rglob(".*") if path.is_file()]
    for path in left:
        path.unlink()  # report it once
    return faults + [f"{path.relative_to(place)} was left behind" for path in left]


def _exports_of_another(place: Path) -> list[str]:
    """Return a fault for each exported file whose labels differ from the labels of the graph next to it."""
    from poets_edge.device.classifier import Classifier

    labels = read_trained(place / "tf_files/retrained_graph.pb").labels
    exported = sorted((place / "tf_files").glob("*.tflite"))
    return [f"{path.name} has other labels" for path in exported if Classifier(path).labels != tuple(labels)]


def archive_of(photos: Path) -> bytes:
    """Return an archive like that of the codelab's photos, with fewer photos and a large license file."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        archive.add(photos, "flower_photos")
        info = tarfile.TarInfo("flower_photos/LICENSE.txt")
        info.size = _LARGE
        archive.addfile(info, io.BytesIO(Random(0).randbytes(_LARGE)))
    return file.getvalue()


def draw(work: Path) -> tuple[Path, ...]:
    """Generate three folders of photos with different class names; return their paths."""
    photos = tuple(work / f"photos-{number}" for number in range(3))
    bare = Ground(work, (), "")
    for number, folder in enumerate(photos):
        line = ("draw-photos", str(folder), "--per_class", "3", "--seed", str(number), "--quiet")
        assert bare.run(line, work)[0] == 0
        for label in folder.iterdir() if number else ():
            label.rename(folder / f"{label.name}-{number}")
    return photos


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="at random moments")
    parser.add_argument("--writers", type=int, default=0, help="rounds of two and three at once")
    parser.add_argument("--points", default="", help="commands to kill at renames and commits: train,export or all")
    parser.add_argument("--most", type=int, default=0, help="kills of each of these, if not as many as usual")
    parser.add_argument("--commands", default="", help="those to kill at random, if not all")
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="time for the random kills, without preparation"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random = given.commands.split(",") if given.commands else [command.name for command in COMMANDS]
    points = [command.name for command in COMMANDS] if given.points == "all" else given.points.split(",")
    wrong = []
    with tempfile.TemporaryDirectory() as name, serving(Files()) as server:
        work = Path(name)
        photos = draw(work)
        content = archive_of(photos[0])
        server.content["/flowers.tgz"] = content
        ground = Ground(work, photos, f"{server.url}/flowers.tgz {len(content)} {hashlib.sha256(content).hexdigest()}")
        wanted = {*(random if given.kills else ()), *points}
        trials = []
        for command in (command for command in COMMANDS if command.name in wanted):
            started = time.monotonic()
            trials.append(Trial(command, ground))
            spent = time.monotonic() - started
            print(f"{command.name}: prepared in {spent:.0f} s; a run takes {trials[-1].seconds:.1f} s", flush=True)
        for trial in (trial for trial in trials if trial.command.name in points):
            there, count, found = every_point(trial, given.most)
            print(
                f"{trial.command.name}: killed {count} times before or after its {there} renames and commits;"
                f" {len(found)} faults",
                flush=True,
            )
            wrong += found
        if given.kills:
            killed, found = random_kills(
                [t for t in trials if t.command.name in random], given.kills, given.seed, given.seconds
            )
            by_name = ", ".join(f"{count} {name}" for name, count in sorted(killed.items()))
            print(f"killed at random {killed.total()} times ({by_name}); {len(found)} faults", flush=True)
            wrong += found
        if given.writers:
            rounds, found = writers(given.writers, ground)
            print(f"{rounds} rounds of two and three at once; {len(found)} faults", flush=True)
            wrong += found
    print("\n".join(wrong) or f"nothing lost, nothing mixed, nothing left behind (seed {given.seed})")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
