"""Crash test of one command: prepare its files, and check them after it is killed and after it is run again."""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from poets_edge.bench.remote import installation
from poets_edge.bench.remote.connection import Connection
from poets_edge.errors import ModelError
from poets_edge.nets.trained_graph import read_trained
from tests.decoy import Decoy
from tools.crash.commands import Command, Line, files, names
from tools.crash.points import environment
from tools.crash.runner import Runner


class Trial:
    """Crash test of one command, with checks of its files after it is killed and after it is run again.

    Attributes:
        command: the tested command.
        runner: runner of the commands.
        place: scratch folder of this test.
        torn: folder in which the command is killed.
        before: contents of the files before the command runs, by name.
        wanted: contents of the output files that are equal in two uninterrupted runs, by name.
        seconds: duration of an uninterrupted run.
    """

    def __init__(self, command: Command, runner: Runner) -> None:
        self.command, self.runner = command, runner
        self.place = runner.work / command.name
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
        """Create the folder in which the command will be killed, with the files from before the run; return it."""
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
        return wrong + mixed_files(self.torn) + self._touched()

    def after_next(self) -> list[str]:
        """Run the command again, to completion, after a kill; return descriptions of the faults in its outputs."""
        done = self.command.once and self.wanted.keys() <= files(self.torn).keys()
        status, said = self.runner.run(self.command.after or self.command.line, self.torn)
        if status and not done:
            return [f"the next run failed: {said}"]
        there = files(self.torn)
        wrong = [f"{name} has other bits" for name, content in self.wanted.items() if there.get(name) != content]
        extra = names(self.torn) - self._names
        return wrong + [f"{name} was left behind" for name in extra] + self._touched()

    def _touched(self) -> list[str]:
        """Return a description for each changed or removed file among the user's files, which no command may touch."""
        return [
            f"{path} is the user's, and was touched" for path in self._decoys.moved(self._ready, self.torn).changed()
        ]

    def _prepare(self) -> None:
        """Run the preparatory commands of the tested command.

        If the test of another command has run the same ones first, the resulting files are copied instead.
        """
        first = self.command.first
        known = next((n for n in range(len(first), 0, -1) if first[:n] in self.runner.prepared), 0)
        if known:
            shutil.copytree(self.runner.prepared[first[:known]], self._ready, symlinks=True, dirs_exist_ok=True)
        for number, line in enumerate(first[known:], known + 1):
            self._succeed(line, self._ready)
            if line[0] != "deploy":
                folder = self.runner.work / f"prepared-{len(self.runner.prepared)}"
                shutil.copytree(self._ready, folder, symlinks=True, ignore=lambda *_: ["app", "pi"])
                self.runner.prepared[first[:number]] = folder

    def _succeed(self, line: Line, cwd: Path) -> None:
        status, said = self.runner.run(line, cwd)
        assert status == 0, f"{line}: {said}"


def _make_device(cwd: Path) -> None:
    """Create a simulated device in the folder `cwd/pi`, and install poets_edge on it.

    An empty wheel replaces the large packages that poets_edge requires.
    """
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


def mixed_files(cwd: Path) -> list[str]:
    """Return a description of the fault if graph, labels and training record are from different runs, otherwise []."""
    graph = cwd / "tf_files/retrained_graph.pb"
    try:
        if graph.exists():
            read_trained(graph)
    except ModelError as error:
        return [f"mixed: {error}"]
    return []
