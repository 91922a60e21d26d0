"""Tests of the results of audits, grids, deployments and downloads in the studio, and of the reported progress."""

from __future__ import annotations

import os
import shlex
import stat
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.nets.weights import EMBEDDED
from poets_edge.photos.exclude import exclusions_json
from poets_edge.studio import audit_job, choices, deploy_job, grid_job, take_job
from poets_edge.studio.audit_job import audit_json
from poets_edge.studio.deploy_job import _mqtt, _prepare_ssh, run_deploy
from poets_edge.studio.job_reporter import JobProgress, JobReporter
from poets_edge.studio.job_requests import READ_PHOTOS, JobRequest, job_request
from poets_edge.studio.job_worker import _JOBS
from poets_edge.studio.packages import Package, Verified
from poets_edge.studio.places import Places
from poets_edge.studio.refusal import RefusedError
from poets_edge.studio.take_job import remove_taken, run_take, taken_file
from poets_edge.studio.trained_model import TrainedModel, write_model
from tests.studio.test_foreign_projects import SHOWN


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(tmp_path / "flowers")
    found.create()
    return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    found = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: found.now)
    return found


def test_job_progress_estimates_the_remaining_time(clock: SimpleNamespace) -> None:
    sent: list[Any] = []
    reporter = JobReporter(sent.append)
    with reporter.progress("reading \n photos", 8) as advance:
        for seconds, amount in ((0.5, 1), (0.75, 1), (0.05, 2), (10.0, 2), (0.01, 2)):
            clock.now += seconds
            advance(amount)
    assert [one.text for one in sent] == ["reading photos"] * 5
    assert [one.fraction for one in sent] == [0.0, 0.125, 0.25, 0.75, 1.0], "at most ten times a second, and the end"
    lefts = [one.seconds_left for one in sent]
    assert lefts[:2] == [None, None], "no estimate in the first second"
    assert lefts[2:] == [pytest.approx(1.25 * 3), pytest.approx(11.3 / 3), 0.0]


def test_progress_with_an_unknown_total_has_no_fraction(clock: SimpleNamespace) -> None:
    sent: list[Any] = []
    with JobReporter(sent.append).progress("reading", 0) as advance:
        clock.now += 5
        advance(3)
    assert [(one.fraction, one.seconds_left) for one in sent] == [(None, None)] * 2


def test_training_messages_are_converted_to_progress_and_a_learning_curve(clock: SimpleNamespace) -> None:
    sent: list[Any] = []
    reporter = JobReporter(sent.append, steps=1000)
    reporter.status("loading")
    for number in range(0, 1000, 2):
        clock.now += 0.2
        validation = 0.5 if number % 4 else None
        text = f"step {number:4d}   train {50 + number / 20:.1f}%   cross entropy 0.5"
        reporter.status(text + ("" if validation is None else f"   validation {100 * validation:.1f}%"))
    assert sent[0] == JobProgress(text="loading") and sent[1].text == "training"
    assert [one.fraction for one in sent[1:4]] == [0.001, 0.003, 0.005]
    curve = sent[-1].curve
    assert len(curve) == 167 and curve[-1] == (998, pytest.approx(0.999), 0.5) and curve[-2][0] == 992
    assert curve == tuple(sorted(curve)) and curve[0][0] == 2
    reporter.status("exporting")
    assert sent[-1].text == "exporting" and sent[-1].fraction is None
    plain: list[Any] = []
    JobReporter(plain.append).status("step 3   train 50.0%   cross entropy 0.5")
    assert plain[0].curve == () and plain[0].text.startswith("step 3"), "a job that does not train"


def test_warnings_of_a_job_are_recorded() -> None:
    reporter = JobReporter(lambda message: None)
    reporter.warn("one")
    reporter.note("not a warning")
    reporter.warn("two")
    assert reporter.warnings == ["one", "two"]


def audited(**changes: Any) -> Any:
    names = ["a", "b", "c", "d", "e"]
    photos = SimpleNamespace(name=names.__getitem__, unreadable=(("x", "truncated"),), __len__=None)
    suspect = [
        SimpleNamespace(photo=name, label="cat", likely="dog", score=score)
        for name, score in (("a", 0.75), ("b", 0.5), ("c", 0.25))
    ]
    group = SimpleNamespace
    fields = {
        "photos": type(
            "Photos", (), {**vars(photos), "__len__": lambda self: 5, "name": lambda self, row: names[row]}
        )(),
        "suspects": suspect,
        "mislabeled": ("a", "b"),
        "near_duplicates": SimpleNamespace(groups=[(0, 1), (2, 3, 4), (1, 2)]),
        "outliers": (
            group(readable=True, names=("c", "d"), reason="tiny"),
            group(readable=True, names=("d", "e"), reason="unknown"),
            group(readable=False, names=("x",), reason="unreadable"),
        ),
        "evaluation": None,
        "warnings": ("first", "again"),
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **changes})


