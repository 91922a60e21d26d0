"""Tests of commands with each supported Python version and both interpreters, without TensorFlow."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.quantize.activation_statistics import calibrate
from poets_edge.quantize.write_full_int8 import write_full_int8_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session
from tests.conftest import Trained, poets_edge
from tests.frames import exact_photos
from tests.quantize.test_detector import detector, network, pictures
from tests.venvs import cache_to_ourselves, environment

pytestmark = pytest.mark.timeout(1500)  # the Raspberry Pi tests may have the environments to themselves for minutes

QUANTIZATIONS = ("float32", "float16", "dynamic", "int8")


@pytest.fixture(scope="module", autouse=True)
def cache() -> Iterator[Path]:
    with cache_to_ourselves() as folder:
        yield folder


@pytest.fixture(scope="module")
def photos(flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three photos of each class."""
    return exact_photos(flowers, 3, tmp_path_factory.mktemp("photos"))


def _run(python: Path, *arguments: str | Path) -> Any:
    ended = subprocess.run(
        [python, "-m", "poets_edge", *map(str, arguments), "--json"],
        cwd=python.parent,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def _scores(answers: Any) -> dict[tuple[str, str], float]:
    return {(answer["photo"], label["label"]): label["score"] for answer in answers for label in answer["labels"]}


def _labels(answers: Any) -> list[str]:
    return [answer["labels"][0]["label"] for answer in answers]


def _here(trained: Trained, quantization: str, photos: Path) -> Any:
    answers = json.loads(poets_edge("label", "--graph", trained.model(quantization), photos, "--json").ok().stdout)
    assert len(set(_labels(answers))) >= 4, "a model that always says the same proves nothing"
    return answers


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_scores_are_equal_on_every_python_version(version: str, trained: Trained, photos: Path) -> None:
    python = environment(version)
    packages = {path.name.partition("-")[0] for path in (python.parent.parent / "lib").glob("*/site-packages/*")}
    assert "ai_edge_litert" in packages
    assert not packages & {"tensorflow", "keras", "matplotlib", "cv2", "opencv_python", "opencv_python_headless"}
    for quantization in ("float32", "int8"):
        mine, expected = (
            _scores(answers)
            for answers in (
                _run(python, "label", "--graph", trained.model(quantization), photos),
                _here(trained, quantization, photos),
            )
        )
        assert mine == pytest.approx(expected, abs=1e-5 if quantization == "float32" else 0)
    assert _run(python, "inspect", trained.model("int8"))["accelerated"]


def test_tflite_runtime_agrees_with_litert_on_efficientnet_lite(trained_lite: Trained, photos: Path) -> None:
    python = environment("3.11", "tflite-runtime", without="ai-edge-litert")
    for quantization in ("float32", "int8"):
        answers = _run(python, "label", "--graph", trained_lite.model(quantization), photos)
        expected = _here(trained_lite, quantization, photos)
        if quantization == "float32":
            assert _scores(answers) == pytest.approx(_scores(expected), abs=1e-5)
        else:  # other kernels round otherwise; close calls may fall either way
            assert sum(a == b for a, b in zip(_labels(answers), _labels(expected), strict=True)) >= 14


def test_tflite_runtime_with_numpy_1_agrees_with_litert(trained: Trained, photos: Path) -> None:
    python = environment("3.11", "tflite-runtime", without="ai-edge-litert")
    code = "import numpy, tflite_runtime; print(numpy.__version__, tflite_runtime.__version__)"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True).stdout
    assert found.startswith("1.") and "2.14" in found
    for quantization in QUANTIZATIONS:
        answers = _run(python, "label", "--graph", trained.model(quantization), photos)
        expected = _here(trained, quantization, photos)
        if quantization in ("float32", "float16"):
            assert _scores(answers) == pytest.approx(_scores(expected), abs=1e-5)
        else:  # other kernels round otherwise; close calls may fall either way
            assert sum(a == b for a, b in zip(_labels(answers), _labels(expected), strict=True)) >= 14
    judged = _run(python, "evaluate", "--graph", trained.model("int8"), "--image_dir", photos, "--set", "all")
    assert judged["photos"] == 15 and judged["correct"] >= 11
    assert not _run(python, "inspect", trained.model("int8"))["accelerated"]


_RUN = """
import sys
from pathlib import Path
import numpy as np
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session
session = Session(ModelFile(Path("model"), Path("model.tflite").read_bytes()), accelerate=False)
outputs = [session.run_some(values[None], [0, 1]) for values in np.load("inputs.npy")]
np.save("outputs.npy", np.array([np.concatenate(one, axis=1)[0] for one in outputs]))
"""


def test_tflite_runtime_and_litert_compute_equal_full_int8_outputs(tmp_path: Path) -> None:
    """Scores and distances are equal, to the last bit, to those of the preferred interpreter."""
    python, net, images = (
        environment("3.11", "tflite-runtime", without="ai-edge-litert"),
        network(detector()),
        pictures(60),
    )
    statistics = calibrate(net, images[:20], workers=1)
    content = write_full_int8_model(net, statistics.ranges, bottlenecks=statistics.bottlenecks)
    (tmp_path / "model.tflite").write_bytes(content)
    np.save(tmp_path / "inputs.npy", np.stack(images))
    subprocess.run([python, "-c", _RUN], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, check=True)
    session = Session(ModelFile(tmp_path, content), accelerate=False)
    expected = [np.concatenate(session.run_some(image[None], [0, 1]), axis=1)[0] for image in images]
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), expected)
    assert len(np.unique(np.array(expected)[:, -1])) > 10
