"""Tests of the installed program on emulated Raspberry Pis, in comparison with results on this machine.

Times and memory are not checked, since emulation does not reproduce them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Trained, poets_edge
from tests.frames import exact_photos, photos_of
from tests.needs import missing
from tests.pi import several_commands
from tests.venvs import CACHE, cache_to_ourselves, environment, project_wheel
from tests.web.conftest import Drawn, drawn
from tools.pi.boards import POETS_EDGE, VENV, ImpossibleError
from tools.pi.emulation import emulate, pretend_cpu
from tools.pi.root import build

__all__ = ["drawn"]

pytestmark = pytest.mark.timeout(1500)  # under five minutes on a quiet machine with two cores, from nothing

Ended = subprocess.CompletedProcess[str]

ARM64 = ("cortex-a53", "cortex-a72", "cortex-a76")
ARMHF = ("cortex-a7",)
LAST_CPU = {"arm64": ARM64[-1], "armhf": ARMHF[-1]}
"""Emulated processor on which the slower commands run, for each architecture."""
QUANTIZATIONS = ("float32", "int8")
LARGEST_INSTALL_MB = 160
_PROCESSES = ("label int8", "benchmark", "doctor")
"""Commands that are started as the installed program; the others run in one process for each processor."""
_LABELED = {"float32": "drawn", "int8": "few", "efficientnet": "few"}
_LABELED_ON_32_BIT = {"float32": "drawn", "int8": "exact"}
"""Folder of photos to label with each model."""


@dataclass(frozen=True)
class Board:
    """An emulated system, and the results of its commands by processor, command and quantization."""

    root: Path
    ends: dict[tuple[str, str], Ended]

    def json(self, cpu: str, what: str) -> Any:
        ended = self.ends[cpu, what]
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)


@pytest.fixture(scope="module", autouse=True)
def cache() -> Iterator[Path]:
    with cache_to_ourselves() as folder:
        yield folder


@pytest.fixture(scope="module")
def models(trained: Trained, trained_lite: Trained, drawn: Drawn) -> dict[str, Path]:
    """Models by name; `float32` and `small` are small networks, since an emulated inference of others takes seconds."""
    return {
        "float32": drawn.model("float32"),
        "small": drawn.model("int8"),
        "int8": trained.model("int8"),
        "efficientnet": trained_lite.model("int8"),
    }


@pytest.fixture(scope="module")
def photos(flowers: Path, drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with photos of each class: two in `photos`, `exact` and `drawn`, and one in `few`.

    The photos in `drawn` are synthetic. The pixels of those in `exact` and `drawn` do not depend on the JPEG decoder.
    """
    folder = tmp_path_factory.mktemp("pi")
    for name, each in (("photos", 2), ("few", 1)):
        for photo in photos_of(flowers, each):
            (folder / name / photo.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(photo, folder / name / photo.parent.name)
    exact_photos(flowers, 2, folder / "exact")
    exact_photos(drawn.photos, 2, folder / "drawn")
    return folder


@pytest.fixture(scope="module")
def boards(cache: Path, photos: Path, models: dict[str, Path]) -> dict[str, Board]:
    """Build both emulated systems, and run the commands on both concurrently."""
    wheel = project_wheel()
    with ThreadPoolExecutor(2) as pool:
        running: dict[str, Future[Board]] = {
            "arm64": pool.submit(_run_board, "arm64", ARM64, _LABELED, wheel, photos, models),
            "armhf": pool.submit(_run_board, "armhf", ARMHF, _LABELED_ON_32_BIT, wheel, photos, models),
        }
        try:
            return {name: future.result() for name, future in running.items()}
        except ImpossibleError as error:
            missing(f"no Raspberry Pi can be emulated here: {error}")
            raise


def _run_board(
    name: str, cpus: tuple[str, ...], labeled: dict[str, str], wheel: Path, photos: Path, models: dict[str, Path]
) -> Board:
    root = build(name, CACHE / "pi", wheel)
    work = root / "home/pi/work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(photos, work)
    for what, model_file in models.items():
        shutil.copy(model_file, work / f"{what}.tflite")
    shutil.copy(several_commands.__file__, work)
    inside = "/home/pi/work"
    last, model = LAST_CPU[name], f"{inside}/int8.tflite"
    commands: dict[tuple[str, str], tuple[str, ...]] = {
        (cpu, f"label {what}"): ("label", "--json", "--graph", f"{inside}/{what}.tflite", f"{inside}/{folder}")
        for cpu in cpus
        for what, folder in labeled.items()
    }
    evaluate = ("evaluate", "--set", "all", "--json", "--graph")
    quick = ("--threads", "1", "--min-seconds", "0.1", "--min-runs", "2", "--rounds", "1")
    commands |= {
        (last, "evaluate"): (*evaluate, model, "--image_dir", f"{inside}/photos"),
        (last, "evaluate float32"): (*evaluate, f"{inside}/float32.tflite", "--image_dir", f"{inside}/drawn"),
        (last, "inspect"): ("inspect", model, "--json"),
        (last, "inspect float32"): ("inspect", f"{inside}/float32.tflite", "--json"),
        (last, "watch"): ("watch", model, "--source", f"{inside}/exact/daisy", "--json", "--threads", "1"),
        (last, "benchmark"): ("benchmark", f"{inside}/small.tflite", f"{inside}/float32.tflite", *quick, "--json", "-"),
        (last, "doctor"): ("doctor",),
    }
    ends: dict[tuple[str, str], Ended] = {}
    for cpu in cpus:
        pretend_cpu(root, name, cpu)
        alone = [place for place in commands if place[0] == cpu and place[1] in _PROCESSES]
        for place in alone:
            ends[place] = emulate(root, cpu, *POETS_EDGE, *commands[place])
        together = [place for place in commands if place[0] == cpu and place not in alone]
        (work / "commands.json").write_text(json.dumps([commands[place] for place in together]))
        program = (POETS_EDGE[0], f"{inside}/several_commands.py", f"{inside}/commands.json", f"{inside}/ends.json")
        emulate(root, cpu, *program, timeout=900).check_returncode()
        for place, end in zip(together, json.loads((work / "ends.json").read_text()), strict=True):
            ends[place] = subprocess.CompletedProcess(commands[place], *end)
    return Board(root, ends)


def _label_here(model: Path, folder: Path) -> Any:
    answers = json.loads(poets_edge("label", "--graph", model, folder, "--json").ok().stdout)
    assert len({answer["labels"][0]["label"] for answer in answers}) >= 4, "answers that do not vary prove nothing"
    return answers


def _scores(answers: Any) -> dict[tuple[str, str], float]:
    return {
        (_name(answer["photo"]), label["label"]): label["score"] for answer in answers for label in answer["labels"]
    }


def _distances(answers: Any) -> dict[str, float]:
    return {_name(answer["photo"]): answer["distance"] for answer in answers}


def _tops(answers: Any) -> dict[str, str]:
    return {_name(answer["photo"]): answer["labels"][0]["label"] for answer in answers}


def _name(photo: str) -> str:
    """Return the last two parts of a path, class and file name, which are the same on both machines."""
    return "/".join(Path(photo).parts[-2:])


@pytest.mark.parametrize("cpu", ARM64)
@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_label_command_on_64_bit_pi_agrees_with_local_scores(
    cpu: str, quantization: str, boards: dict[str, Board], models: dict[str, Path], photos: Path
) -> None:
    there = boards["arm64"].json(cpu, f"label {quantization}")
    here = _label_here(models[quantization], photos / _LABELED[quantization])
    mine, expected = _scores(there), _scores(here)
    far = _distances(here)
    assert len(set(far.values())) > 3
    assert _distances(there) == (far if quantization == "int8" else pytest.approx(far, abs=1e-4))
    assert len(expected) == 5 * len(far) >= 25
    assert mine == (expected if quantization == "int8" else pytest.approx(expected, abs=1e-5))


@pytest.mark.parametrize("cpu", ARM64)
def test_efficientnet_lite_on_64_bit_pi_agrees_with_local_scores(
    cpu: str, boards: dict[str, Board], models: dict[str, Path], photos: Path
) -> None:
    there = boards["arm64"].json(cpu, "label efficientnet")
    here = _label_here(models["efficientnet"], photos / _LABELED["efficientnet"])
    assert _scores(there) == _scores(here)
    assert _distances(there) == _distances(here)


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_label_command_on_32_bit_pi_agrees_with_local_predictions(
    quantization: str, boards: dict[str, Board], models: dict[str, Path], photos: Path
) -> None:
    mine = boards["armhf"].json("cortex-a7", f"label {quantization}")
    model, folder = models[quantization], photos / _LABELED_ON_32_BIT[quantization]
    if quantization == "float32":
        assert _scores(mine) == pytest.approx(_scores(_label_here(model, folder)), abs=1e-5)
    # The old interpreter has other int8 kernels, so its results are compared with the old interpreter on this machine.
    python = environment("3.11", "tflite-runtime", without="ai-edge-litert")
    label = ("label", "--json", "--graph", str(model), str(folder))
    command = [str(python), "-m", "poets_edge", *label]
    here = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout)
    assert len(set(_tops(here).values())) >= 4
    assert _tops(mine) == _tops(here)


