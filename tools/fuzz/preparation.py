"""Preparation of a fuzzer run: copies or creates seed files, generates photos, and imports modules once."""

from __future__ import annotations

import gc
import hashlib
import importlib
import json
import os
import shutil
from pathlib import Path

from PIL import Image

from tools.fuzz import devices
from tools.fuzz.cases import TRAIN
from tools.fuzz.seeds import SEEDS
from tools.fuzz.server import ROOT, run

_LATE = (
    "poets_edge.tflite.verify.verify",
    "poets_edge.device.watch.sources",
    "poets_edge.nets.trained_graph",
    "poets_edge.quantize.graph_scorer",
    "poets_edge.photos.http",
    "PIL.PngImagePlugin",
    "PIL.JpegImagePlugin",
)
"""Modules that the program imports lazily; they are imported once before forking, to save time in each fork."""


def prepare(folder: Path, kinds: list[str]) -> Path:
    """Copy the valid files that are mutated ("seed files") to a folder, create the missing ones, and return the folder.

    Files that are large or depend on the machine are created.

    Args:
        folder: scratch folder, in which the folder `seeds` is created.
        kinds: kinds of hostile files for which seed files are needed.
    """
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    os.environ["KERAS_HOME"] = str(folder / "no-weights")
    seeds = folder / "seeds"
    shutil.copytree(ROOT / SEEDS, seeds)
    (folder / "work").mkdir()
    _load_all()
    draw_photos(seeds)
    if {"records", "options"} & set(kinds):
        measured = [
            "benchmark",
            "seed_graph.tflite",
            "--min-seconds",
            "0.1",
            "--rounds",
            "1",
            "--output",
            "benchmark.json",
        ]
        made = run(measured, seeds)
        assert made.kind == "answered", made
    if "devices" in kinds:
        draw_folder(folder / "device")
        devices.prepare(seeds, folder / "device/folder")
    if "caches" in kinds:
        cases = folder / "work"
        draw_folder(cases)
        made = run(TRAIN, cases)
        assert made.kind == "answered", made
        shutil.copytree(cases / "tf_files/bottlenecks", seeds / "bottlenecks")
    return seeds


def draw_folder(work: Path) -> None:
    """Create the folder `work/folder` with two class folders, and write two small photos into each of them."""
    for label in ("daisy", "roses"):
        (work / "folder" / label).mkdir(parents=True)
        for index in range(2):
            shade = (40 + 90 * index, 200, 30 if label == "daisy" else 220)
            Image.new("RGB", (40, 30), shade).save(work / "folder" / label / f"{index}.png")


def _load_all() -> None:
    """Import the modules of all commands once, before forking, so that the forks need not import them."""
    from poets_edge.cli import COMMANDS
    from poets_edge.photos import http
    from poets_edge.tflite.interpreter import find_runtime

    for command in COMMANDS:
        importlib.import_module(f"poets_edge.cli.{command.replace('-', '_')}")
    for module in _LATE:
        importlib.import_module(module)
    find_runtime()
    http.SECONDS = 1.0  # limits the time of slow servers, 15 s by default
    # Garbage collection in a fork would copy all memory pages of the parent.
    gc.collect()
    gc.freeze()


def draw_photos(seeds: Path) -> None:
    """Generate the photos that the training record of the seed graph lists, so that exports can be evaluated on them.

    Args:
        seeds: folder of the seed graph. Its training record is updated to refer to the generated photos.
    """
    record = json.loads((seeds / "seed_graph.json").read_bytes())
    for number, name in enumerate(record["photos"]):
        path = seeds / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (10 * number, 200 - 5 * number, 90)).save(path)
        record["photos"][name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (seeds / "seed_graph.json").write_text(json.dumps({**record, "image_dir": str(seeds / "photos")}))
