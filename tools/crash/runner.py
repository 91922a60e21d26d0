"""Running of commands for the crash tests, on folders of photos and an archive that all of them share."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tools.crash.commands import Line, words
from tools.crash.points import Point, environment

_LARGE = 30 << 20
"""Minimum size, in bytes, of the archive of photos, so that its download takes long enough to be interrupted."""


@dataclass(frozen=True)
class Runner:
    """Runner of `poets-edge` commands that share folders of photos and an archive.

    Attributes:
        work: scratch folder.
        photos: folders of photos, for `{photos-0}`, `{photos-1}` and so on in a command line.
        archive: address, size in bytes and SHA-256 of the archive that `fetch-flowers` downloads.
        prepared: for sequences of command lines that have been run, folders with copies of the files that they wrote.
    """

    work: Path
    photos: tuple[Path, ...]
    archive: str
    prepared: dict[tuple[Line, ...], Path] = field(default_factory=dict)

    def start(self, line: Line, cwd: Path, point: Point | None = None) -> subprocess.Popen[bytes]:
        """Start `poets-edge LINE` in a folder, and return its process.

        Args:
            line: arguments of the command, in which placeholders are replaced.
            cwd: the folder.
            point: point at which the command is killed; None to run it without counting points.
        """
        return subprocess.Popen(
            [sys.executable, "-m", "poets_edge", *words(line, self.photos, cwd)],
            cwd=cwd,
            env=environment(cwd, point, self.archive if line[0] == "fetch-flowers" else ""),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, line: Line, cwd: Path, point: Point | None = None) -> tuple[int, str]:
        """Run `poets-edge LINE` in a folder; return its exit status and the last line of its standard error.

        Args:
            line: arguments of the command, in which placeholders are replaced.
            cwd: the folder.
            point: point at which the command is killed; None to run it without counting points.
        """
        process = self.start(line, cwd, point)
        _, said = process.communicate()
        return process.returncode, (said.decode(errors="replace").strip().splitlines() or [""])[-1]


def archive_of(photos: Path) -> bytes:
    """Return the bytes of a tar.gz archive with the given photos and a large license file.

    Its structure is that of the archive that `fetch-flowers` downloads; the license file makes the download long enough
    to be interrupted.
    """
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        archive.add(photos, "flower_photos")
        info = tarfile.TarInfo("flower_photos/LICENSE.txt")
        info.size = _LARGE
        archive.addfile(info, io.BytesIO(Random(0).randbytes(_LARGE)))
    return file.getvalue()


def draw_photos(work: Path) -> tuple[Path, ...]:
    """Generate three folders of synthetic photos, each with its own class names; return the paths of the folders."""
    photos = tuple(work / f"photos-{number}" for number in range(3))
    bare = Runner(work, (), "")
    for number, folder in enumerate(photos):
        line = ("draw-photos", str(folder), "--per_class", "3", "--seed", str(number), "--quiet")
        assert bare.run(line, work)[0] == 0
        for label in folder.iterdir() if number else ():
            label.rename(folder / f"{label.name}-{number}")
    return photos