@pytest.mark.parametrize("name", ["arm64", "armhf"])
def test_evaluate_on_pi_agrees_with_local_evaluation(
    name: str, boards: dict[str, Board], models: dict[str, Path], photos: Path
) -> None:
    judged = boards[name].json(LAST_CPU[name], "evaluate")
    here = json.loads(
        poets_edge(*("evaluate", "--graph", models["int8"], "--image_dir", photos / "photos", "--set", "all", "--json"))
        .ok()
        .stdout
    )
    assert judged["photos"] == 10 and not judged["unreadable"]
    if name == "arm64":
        assert judged["confusion"] == here["confusion"]
    else:  # another interpreter and Pillow: predictions with close scores may differ
        assert abs(judged["correct"] - here["correct"]) <= 1
    judged = boards[name].json(LAST_CPU[name], "evaluate float32")
    evaluate = ("evaluate", "--graph", models["float32"], "--image_dir", photos / "drawn", "--set", "all", "--json")
    here = json.loads(poets_edge(*evaluate).ok().stdout)
    assert judged["photos"] == here["photos"] == 10
    if name == "arm64":
        assert judged["confusion"] == here["confusion"]


@pytest.mark.parametrize("name", ["arm64", "armhf"])
def test_inspect_and_watch_work_on_pi(name: str, boards: dict[str, Board]) -> None:
    cpu = LAST_CPU[name]
    found = boards[name].json(cpu, "inspect")
    assert found["labels"] == ["daisy", "dandelion", "roses", "sunflowers", "tulips"]
    assert found["accelerated"] is (name == "arm64"), "XNNPACK takes int8 in the new interpreter only"
    assert boards[name].json(cpu, "inspect float32")["facts"]["quantization"] == "float32"
    ended = boards[name].ends[cpu, "watch"]
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[0])["frame"] == 1
    assert "2 frames labeled" in ended.stderr


