"""Tests of training and exporting on an emulated Raspberry Pi, in comparison with this machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from poets_edge.device.classifier import Classifier
from poets_edge.nets.graphdef import constant_of, find_node, parse_graph
from tests.conftest import poets_edge
from tests.needs import missing
from tests.venvs import CACHE, cache_to_ourselves, project_wheel
from tools.pi.boards import POETS_EDGE, ImpossibleError
from tools.pi.emulation import emulate, pretend_cpu
from tools.pi.root import build

pytestmark = pytest.mark.timeout(1500)

CPU = "cortex-a72"
TRAIN = (
    "train",
    "photos",
    "--architecture",
    "mobilenet_0.25_128",
    "--weights",
    "embedded",
    "--how_many_training_steps",
    "300",
    "--quiet",
)
EXPORT = ("export", "--quantize", "int8", "--quantize", "float32", "--quiet")


@pytest.fixture(scope="module", autouse=True)
def cache() -> Iterator[Path]:
    with cache_to_ourselves() as folder:
        yield folder


def test_training_on_pi_agrees_with_local_training(cache: Path, tmp_path: Path) -> None:
    try:
        root = build("arm64", CACHE / "pi", project_wheel(), "train")
    except ImpossibleError as error:
        missing(f"no Raspberry Pi can be emulated here: {error}")
        raise
    poets_edge("draw-photos", "photos", "--per-class", "5", cwd=tmp_path).ok()
    work = root / "home/pi/training"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(tmp_path / "photos", work / "photos")
    pretend_cpu(root, "arm64", CPU)
    for arguments in (TRAIN, EXPORT):
        poets_edge(*arguments, cwd=tmp_path).ok()
        inside = ("/bin/busybox", "sh", "-c", f"cd /home/pi/training && exec {' '.join((*POETS_EDGE, *arguments))}")
        ended = emulate(root, CPU, *inside, timeout=900)
        assert ended.returncode == 0, ended.stderr
    photos = sorted((tmp_path / "photos").glob("*/*"))
    heads = []
    for folder in (tmp_path, work):
        graph = parse_graph((folder / "tf_files/retrained_graph.pb").read_bytes(), "graph")
        heads.append([constant_of(find_node(graph, f"head/{what}")) for what in ("weights", "biases")])
    for ours, theirs in zip(*heads, strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-4)
    # The Pi's file gives bit-identical scores on this machine and on the Pi.
    model = "tf_files/retrained_graph_int8.tflite"
    ended = emulate(root, CPU, *POETS_EDGE, "label", "--json", f"/home/pi/training/{model}", "/home/pi/training/photos")
    there = {Path(entry["photo"]).name: entry for entry in json.loads(ended.stdout)}
    here, mine = Classifier(work / model), Classifier(tmp_path / model)
    apart = []
    for photo in photos:
        scores = dict(zip(here.labels, here.scores(photo).tolist(), strict=True))
        said = {label["label"]: label["score"] for label in there[photo.name]["labels"]}
        assert said == {label: scores[label] for label in said}
        apart.append(np.abs(here.scores(photo) - mine.scores(photo)).max())
    # Files of the two machines differ in ranges and rounding, by the last digits of a float.
    assert max(apart) <= 4 / 256
