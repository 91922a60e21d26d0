"""Commands that the crash tests kill, the commands that must run before them, and functions that read output files."""

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
    """Return the arguments of a training run that takes about a second, with fifteen photos and fifty steps.

    Args:
        photos: folder of photos.
        more: further arguments.
    """
    return ("train", "--image_dir", photos, *_TRAIN, *more)


_EARLIER, _NOW = "{photos-1}", "{photos-0}"
"""Photo folders of the earlier and the current run. Their class names differ, so that mixed files can be detected."""
_FINE_TUNE = ("--fine-tune", "1", "--fine-tune-epochs", "2")
_EXPORT = ("export", "--all", "--quiet")
_INT8 = "tf_files/retrained_graph_int8.tflite"


@dataclass(frozen=True)
class Command:
    """A command that the crash tests kill.

    Attributes:
        name: name of the command in reports.
        line: arguments of `poets-edge`; `{photos-0}` stands for a folder of photos.
        first: command lines that are run to completion first, to write the files of an earlier run.
        share: relative frequency of the command among random kills.
        most: maximum number of kills at renames and commits, which are then evenly spaced; 0 for no limit.
        after: arguments of the run after a kill; if empty, those in `line`.
        once: whether the command fails if its complete output already exists; this failure is not a fault.
        removals: whether removing a file also counts as a point at which the command is killed.
        device: whether the command requires a simulated device called `pi`, whose home is the folder `pi`.
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
"""Commands to kill. `grid` requires Keras's weights; its report contains times, which differ in every run."""


def words(line: Line, photos: tuple[Path, ...], cwd: Path) -> list[str]:
    """Return a command line's arguments, with placeholders replaced by photo folders or by options for caches.

    Args:
        line: the arguments, with the placeholders "{photos-0}", "{photos-1}" and so on, and "{caches}", which stands
            for a `--remove` option for each cache.
        photos: folders of photos.
        cwd: folder in which the command runs.
    """
    found: list[str] = []
    for word in line:
        if word == "{caches}":
            there = sorted((cwd / "tf_files/bottlenecks").glob("*.sqlite"))
            found += [part for path in there for part in ("--remove", path.stem)]
        else:
            found.append(str(photos[int(word[8])]) if word.startswith("{photos-") else word)
    return found


def files(cwd: Path) -> dict[str, bytes]:
    """Return the contents of a command's output files in a folder, by name, without caches and hidden files."""
    found = {}
    for path in sorted(cwd.rglob("*")):
        name = path.relative_to(cwd).as_posix()
        if path.is_file() and not re.search(r"(^|/)(\.|cache/|bottlenecks/)|\.sqlite|tfevents|/runs/", name):
            found[_without_folder(name)] = path.read_bytes().replace(str(cwd).encode(), b"CWD")
    return found


def names(cwd: Path) -> Counter[str]:
    """Count the files in a folder by name, where each number in a name is replaced by "#".

    Hidden files and caches are included. Files with equal names in the folders of different training runs count once.
    """
    found = Counter(
        re.sub(r"\d+", "#", _without_folder(path.relative_to(cwd).as_posix()))
        for path in cwd.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )
    return Counter({name: 1 if "/runs/" in name else count for name, count in found.items()})


def _without_folder(name: str) -> str:
    """Replace the digest in the name of a systemd service with "#", because it depends on the device's folder."""
    return re.sub(r"(poets-edge-watch-)[0-9a-f]{8}", r"\1#", name)
