"""The commands that write, as `tools.crash` kills them: their lines, what is there before, and what they leave."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

_TRAIN = (
    *("--weights", "embedded", "--architecture", "mobilenet_0.25_128", "--how_many_training_steps", "50"),
    *("--folds", "0", "--quiet"),
)
Line = tuple[str, ...]


def train(photos: str, *more: str) -> Line:
    """A training of a second: five classes of three photos, fifty steps."""
    return ("train", "--image_dir", photos, *_TRAIN, *more)


_EARLIER, _NOW = "{photos-1}", "{photos-0}"
"""Folders with other class names, so that files of two generations beside each other show."""
_FINE_TUNE = ("--fine-tune", "1", "--fine-tune-epochs", "2")
_EXPORT = ("export", "--all", "--quiet")
_INT8 = "tf_files/retrained_graph_int8.tflite"


@dataclass(frozen=True)
class Command:
    """One of them.

    Attributes:
        line: its arguments; `{photos-0}` is a folder of photos.
        first: run before it, undisturbed, where there is to be something that can be lost.
        share: of a hundred random kills.
        most: kills at renames and commits, spread evenly, where one run takes long; 0 for all.
        after: run next where it was killed, in place of itself.
        once: a whole result is refused by the next run, and is what it would have made.
        removals: removing a file counts as a point too.
        device: has a device called `pi`, whose home folder is `pi`.
    """

    name: str
    line: Line
    first: tuple[Line, ...] = ()
    share: int = 1
    most: int = 0
    after: Line = ()
    once: bool = False
    removals: bool = False
    device: bool = False


_DEVICE = ("--on", "pi", "--remote-dir", "board", "--quiet")
_DEPLOY = ("deploy", _INT8, *_DEVICE, "--source", "stream.mjpeg")
_UNDEPLOY = ("deploy", *_DEVICE, "--remove")

COMMANDS = (
    Command("train", train(_NOW), (train(_EARLIER),), share=26),
    Command("export", _EXPORT, (train(_EARLIER), _EXPORT, train(_NOW)), share=22),
    Command("fetch-flowers", ("fetch-flowers", "flowers", "--quiet"), share=14, once=True, removals=True),
    Command("draw-photos", ("draw-photos", "drawn", "--per_class", "3", "--quiet"), share=5, once=True, removals=True),
    Command("web", ("web", _INT8, "--output", "page"), (train(_EARLIER), _EXPORT), share=8, most=24),
    Command("android", ("android", _INT8, "--app", "app"), (train(_EARLIER), _EXPORT), share=4),
    Command(
        "audit",
        ("audit", "--image_dir", _NOW, *_TRAIN[:4], "--report", "audit.html", "--move-suspects", "moved", "--quiet"),
        share=8,
    ),
    Command(
        "cache",
        ("cache", "{caches}"),
        (train(_NOW),),
        share=3,
        after=train(_NOW),
        removals=True,
    ),
    Command("fine-tune", train(_NOW, *_FINE_TUNE), (train(_EARLIER),), share=5, most=24),
    Command("quickstart", ("quickstart", "--quiet"), share=3, most=16),
    Command(
        "grid",
        (
            *("grid", "--image_dir", _NOW, "--architecture", "mobilenet_0.25_128", "--how_many_training_steps", "50"),
            *("--calibration_photos", "3", "--testing_percentage", "40", "--min-seconds", "0.02", "--min-runs", "2"),
            *("--rounds", "1", "--quiet"),
        ),
        share=2,
        most=16,
    ),
    Command(
        "benchmark-on",
        (
            *("benchmark", _INT8, *_DEVICE, "--threads", "1", "--min-seconds", "0.02", "--min-runs", "2"),
            *("--rounds", "1", "--output", "times.json"),
        ),
        (train(_EARLIER), _EXPORT),
        share=4,
        most=24,
        removals=True,
        device=True,
    ),
    Command("deploy", _DEPLOY, (train(_EARLIER), _EXPORT), share=4, most=24, removals=True, device=True),
    Command("undeploy", _UNDEPLOY, (train(_EARLIER), _EXPORT, _DEPLOY), share=4, most=32, removals=True, device=True),
)
"""`grid` needs Keras's weights of that architecture; its times, and so its report, are new in every run."""


def words(line: Line, photos: tuple[Path, ...], cwd: Path) -> list[str]:
    """The arguments of a line, with what its placeholders stand for in a folder."""
    found: list[str] = []
    for word in line:
        if word == "{caches}":
            there = sorted((cwd / "tf_files/bottlenecks").glob("*.sqlite"))
            found += [part for path in there for part in ("--remove", path.stem)]
        else:
            found.append(str(photos[int(word[8])]) if word.startswith("{photos-") else word)
    return found


def files(cwd: Path) -> dict[str, bytes]:
    """What a command has left for its user: neither caches nor hidden files, whose bits are nobody's business."""
    found = {}
    for path in sorted(cwd.rglob("*")):
        name = path.relative_to(cwd).as_posix()
        if path.is_file() and not re.search(r"(^|/)(\.|cache/|bottlenecks/)|\.sqlite|tfevents|/runs/", name):
            found[_without_folder(name)] = path.read_bytes().replace(str(cwd).encode(), b"CWD")
    return found


def names(cwd: Path) -> Counter[str]:
    """The names of all files, hidden ones and caches too, without what is new in every run; of runs, one counts."""
    found = Counter(
        re.sub(r"\d+", "#", _without_folder(path.relative_to(cwd).as_posix()))
        for path in cwd.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )
    return Counter({name: 1 if "/runs/" in name else count for name, count in found.items()})


def _without_folder(name: str) -> str:
    """A name without the digest of the folder in that of a service."""
    return re.sub(r"(poets-edge-watch-)[0-9a-f]{8}", r"\1#", name)
