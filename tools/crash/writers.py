"""Crash test with several writers: run commands concurrently in one folder, and check that all final files match."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

from poets_edge.device.classifier import Classifier
from poets_edge.nets.trained_graph import read_trained
from tools.crash.commands import Line, files, train
from tools.crash.runner import Runner
from tools.crash.trial import mixed_files


def run_writers(count: int, runner: Runner) -> tuple[int, list[str]]:
    """Run two or three trainings, exports or downloads concurrently in one folder, and check the final files.

    Args:
        count: number of rounds.
        runner: runner of the commands.

    Returns:
        The number of completed rounds, and descriptions of the faults.
    """
    done, wrong = 0, []
    place = runner.work / "writers"
    place.mkdir()
    with suppress(KeyboardInterrupt):
        for number in range(count):
            kind = ("train", "train", "train", "train", "export", "fetch-flowers")[number % 6]
            many = 2 + number % 4 // 2
            faults = _at_once(kind, many, runner, place)
            wrong += [f"{many} {kind} at once, round {number}: {fault}" for fault in faults]
            done += 1
    return done, wrong


def _at_once(kind: str, many: int, runner: Runner, place: Path) -> list[str]:
    lines: list[Line] = [("export", "--all", "--quiet")] * many
    if kind == "train":
        lines = [train(f"{{photos-{which}}}") for which in range(many)]
    elif kind == "fetch-flowers":
        shutil.rmtree(place / "flowers", ignore_errors=True)
        lines = [("fetch-flowers", "flowers", "--quiet")] * many
    processes = [runner.start(line, place) for line in lines]
    said = [process.communicate()[1].decode(errors="replace") for process in processes]
    failed = [text for process, text in zip(processes, said, strict=True) if process.returncode]
    faults = mixed_files(place)
    if kind == "fetch-flowers":
        drawn = {path.relative_to(runner.photos[0]).as_posix() for path in runner.photos[0].rglob("*.jpg")}
        if {*files(place / "flowers")} != {*drawn, "LICENSE.txt"}:
            faults.append("not the whole folder of photos")
        refused = ("there is something already", "another program has just fetched")  # one of them is the first
        late = [text for text in failed if any(words in text for words in refused)]
        failed = failed if len(failed) == many else [text for text in failed if text not in late]
    elif kind == "train":
        record = json.loads((place / "tf_files/retrained_graph.json").read_bytes())
        if Path(record["image_dir"]) not in runner.photos:
            faults.append("a record of nobody")
    else:
        faults += _exports_of_another(place)
    faults += [f"failed: {text.strip().splitlines()[-1:]}" for text in failed]
    left = [path for path in place.rglob(".*") if path.is_file()]
    for path in left:
        path.unlink()  # report it once
    return faults + [f"{path.relative_to(place)} was left behind" for path in left]


def _exports_of_another(place: Path) -> list[str]:
    """Return a description for each exported file whose labels differ from those of the graph in the same folder."""
    labels = read_trained(place / "tf_files/retrained_graph.pb").labels
    exported = sorted((place / "tf_files").glob("*.tflite"))
    return [f"{path.name} has other labels" for path in exported if Classifier(path).labels != tuple(labels)]