def test_audit_json_omits_excluded_photos_and_summarizes_the_findings() -> None:
    found = audit_json(audited(), frozenset({"b"}), ["again", "last"])
    assert [(one["path"], one["confidence"], one["gain"], one["probable"]) for one in found["suspects"]] == [
        ("a", 0.75, 1.75, True), ("c", 0.25, 0.25, False),
    ]  # fmt: skip
    assert (found["suspects"][0]["label"], found["suspects"][0]["suggested"]) == ("cat", "dog")
    assert found["duplicates"] == [["c", "d", "e"]], "a group of one photo is no group"
    assert (found["outliers"], found["strangers"]) == (["c", "d"], ["e"])
    assert found["reasons"] == {"c": "tiny", "d": "tiny", "e": "unknown"}, "the first reason of each photo"
    assert found["unreadable"] == [["x", "truncated"]] and found["more_photos"] == ""
    assert found["warnings"] == ["first", "again", "last"]
    assert found["summary"] == "5 photos: 1 probably wrong label, 1 group of near-duplicates, 3 outliers."
    everything = audit_json(audited(), frozenset(), [])
    assert everything["summary"] == "5 photos: 2 probably wrong labels, 3 groups of near-duplicates, 3 outliers."


def test_audit_states_the_effect_of_more_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_job, "most_helped", lambda curve: "cats")
    points = [SimpleNamespace(accuracy=0.5), SimpleNamespace(accuracy=0.625)]
    curve = SimpleNamespace(doubled=SimpleNamespace(interval=(0.75, 0.875)), points=points)
    found = audit_json(audited(evaluation=SimpleNamespace(curve=curve)), frozenset(), [])
    assert found["more_photos"] == (
        "With twice as many photos, the accuracy would be about 75 to 88 % (it is 62 % now); photos of cats help most."
    )


