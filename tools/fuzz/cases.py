"""Cases for the fuzzer: for each kind of input, a command and the hostile files that it reads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from poets_edge.nets.weights import EMBEDDED_FILE
from tools.fuzz import archives, devices, graphs, models, operators, options, photos, pytorch, records, web, weights

TRAIN = [
    *("train", "folder", "--weights", "embedded", "--architecture", "mobilenet_0.25_128"),
    *("--how_many_training_steps", "1", "--folds", "0"),
]
"""Arguments of a training command, which is run once to fill the caches, and again after the caches are damaged."""
_SHORT = ("--min-seconds", "0.01", "--rounds", "1")
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
    """Return a command that runs or exports a mutated graph, and the path of the graph.

    If only TensorFlow can run the graph, the command takes seconds.
    """
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
    genuine = EMBEDDED_FILE.read_bytes()
    kind = rng.randrange(6)
    file = work / f"weights.{('npz', 'npz', 'npz', 'tgz', 'h5', 'pth')[kind]}"
    if kind == 0:
        content = records.break_bytes(genuine, rng)
    elif kind == 1:
        content = weights.change_arrays(genuine, rng)
    elif kind == 2:
        content = weights.make_bomb(rng)
    elif kind == 3:
        content = weights.make_archive(rng)
    elif kind == 5:
        content = pytorch.mutate(rng)
    else:
        content = b"\x89HDF\r\n\x1a\n" + rng.randbytes(rng.randrange(4000))
    file.write_bytes(content)
    architecture = "efficientnet_lite0_128" if kind == 5 else "mobilenet_0.25_128"
    flags = ["--architecture", architecture, "--how_many_training_steps", "1", "--quiet", "--folds", "0"]
    return ["train", "folder", "--weights", str(file), *flags], [file]


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
    return [*TRAIN, "--quiet"], [file]


def _of_folder(seeds: Path, place: str, rng: Random) -> list[str]:
    """Return a command that reads all photos in a folder, in an archive or at a URL."""
    chance = rng.random()
    if chance < 0.3:
        return [*TRAIN[:1], place, *TRAIN[2:], "--quiet"]
    if chance < 0.4:
        return ["audit", place, *TRAIN[2:6], "--folds", "2", "--quiet"]
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
    return [*TRAIN, "--quiet", "--exclude", str(file)], [file]


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