@pytest.mark.parametrize("name", ["arm64", "armhf"])
def test_benchmark_on_pi_measures_models(name: str, boards: dict[str, Board]) -> None:
    result = boards[name].json(LAST_CPU[name], "benchmark")
    assert [entry["name"] for entry in result["results"]] == ["small.tflite", "float32.tflite"]


@pytest.mark.parametrize("name", ["arm64", "armhf"])
def test_doctor_on_pi_reports_the_runtime(name: str, boards: dict[str, Board]) -> None:
    ended = boards[name].ends[LAST_CPU[name], "doctor"]
    assert ended.returncode == 0, ended.stderr
    runtime = "ai_edge_litert" if name == "arm64" else "tflite_runtime"
    assert runtime in (ended.stdout + ended.stderr).replace("-", "_")


def test_installation_on_64_bit_pi_is_small(boards: dict[str, Board]) -> None:
    site = next((boards["arm64"].root / VENV).glob("lib/python*/site-packages"))
    kilobytes = int(subprocess.run(["du", "-sk", site], check=True, capture_output=True, text=True).stdout.split()[0])
    assert 50 < kilobytes / 1024 <= LARGEST_INSTALL_MB
    packages = {path.name.partition("-")[0] for path in site.iterdir()}
    assert "poets_edge" in packages and "ai_edge_litert" in packages
    assert not packages & {"tensorflow", "keras", "matplotlib", "cv2", "scipy", "tflite_runtime"}


def test_installation_on_32_bit_pi_keeps_numpy_and_pillow_of_debian(boards: dict[str, Board]) -> None:
    site = next((boards["armhf"].root / VENV).glob("lib/python*/site-packages"))
    packages = {path.name.partition("-")[0] for path in site.iterdir()}
    assert "tflite_runtime" in packages
    assert not packages & {"numpy", "PIL", "ai_edge_litert"}