def test_audit_job_omits_findings_about_excluded_photos(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def audit(options: Any, reporter: JobReporter) -> Any:
        given.append(options)
        reporter.warn("hot")
        return audited()

    monkeypatch.setattr(audit_job, "audit", audit)
    places.excluded.write_bytes(exclusions_json(["a"]))
    request = JobRequest(root=places.root, number="3", kind="audit")
    found = audit_job.run_audit(request, lambda message: None)
    assert [one["path"] for one in found["suspects"]] == ["b", "c"] and found["warnings"][-1] == "hot"
    [options] = given
    assert (options.image_dir, options.report, options.bottleneck_dir, options.model_dir) == (
        places.root, None, places.models / "bottlenecks", choices.weights_folder(),
    )  # fmt: skip
    assert (options.architecture.name, options.weights) == ("mobilenet_0.25_128", EMBEDDED)


def test_grid_job_passes_its_request_and_marks_the_best_point(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        SimpleNamespace(
            architecture=SimpleNamespace(name=f"net{number}"), quantization="int8", accuracy=0.5 + number / 8,
            interval=(0.25, 0.75), latency=SimpleNamespace(median=2.0 + number), size=1000 + number,
        )
        for number in range(3)
    ]  # fmt: skip
    given: list[Any] = []

    def grid(options: Any, *, max_latency: Any, min_accuracy: Any, reporter: JobReporter) -> Any:
        given.extend((options, max_latency, min_accuracy))
        return SimpleNamespace(
            points=points,
            best=points[1],
            choice=SimpleNamespace(reason="why"),
            photos_text="photos",
            warnings=("first",),
        )

    monkeypatch.setattr(grid_job, "grid", grid)
    monkeypatch.setattr(choices, "local_weights", lambda network, folder: network.name == "mobilenet_0.50_224" or None)
    places.excluded.write_bytes(exclusions_json(["a"]))
    request = JobRequest(root=places.root, number="3", kind="grid", on="pi", max_latency_ms=20.0, min_accuracy=0.75)
    found = grid_job.run_grid(request, lambda message: None)
    assert [one["ship"] for one in found["points"]] == [False, True, False]
    assert found["points"][2] == {
        "architecture": "net2", "form": "int8", "accuracy": 0.75, "interval": [0.25, 0.75], "latency_ms": 4.0,
        "bytes": 1002, "ship": False,
    }  # fmt: skip
    assert (found["reason"], found["photos"], found["warnings"][0]) == ("why", "photos", "first")
    assert found["warnings"][1].startswith("not compared") and "mobilenet_1.0_224" in found["warnings"][1]
    options, latency, accuracy = given
    assert ([one.name for one in options.architectures], options.on, latency, accuracy) == (
        ["mobilenet_0.50_224"], "pi", 20.0, 0.75,
    )  # fmt: skip
    assert (options.exclude, options.output_dir) == (places.excluded, places.models / "grid")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment variables that are restored after the test."""
    for name in ("POETS_EDGE_SSH", "POETS_EDGE_SSH_PASSWORD", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "DISPLAY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("environment")
def test_ssh_without_a_password_does_not_ask_for_one(tmp_path: Path) -> None:
    _prepare_ssh(tmp_path / "askpass", "")
    assert shlex.split(os.environ["POETS_EDGE_SSH"]) == [
        "ssh", "-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes",
    ]  # fmt: skip
    assert not (tmp_path / "askpass").exists() and "SSH_ASKPASS" not in os.environ


@pytest.mark.usefixtures("environment")
def test_ssh_gets_the_password_from_a_private_program_and_asks_only_once(tmp_path: Path) -> None:
    program = tmp_path / "askpass"
    program.write_text("of an earlier job")
    _prepare_ssh(program, "s3cret")
    assert shlex.split(os.environ["POETS_EDGE_SSH"]) == [
        "ssh", "-o", "StrictHostKeyChecking=accept-new", "-o", "NumberOfPasswordPrompts=1",
    ]  # fmt: skip
    assert stat.S_IMODE(program.stat().st_mode) == 0o700 and "s3cret" not in program.read_text()
    assert os.environ["POETS_EDGE_SSH_PASSWORD"] == "s3cret" and os.environ["SSH_ASKPASS"] == str(program)
    assert os.environ["SSH_ASKPASS_REQUIRE"] == "force" and os.environ["DISPLAY"] == ":none"


def request_for(places: Places, **changes: Any) -> JobRequest:
    return JobRequest(**{"root": places.root, "number": "1", "kind": "deploy", "host": "pi", **changes})


def test_login_file_for_the_broker_exists_only_while_it_is_used(places: Places) -> None:
    with _mqtt(request_for(places)) as nothing:
        assert nothing is None
    request = request_for(places, mqtt="mqtt://broker", mqtt_login="me:s3cret", mqtt_name="porch")
    with _mqtt(request) as options:
        assert options is not None and options.login is not None
        assert (options.broker, options.name, options.read_login()) == ("mqtt://broker", "porch", ("me", "s3cret"))
        assert stat.S_IMODE(options.login.parent.stat().st_mode) == 0o700
        login = options.login
    assert not login.exists() and not login.parent.exists()
    with _mqtt(request_for(places, mqtt="mqtt://broker")) as options:
        assert options is not None and (options.name, options.login) == (None, None)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(("source", "watch"), [("", ()), ("clip.mjpeg", ("--source", "clip.mjpeg"))])
def test_deploy_job_installs_the_int8_model(
    places: Places, monkeypatch: pytest.MonkeyPatch, source: str, watch: tuple[str, ...]
) -> None:
    model = SimpleNamespace(file=lambda form: places.models / f"1/{form}.tflite")
    given: list[Any] = []

    def deploy(options: Any, reporter: JobReporter) -> Any:
        given.append(options)
        reporter.warn("hot")
        return SimpleNamespace(host="pi", service="watching", undo="undo it", lines=("daisy", "roses"))

    monkeypatch.setattr(deploy_job, "current_model", lambda places: model)
    monkeypatch.setattr(deploy_job, "deploy", deploy)
    found = run_deploy(request_for(places, source=source), lambda message: None)
    assert (found["text"], found["lines"]) == ("pi: watching runs. To remove it: undo it", ["daisy", "roses"])
    assert found["warnings"] == ["hot"]
    [options] = given
    assert (options.model.name, options.on, options.watch, options.mqtt) == ("int8.tflite", "pi", watch, None)


def test_every_kind_of_job_has_its_own_function() -> None:
    assert {kind: job.__name__ for kind, job in _JOBS.items()} == {
        "audit": "run_audit", "deploy": "run_deploy", "grid": "run_grid", "take": "run_take", "train": "run_training",
    }  # fmt: skip
    assert {"train", "audit", "grid"} == READ_PHOTOS


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "deploy", "host": ""}, "name of the device"), ({"kind": "take", "form": ""}, "download format"),
        ({"kind": "grid", "max_latency_ms": 0}, "above 0"), ({"kind": "grid", "min_accuracy": 1.01}, "from 0 to 1"),
        ({"kind": "grid", "min_accuracy": -0.01}, "from 0 to 1"),
        ({"kind": "take", "board": "x", "form": "y"}, "board"),
    ],
)  # fmt: skip
def test_job_request_refuses_invalid_values(value: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        job_request(value, Path("p"), "1", "s")


def test_job_request_contains_the_given_values() -> None:
    value = {
        "kind": "grid", "choice": "best", "max_latency_ms": 5, "min_accuracy": 1, "host": None, "other": 3,
        "password": "s3cret",
    }  # fmt: skip
    found = job_request(value, Path("p"), "12", "s")
    expected = JobRequest(
        root=Path("p"), number="12", kind="grid", state="s", choice="best", max_latency_ms=5, min_accuracy=1,
        password="s3cret",
    )  # fmt: skip
    assert found == expected and "s3cret" not in repr(found)


@pytest.fixture
def model(places: Places) -> TrainedModel:
    """The current model, whose int8 file was exported and has an accuracy of 0.75."""
    folder = places.models / "7"
    folder.mkdir()
    (folder / "retrained_graph_int8.tflite").write_bytes(b"int8 model")
    (folder / "retrained_graph_float16.tflite").write_bytes(b"float16 model, exported now")
    found = TrainedModel(folder=folder, number="7", state="s", shown=SHOWN)
    write_model(places, found, [])
    return found


def test_download_job_copies_an_exported_file(places: Places, model: TrainedModel) -> None:
    request = request_for(places, kind="take", form="int8", board="xiao")
    assert run_take(request, lambda message: None) == {
        "form": "int8", "board": "xiao", "name": "int8.tflite", "bytes": 10, "accuracy": 0.75,
        "text": "run on the test photos",
    }  # fmt: skip
    assert taken_file(places, "int8").read_bytes() == b"int8 model"


def test_download_job_exports_quantizations_that_do_not_exist_yet(
    places: Places, model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(graph: Path, form: str, reporter: object) -> Any:
        assert graph == model.folder / "retrained_graph.pb"
        return {form: SimpleNamespace(path=model.file(form), accuracy=None)}

    monkeypatch.setattr(take_job, "export", export)
    found = run_take(request_for(places, kind="take", form="float16"), lambda message: None)
    assert (found["bytes"], found["accuracy"], found["text"]) == (27, None, "no test photos")
    assert taken_file(places, "float16").read_bytes() == b"float16 model, exported now"


@pytest.mark.parametrize(
    ("form", "status", "message"), [("apk", 409, "Not installed. Run: x"), ("nothing", 404, "'nothing' is not a")]
)
def test_download_job_refuses_downloads_that_cannot_be_prepared(
    places: Places, model: TrainedModel, monkeypatch: pytest.MonkeyPatch, form: str, status: int, message: str
) -> None:
    def write(*_: object) -> None:
        raise AssertionError

    package: Any = SimpleNamespace(name="app.apk", missing=lambda: "Not installed. Run: x", write=write)
    monkeypatch.setattr(take_job, "PACKAGES", {"apk": package})
    with pytest.raises(RefusedError) as raised:
        run_take(request_for(places, kind="take", form=form), lambda message: None)
    assert raised.value.status == status and str(raised.value).startswith(message)
    assert list(places.taken.iterdir()) == []


def test_download_job_packs_the_model_for_the_requested_board(
    places: Places, model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(packed: TrainedModel, path: Path, board: str) -> Verified:
        path.write_text(f"{packed.number} for {board}")
        return Verified(text="verified", accuracy=0.5)

    monkeypatch.setattr(take_job, "PACKAGES", {"firmware": Package(name="firmware.zip", write=write)})
    found = run_take(request_for(places, kind="take", form="firmware", board="xiao"), lambda message: None)
    assert found == {
        "form": "firmware", "board": "xiao", "name": "firmware.zip", "bytes": 10, "accuracy": 0.5, "text": "verified",
    }  # fmt: skip
    assert taken_file(places, "firmware").read_text() == "7 for xiao"


def test_downloads_of_an_earlier_model_are_removed(places: Places, model: TrainedModel, tmp_path: Path) -> None:
    for name in ("int8.tflite", "web_page.zip", "mine.txt"):
        (places.taken / name).write_text(name)
    (tmp_path / "outside").write_text("mine")
    (places.taken / "float16.tflite").symlink_to(tmp_path / "outside")
    assert taken_file(places, "web").name == "web_page.zip"
    remove_taken(places)
    assert sorted(path.name for path in places.taken.iterdir()) == ["float16.tflite", "mine.txt"]
    for form in ("web", "int8", "mine"):
        with pytest.raises(RefusedError) as raised:
            taken_file(places, form)
        assert raised.value.status == 404
