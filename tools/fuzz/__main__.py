"""Fuzzer: run commands on hostile files, which must be accepted, or rejected with a one-line error message.

    python -m tools.fuzz --seconds 60 --seed 1 --kinds models,photos
    python -m tools.fuzz --tries models=10000,photos=2000 --report fuzzing.md

Files are generated from a seed, so runs with equal seeds try equal files. Files that cause a fault (a signal, a hang, a
traceback, more than a gigabyte, a score that is not a number, a failure without a message) are saved under --keep, with
the command that reproduces it, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import importlib
import io
import json
import shutil
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from tests.decoy import Decoy
from tools.fuzz import archives, devices, graphs, models, operators, options, photos, pytorch, records, web
from tools.fuzz.seeds import SEEDS
from tools.fuzz.server import ROOT, STRICT, USUAL, Outcome, run

_SHORT = ("--min-seconds", "0.01", "--rounds", "1")
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
_TRIES_A_REPORT = 100
Case = tuple[list[str], list[Path]]
"""The arguments of a command, and its hostile input files."""


def _model(seeds: Path, work: Path, rng: Random) -> Case:
    exported = rng.choice(sorted(seeds.glob("*.tflite"))).read_bytes()
    file = work / "model.tflite"
    file.write_bytes(models.mutate(operators.make(rng) if rng.random() < 0.6 else exported, rng))
    commands = [
        ["label", str(file), "photo.png", "--json"],
        ["label", str(file), "photo.png"],
        ["inspect", str(file), "--json"],
        ["evaluate", str(file), "folder", "--set", "all", "--json"],
        ["watch", str(file), "--source", "folder/daisy", "--json", "--threads", "1"],
        ["android", str(file), "--app", "app", "--json"],
        ["benchmark", str(file), *_SHORT, "--json"],
        ["annotate", str(file), "--labels", "labels.txt", "--output", "annotated.tflite", "--json"],
    ]
    (work / "labels.txt").write_text("a\nb\nc\n")
    # An incomplete app: the model is checked and copied, but the app is not built.
    manifest = work / "app/app/src/main/AndroidManifest.xml"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("<manifest/>\n")
    command = rng.choices(commands, (8, 2, 3, 2, 3, 3, 1, 2))[0]
    return command, [file]


def _photo(seeds: Path, work: Path, rng: Random) -> Case:
    suffix, content = photos.make(rng)
    file = work / f"picture{suffix}"
    file.write_bytes(content)
    model = str(seeds / "seed_graph.tflite")
    if rng.random() < 0.8:
        return ["label", model, str(file), "--json"], [file]
    (work / "folder/daisy").mkdir(parents=True, exist_ok=True)
    shutil.copy(file, work / "folder/daisy" / f"x{suffix}")
    return ["evaluate", model, "folder", "--set", "all", "--json"], [file]


def _graph(seeds: Path, work: Path, rng: Random) -> Case:
    file = work / "seed_graph.pb"
    file.write_bytes(graphs.mutate((seeds / "seed_graph.pb").read_bytes(), rng))
    if rng.random() < 0.5:
        shutil.copy(seeds / "seed_labels.txt", work / "seed_labels.txt")
    return ["inspect", str(file), "--json"], [file]


def _run_graph(seeds: Path, work: Path, rng: Random) -> Case:
    """Return a command that runs or exports a mutated graph. Graphs that only TensorFlow can run take seconds."""
    file = work / "seed_graph.pb"
    file.write_bytes(graphs.mutate_nodes((seeds / "seed_graph.pb").read_bytes(), rng))
    shutil.copy(seeds / "seed_labels.txt", work / "seed_labels.txt")
    if rng.random() < 0.5:
        return ["label", str(file), "photo.png", "--json"], [file]
    return ["export", str(file), "--quantize", "float32", "--output_dir", "out", "--json"], [file]


def _record(seeds: Path, work: Path, rng: Random) -> Case:
    for name in ("seed_graph.pb", "seed_labels.txt"):
        shutil.copy(seeds / name, work / name)
    if rng.random() < 0.35:
        one, other = work / "one.json", work / "other.json"
        other.write_bytes((seeds / "benchmark.json").read_bytes())
        one.write_bytes(records.mutate(other.read_bytes(), rng))
        return ["compare", str(one), str(other), "--json"], [one]
    file = work / "seed_graph.json"
    file.write_bytes(records.mutate((seeds / "seed_graph.json").read_bytes(), rng))
    if rng.random() < 0.5:
        return ["inspect", str(work / "seed_graph.pb")], [file]
    return ["export", str(work / "seed_graph.pb"), "--output_dir", "out", "--json"], [file]


def _weights(seeds: Path, work: Path, rng: Random) -> Case:
    from poets_edge.nets.weights import EMBEDDED_FILE

    genuine = EMBEDDED_FILE.read_bytes()
    kind = rng.randrange(6)
    file = work / f"weights.{('npz', 'npz', 'npz', 'tgz', 'h5', 'pth')[kind]}"
    if kind == 0:
        content = records.break_bytes(genuine, rng)
    elif kind == 1:
        content = _other_arrays(genuine, rng)
    elif kind == 2:
        content = _bomb(rng)
    elif kind == 3:
        content = _archive(rng)
    elif kind == 5:
        content = pytorch.mutate(rng)
    else:
        content = b"\x89HDF\r\n\x1a\n" + rng.randbytes(rng.randrange(4000))
    file.write_bytes(content)
    architecture = "efficientnet_lite0_128" if kind == 5 else "mobilenet_0.25_128"
    flags = ["--architecture", architecture, "--how_many_training_steps", "1", "--quiet", "--folds", "0"]
    return ["train", "folder", "--weights", str(file), *flags], [file]


def _other_arrays(genuine: bytes, rng: Random) -> bytes:
    with np.load(io.BytesIO(genuine)) as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = rng.choice(sorted(arrays))
    action = rng.randrange(5)
    if action == 0:
        del arrays[name]
    elif action == 1:
        arrays[name] = arrays[name].reshape(-1)
    elif action == 2:
        arrays[name] = np.full_like(arrays[name], rng.choice((np.nan, np.inf, 6e4)))
    elif action == 3:
        arrays[name] = arrays[name].astype(rng.choice(("U8", "c8", "i8", "f8", "O")))
    else:
        arrays["../../x"] = arrays.pop(name)
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _bomb(rng: Random) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(rng.choice((1, 3, 136))):
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                header, {"descr": "<f4", "fortran_order": False, "shape": (rng.choice((16, 1 << 20, 1 << 40)),)}
            )
            archive.writestr(f"arr_{index}.npy", header.getvalue() + bytes(rng.choice((64, 64 << 20))))
    return file.getvalue()


def _archive(rng: Random) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo("mobilenet/frozen_graph.pb")
        kind = rng.randrange(4)
        if kind == 0:
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        elif kind == 1:
            member.type, member.linkname = tarfile.LNKTYPE, "mobilenet/frozen_graph.pb"
        elif kind == 2:
            member.size = 600 << 20
            archive.addfile(member, _Zeros())
            return file.getvalue()
        else:
            member.size = 100
        archive.addfile(member, io.BytesIO(bytes(member.size)) if member.size else None)
    data = file.getvalue()
    return records.break_bytes(data, rng) if rng.random() < 0.3 else data


class _Zeros(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        return bytes(size)


_TRAIN = [
    *("train", "folder", "--weights", "embedded", "--architecture", "mobilenet_0.25_128"),
    *("--how_many_training_steps", "1", "--folds", "0"),
]
"""Arguments of a training run: it is run once to fill the caches, and again after the caches are damaged."""


def _cache(seeds: Path, work: Path, rng: Random) -> Case:
    folder = work / "tf_files/bottlenecks"
    shutil.copytree(seeds / "bottlenecks", folder)
    file = rng.choice(sorted(folder.iterdir()))
    content = bytearray(file.read_bytes())
    page = 4096 * rng.randrange(max(1, len(content) // 4096))
    if rng.random() < 0.5:
        content[page : page + 4096] = rng.randbytes(4096)
        file.write_bytes(content)
    else:
        file.write_bytes(records.break_bytes(bytes(content), rng))
    return [*_TRAIN, "--quiet"], [file]


def _of_folder(seeds: Path, place: str, rng: Random) -> list[str]:
    """Return a command that reads all photos in a folder, in an archive or at an address."""
    chance = rng.random()
    if chance < 0.3:
        return [*_TRAIN[:1], place, *_TRAIN[2:], "--quiet"]
    if chance < 0.4:
        return ["audit", place, *_TRAIN[2:6], "--folds", "2", "--quiet"]
    return ["evaluate", str(seeds / "seed_graph.tflite"), place, "--set", "all", "--json"]


def _server(seeds: Path, work: Path, rng: Random) -> Case:
    suffix = rng.choice(("", "", ".zip", ".tar"))
    return _of_folder(seeds, f"{web.address()}/{rng.getrandbits(40)}/photos{suffix}", rng), []


def _photo_archive(seeds: Path, work: Path, rng: Random) -> Case:
    contents = {
        path.relative_to(work / "folder").as_posix(): path.read_bytes() for path in (work / "folder").rglob("*.png")
    }
    suffix, data = archives.make_archive(contents, rng)
    file = work / f"photos{suffix}"
    file.write_bytes(data)
    return _of_folder(seeds, str(file), rng), [file]


def _exclude_list(seeds: Path, work: Path, rng: Random) -> Case:
    file = work / "list.json"
    file.write_bytes(archives.make_list(rng))
    return [*_TRAIN, "--quiet", "--exclude", str(file)], [file]


def _device(seeds: Path, work: Path, rng: Random) -> Case:
    command, plan = devices.make(seeds, work, rng)
    return command, [plan]


KINDS: dict[str, Callable[[Path, Path, Random], Case]] = {
    "models": _model,
    "photos": _photo,
    "graphs": _graph,
    "run-graphs": _run_graph,
    "records": _record,
    "weights": _weights,
    "caches": _cache,
    "servers": _server,
    "archives": _photo_archive,
    "exclude": _exclude_list,
    "devices": _device,
    "options": options.make,
}
_STRICT_KINDS = ("servers", "archives", "exclude", "devices", "options")


def fuzz(kind: str, number: int, seed: int, seeds: Path, keep: Path | None) -> Outcome:
    """Generate the hostile file with the given number, run a command on it, and save the file if there is a fault."""
    rng = Random(f"{seed} {kind} {number}")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        work = Path(name)
        _draw_folder(work)
        shutil.copy(work / "folder/daisy/0.png", work / "photo.png")
        command, files = KINDS[kind](seeds, work, rng)
        decoys = Decoy()
        decoys.plant(work / "beside")
        decoys.plant_everywhere(work)
        if kind != "caches":  # training repairs its own cache
            decoys.watch(work)
        outcome = run(command, work, apart=kind == "run-graphs", limits=STRICT if kind in _STRICT_KINDS else USUAL)
        given = {work / word.partition("=")[2] for word in command} | {work / word for word in command}
        if changed := [path for path in decoys.changed() if Path(path) not in given]:  # an output may replace a file
            outcome = replace(outcome, kind="touched", detail=changed[0])
        if outcome.is_fault and keep:
            keep.mkdir(parents=True, exist_ok=True)
            for file in files:
                if file.stat().st_size < 100_000:
                    shutil.copy(file, keep / f"{kind}-{seed}-{number}{file.suffix}")
            line = " ".join(command).replace(name, "").replace(str(ROOT), "")
            print(ascii(f"{kind} {number}: {outcome.kind}: {outcome.detail[-300:]} | {line[:1000]}"), flush=True)
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long, over all kinds; without --tries")
    parser.add_argument("--tries", default="", help="how many of each kind instead: models=10000,photos=2000")
    parser.add_argument("--kinds", default=",".join(KINDS), help="which kinds, %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="where faults are kept, %(default)s")
    parser.add_argument("--report", type=Path, help="write the table there as Markdown")
    given = parser.parse_args()
    tries = {name: int(count) for name, count in (part.split("=") for part in given.tries.split(",") if part)}
    kinds = list(tries) or given.kinds.split(",")
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="fuzz-seeds-") as name:
        seeds = prepare(Path(name), kinds)
        for kind in kinds:
            end = time.monotonic() + given.seconds / len(kinds)
            number = 0
            while number < tries[kind] if tries else time.monotonic() < end:
                outcomes[kind].append(fuzz(kind, number, given.seed, seeds, given.keep))
                number += 1
                if given.report and number % _TRIES_A_REPORT == 0:  # an interrupted run has printed its results so far
                    given.report.write_text(table(outcomes, given.seed))
    text = table(outcomes, given.seed)
    print(text)
    if given.report:
        given.report.write_text(text)
    return int(any(outcome.is_fault for several in outcomes.values() for outcome in several))


def prepare(folder: Path, kinds: list[str]) -> Path:
    """Copy the stored seed files, and create those that are large or depend on the machine; return their folder."""
    import os

    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    os.environ["KERAS_HOME"] = str(folder / "no-weights")
    seeds = folder / "seeds"
    shutil.copytree(ROOT / SEEDS, seeds)
    (folder / "work").mkdir()
    _load_all()
    _draw_photos(seeds)
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
        _draw_folder(folder / "device")
        devices.prepare(seeds, folder / "device/folder")
    if "caches" in kinds:
        cases = folder / "work"
        _draw_folder(cases)
        made = run(_TRAIN, cases)
        assert made.kind == "answered", made
        shutil.copytree(cases / "tf_files/bottlenecks", seeds / "bottlenecks")
    return seeds


def _draw_folder(work: Path) -> None:
    """Write two photos into each of two class folders."""
    for label in ("daisy", "roses"):
        (work / "folder" / label).mkdir(parents=True)
        for index in range(2):
            shade = (40 + 90 * index, 200, 30 if label == "daisy" else 220)
            Image.new("RGB", (40, 30), shade).save(work / "folder" / label / f"{index}.png")


def _load_all() -> None:
    """Import the modules of all commands once, before forking."""
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


def _draw_photos(seeds: Path) -> None:
    """Generate the photos that the record of the seed graph lists, so that exports can be evaluated on them."""
    record = json.loads((seeds / "seed_graph.json").read_bytes())
    for number, name in enumerate(record["photos"]):
        path = seeds / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (10 * number, 200 - 5 * number, 90)).save(path)
        record["photos"][name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (seeds / "seed_graph.json").write_text(json.dumps({**record, "image_dir": str(seeds / "photos")}))


def table(outcomes: dict[str, list[Outcome]], seed: int) -> str:
    """Return a Markdown table with the number of each outcome for each kind of file."""
    kinds = ("answered", "one line", "signal", "hang", "traceback", "memory", "no number", "silent", "touched")
    lines = [
        f"| files (seed {seed}) | tries | {' | '.join(kinds)} | largest MB | slowest s |",
        f"|---|{'--:|' * (len(kinds) + 3)}",
    ]
    for name, several in outcomes.items():
        counts = Counter(outcome.kind for outcome in several)
        cells = " | ".join(str(counts[kind]) for kind in kinds)
        largest = max(outcome.megabytes for outcome in several)
        slowest = max(outcome.seconds for outcome in several)
        lines.append(f"| {name} | {len(several)} | {cells} | {largest} | {slowest:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
