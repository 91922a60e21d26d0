"""Tests of networks, packages, thumbnails and models in the studio, and of the curve of a running job."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from poets_edge.errors import OutputError, UsageError
from poets_edge.exporting.options import ExportOptions
from poets_edge.nets.architectures import architecture
from poets_edge.studio import android_app, choices, decoding, messages, packages
from poets_edge.studio import jobs as jobs_module
from poets_edge.studio.choices import chosen_network, compared_networks, offered_networks
from poets_edge.studio.decoding import DecodeRequest, decode
from poets_edge.studio.job_reporter import JobProgress
from poets_edge.studio.job_requests import Choice, JobRequest
from poets_edge.studio.jobs import Job, Jobs
from poets_edge.studio.journal import Step
from poets_edge.studio.photo_lists import names_after
from poets_edge.studio.places import Places
from poets_edge.studio.refusal import RefusedError
from poets_edge.studio.trained_model import TrainedModel, read_model, write_model
from tests.studio.test_foreign_projects import SHOWN

SMALL, MIDDLE, LARGE, LITE = (
    "mobilenet_0.25_128", "mobilenet_0.50_224", "mobilenet_1.0_224", "efficientnet_lite0_224",
)  # fmt: skip


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the networks whose weights are on this computer; none at first."""
    found: set[str] = set()
    monkeypatch.setattr(choices, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(
        choices, "local_weights", lambda entry, folder: (folder == tmp_path / "weights" and entry.name in found) or None
    )
    monkeypatch.setattr(choices, "default_grid", lambda folder: tuple(map(architecture, (MIDDLE, SMALL, LARGE))))
    return found


@pytest.mark.parametrize(
    ("choice", "name", "there", "expected"),
    [
        ("quick", "", [SMALL, LITE], (SMALL, "embedded")),
        ("balanced", "", [], (MIDDLE, "imagenet")),
        ("best", "", [LITE], (LITE, "imagenet")),
        ("best", "", [SMALL], (LARGE, "imagenet")),
        ("best", SMALL, [LITE], (SMALL, "embedded")),
        ("best", SMALL, [SMALL], (SMALL, "imagenet")),
        ("quick", LARGE, [], (LARGE, "imagenet")),
    ],
)
def test_chosen_network_depends_on_which_weights_are_available_locally(
    local: set[str], choice: Choice, name: str, there: list[str], expected: tuple[str, str]
) -> None:
    local.update(there)
    network, weights = chosen_network(choice, name)
    assert (network.name, weights) == expected


def names(networks: tuple[Any, ...]) -> list[str]:
    return [network.name for network in networks]


def test_only_networks_with_available_weights_are_compared(local: set[str]) -> None:
    found, weights, absent = compared_networks("")
    assert (names(found), weights, names(absent)) == ([SMALL], "embedded", [MIDDLE, SMALL, LARGE])
    local.update((LARGE, MIDDLE))
    found, weights, absent = compared_networks("")
    assert (names(found), weights, names(absent)) == ([MIDDLE, LARGE], "imagenet", [SMALL])
    found, weights, absent = compared_networks(LITE)
    assert (names(found), weights, names(absent)) == ([LITE], "imagenet", [])
    assert offered_networks() == (MIDDLE, SMALL, LARGE)
    with pytest.raises(UsageError):
        compared_networks("none")


def test_missing_build_programs_are_named_by_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "programs.json"
    programs.write_text(json.dumps({"one": "package-one", "two": "three", "three": "package-three"}))
    monkeypatch.setattr(android_app, "_PROGRAMS", programs)
    there = {"three", "package-one"}
    monkeypatch.setattr(shutil, "which", lambda program: program if program in there else None)
    assert android_app.missing_programs() == "Not installed. Run: sudo apt-get install package-one three"
    there.update(("one", "two"))
    assert android_app.missing_programs() == ""


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Simulated build program: its exit status and output, which a test can set, and the arguments of its last call."""
    made = SimpleNamespace(status=0, out="", err="", command=None, settings=None)

    def run(command: list[str], **settings: Any) -> Any:
        made.command, made.settings = command, settings
        if made.status is None:
            raise subprocess.TimeoutExpired(command, 1)
        return SimpleNamespace(returncode=made.status, stdout=made.out, stderr=made.err)

    monkeypatch.setattr(subprocess, "run", run)
    return made


def test_build_returns_the_last_line_of_output(build: SimpleNamespace) -> None:
    build.out = "building\n/out/app.apk\n"
    assert android_app.build_app(Path("app"), Path("out")) == Path("/out/app.apk")
    assert build.command == [sys.executable, str(Path("app/build.py")), "apk", "--out", "out"]
    assert build.settings["timeout"] == 900 and build.settings["stdin"] == subprocess.DEVNULL


@pytest.mark.parametrize(
    ("status", "err", "reason"),
    [
        (1, "a\nerror: one\nb\nError: two\nerror: three\n", r"the build failed \(error: one Error: two\)"),
        (2, "first\nsecond\nthird\n", r"the build failed \(first second\)"),
        (-9, "", r"the build failed \(no message\)"),
        (1, "x" * 400, rf"the build failed \({'x' * 300}\)"),
        (None, "", "did not end within 900 seconds"),
    ],
)
def test_failed_builds_are_reported_in_one_line(
    build: SimpleNamespace, status: int | None, err: str, reason: str
) -> None:
    build.status, build.err = status, err
    with pytest.raises(OutputError, match=reason):
        android_app.build_app(Path("app"), Path("out"))


def test_sources_of_the_app_are_copied_without_build_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("src/a.kt", "build/b", "src/build/c", ".gradle/d", "local.properties", "src/__pycache__/e"):
        (tmp_path / "app" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "app" / name).touch()
    monkeypatch.setattr(android_app, "APP", tmp_path / "app")
    copied = android_app.app_sources(tmp_path / "copy")
    assert [path.relative_to(copied).as_posix() for path in copied.rglob("*") if path.is_file()] == ["src/a.kt"]
    assert android_app.missing_sources() == ""
    monkeypatch.setattr(android_app, "APP", tmp_path / "none")
    assert "checkout" in android_app.missing_sources()


def test_job_keeps_the_learning_curve_after_the_training_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[JobProgress] = []
    curve = ((10, 0.5, None),)

    class Helper:
        def __init__(self, function: object) -> None:
            pass

        def ask(self, request: JobRequest, name: str, receive: Any) -> dict[str, Any]:
            steps = JobProgress(text="steps", fraction=0.5, seconds_left=3.0, curve=curve)
            for progress in (steps, JobProgress(text="exporting"), JobProgress(text="t", curve=())):
                receive(progress)
                shown.append(jobs.find(request.number).progress)
            return {}

    monkeypatch.setattr(jobs_module, "Helper", Helper)
    places = Places(tmp_path / "flowers")
    places.create()
    jobs = Jobs(places, lambda runs: None)
    job = Job(number="7", kind="train")
    jobs._jobs["7"] = job
    ended = jobs._run(JobRequest(root=places.root, number="7", kind="train"))
    assert [progress.curve for progress in shown] == [curve] * 3
    assert [progress.text for progress in shown] == ["steps", "exporting", "t"]
    assert ended.state == "done" and ended.to_json(curve=True)["curve"] == [[10, 0.5, None]]
    running = Job(
        number="8", kind="train", progress=JobProgress(text="steps", fraction=0.25, seconds_left=9.0)
    ).to_json()
    assert (running["fraction"], running["seconds_left"], ended.to_json()["fraction"]) == (0.25, 9.0, None)


class Model:
    """Stand-in for a trained model, with a fixed accuracy for each quantization."""

    graph = Path("graph.pb")

    def file(self, form: str) -> Path:
        return Path(f"{form}.tflite")

    def accuracy(self, form: str) -> float:
        return {"int8": 0.75, "float32": 0.8125}[form]


def package(form: str, path: Path, board: str = "") -> tuple[str, float | None]:
    """Write a package of the stand-in model; return its description, and the accuracy of the model in it."""
    found = packages.PACKAGES[form].write(Model(), path, board)  # type: ignore[arg-type]
    return found.text, found.accuracy


def content(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_web_page_is_packed_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_page(model: Path, folder: Path) -> Any:
        (folder / "lib").mkdir(parents=True)
        for name in ("index.html", "lib/a.js", "other"):
            (folder / name).write_text(f"{model} {name}")
        return SimpleNamespace(folder=folder, files=("index.html", "lib/a.js"))

    monkeypatch.setattr(packages, "write_page", write_page)
    assert package("web", tmp_path / "web.zip") == (messages.CONTAINS_INT8, 0.75)
    assert content(tmp_path / "web.zip") == {
        "site/index.html": b"int8.tflite index.html", "site/lib/a.js": b"int8.tflite lib/a.js",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("assigned", "correct", "text"),
    [
        (None, None, messages.NOT_EVALUATED),
        (0.5, None, messages.FRIGATE_LABELS.format(share="50.0 %")),
        (0.5, 0.25, messages.FRIGATE_LABELS.format(share="50.0 %") + messages.FRIGATE_CORRECT.format(share="25.0 %")),
    ],
)
def test_frigate_download_states_how_many_photos_get_a_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assigned: float | None, correct: float | None, text: str
) -> None:
    def export(options: ExportOptions, folder: Path) -> Any:
        assert options.graph == Path("graph.pb")
        (folder / "m").write_bytes(b"model")
        (folder / "l").write_bytes(b"labels")
        model = SimpleNamespace(path=folder / "m", accuracy=0.625)
        return SimpleNamespace(model=model, labelmap=folder / "l", assigned=assigned, assigned_correct=correct)

    monkeypatch.setattr(packages, "export_for_frigate", export)
    assert package("frigate", tmp_path / "f.zip") == (text, 0.625)
    assert content(tmp_path / "f.zip") == {"model.tflite": b"model", "labelmap.txt": b"labels"}


@pytest.mark.parametrize(("board", "difference"), [("", 0.0), ("nano33", 0.25)])
def test_firmware_download_states_memory_flash_and_difference_of_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: str, difference: float
) -> None:
    def export(options: ExportOptions, chosen: Any) -> Any:
        assert chosen.name == (board or packages.DEFAULT_BOARD) and options.output_dir is not None
        (options.output_dir / "src").mkdir(parents=True)
        (options.output_dir / "src/main.cpp").write_bytes(b"code")
        return SimpleNamespace(
            folder=options.output_dir, board=chosen, arena=123_456, model_size=654_321, compared=9,
            largest_difference=difference, file=SimpleNamespace(accuracy=0.5),
        )  # fmt: skip

    monkeypatch.setattr(packages, "export_firmware", export)
    text, accuracy = package("firmware", tmp_path / "f.zip", board)
    scores = messages.CLOSE_SCORES.format(difference=0.25) if difference else messages.EQUAL_SCORES
    assert text == messages.FIRMWARE.format(
        board=board or packages.DEFAULT_BOARD, arena=123.456, flash=654.321, scores=scores, photos="9 photos"
    )
    assert accuracy == 0.5 and content(tmp_path / "f.zip") == {"firmware/src/main.cpp": b"code"}


@pytest.mark.parametrize("compared", [0, 9])
def test_onnx_and_core_ml_downloads_state_how_the_file_was_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compared: int
) -> None:
    def export(options: ExportOptions, format: str) -> Any:
        assert options.output_dir is not None
        (options.output_dir / "x").write_text(format)
        return SimpleNamespace(path=options.output_dir / "x", compared=compared, largest_difference=0.125)

    monkeypatch.setattr(packages, "export_format", export)
    described = messages.CONVERTED.format(photos="9 photos", difference=0.125)
    for form in ("onnx", "coreml"):
        assert package(form, tmp_path / form) == ((described, 0.8125) if compared else (messages.NOT_RUN, None))
        assert (tmp_path / form).read_text() == form


def test_android_app_contains_the_int8_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def app_sources(folder: Path) -> Path:
        folder.mkdir()
        (folder / "Main.kt").write_text("code")
        return folder

    def build_app(app: Path, out: Path) -> Path:
        assert (app / "model").exists() and out.name == "build"
        (app.parent / "built.apk").write_text("apk")
        return app.parent / "built.apk"

    monkeypatch.setattr(packages, "app_sources", app_sources)
    monkeypatch.setattr(packages, "install_model", lambda file, app: (app / "model").write_text(str(file)))
    monkeypatch.setattr(packages, "build_app", build_app)
    assert package("android", tmp_path / "a.zip") == (messages.CONTAINS_INT8, 0.75)
    assert content(tmp_path / "a.zip") == {"android_demo/Main.kt": b"code", "android_demo/model": b"int8.tflite"}
    assert (
        package("apk", tmp_path / "a.apk") == (messages.APP_BUILT, 0.75) and (tmp_path / "a.apk").read_text() == "apk"
    )


def test_packages_are_available_only_if_all_of_their_modules_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"tensorflow", "tf2onnx"}
    monkeypatch.setattr(packages, "find_spec", lambda name: object() if name in there else None)
    command = messages.NOT_INSTALLED.format(command="pip install 'poets-edge[onnx]'")
    assert packages.PACKAGES["onnx"].missing() == command and packages.PACKAGES["web"].missing() == ""
    there.add("onnxruntime")
    assert packages.PACKAGES["onnx"].missing() == ""
    assert packages.PACKAGES["coreml"].missing() and packages.PACKAGES["firmware"].missing()


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((400, 100), 200, (200, 50)),
        ((100, 400), 200, (50, 200)),
        ((200, 100), 200, (200, 100)),
        ((1000, 1), 10, (10, 1)),
    ],
)
def test_photos_are_reduced_to_the_requested_longer_side(
    tmp_path: Path, size: tuple[int, int], side: int, expected: tuple[int, int]
) -> None:
    Image.new("RGB", size, "red").save(tmp_path / "a.png")
    found = decode(DecodeRequest(path=tmp_path / "a.png", name="a.png", side=side))
    shown = Image.open(io.BytesIO(found.jpeg))
    assert (shown.format, shown.size, found.problem, found.gone) == ("JPEG", expected, "", False)
    kept = decode(DecodeRequest(path=tmp_path / "a.png", name="a.png", side=side, target=tmp_path / "t.jpg"))
    assert kept.jpeg == b"" and (tmp_path / "t.jpg").read_bytes() == found.jpeg
    full = decode(DecodeRequest(path=tmp_path / "a.png", name="a", side=side, target=tmp_path / "none/t.jpg"))
    assert full.jpeg == found.jpeg and sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "t.jpg"]


def test_errors_about_undecodable_photos_begin_with_the_name_of_the_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to("a.png")
    (tmp_path / "bad.png").write_bytes(b"x")
    monkeypatch.setattr(decoding, "LARGEST_PHOTO", (tmp_path / "a.png").stat().st_size)
    (tmp_path / "large.png").write_bytes((tmp_path / "a.png").read_bytes() + b"x")
    found = {
        name: decode(DecodeRequest(path=tmp_path / name, name=name, side=2))
        for name in ("a.png", "link.png", "bad.png", "large.png", "none.png", "a.png/x.png", ".")
    }
    assert [name for name, one in found.items() if one.jpeg] == ["a.png"]
    assert [name for name, one in found.items() if one.gone] == ["none.png", "a.png/x.png"]
    assert all(one.problem.startswith(name) for name, one in found.items() if name != "a.png")


def test_names_in_photo_lists_are_updated_after_renames() -> None:
    step = Step(
        number=1, text="", renames=(("a/1.jpg", "b/1.jpg"), ("c", "d"), ("a/2.jpg", ".poets-edge/bin/1/a/2.jpg")),
    )  # fmt: skip
    names = frozenset({"a/1.jpg", "a/2.jpg", "a/3.jpg", "c/4.jpg", "cc/5.jpg", "e/6.jpg"})
    assert names_after(names, step, add=["f/7.jpg"], drop=["e/6.jpg", "a/3.jpg"]) == {
        "b/1.jpg", "d/4.jpg", "cc/5.jpg", "f/7.jpg",
    }  # fmt: skip


def test_files_of_a_model_are_found_by_their_quantization(tmp_path: Path) -> None:
    for name in ("retrained_graph.tflite", "retrained_graph_int8.tflite", "retrained_graph_other.tflite"):
        (tmp_path / name).touch()
    shown = {"files": [{"form": "int8", "accuracy": 0.5}, {"form": "float32", "accuracy": None}]}
    model = TrainedModel(folder=tmp_path, number="1", state="s", shown=shown)
    assert model.file("int8").name == "retrained_graph_int8.tflite"
    assert model.file("float32").name == "retrained_graph.tflite" and model.graph == tmp_path / "retrained_graph.pb"
    for form in ("other", "float16", "../x"):
        with pytest.raises(RefusedError):
            model.file(form)
    assert [model.accuracy(form) for form in ("int8", "float32", "float16")] == [0.5, None, None]


@pytest.mark.parametrize("number", ["..", "../models/1", ".", "/"])
def test_model_outside_its_folder_is_not_read(tmp_path: Path, number: str) -> None:
    """The project, with the file that names the folder of the model, may be from another person."""
    places = Places(tmp_path / "flowers")
    places.create()
    (places.models / "1").mkdir()
    described = {"number": number, "state": "s", "shown": SHOWN}
    (places.models / "model.json").write_text(json.dumps(described))
    assert (places.models / number).is_dir() and read_model(places) is None


def test_model_in_a_folder_that_is_a_symbolic_link_is_not_read(tmp_path: Path) -> None:
    places = Places(tmp_path / "flowers")
    places.create()
    (places.models / "1").mkdir()
    model = TrainedModel(folder=places.models / "1", number="1", state="s", shown=SHOWN)
    write_model(places, model, [])
    assert read_model(places) is not None
    (places.models / "1").rename(tmp_path / "elsewhere")
    (places.models / "1").symlink_to(tmp_path / "elsewhere")
    assert read_model(places) is None
