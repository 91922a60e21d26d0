"""Tests of the studio's jobs: training, audit, comparison, downloads, cancellation, crashes and restarts."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from poets_edge.demo.draw import draw_photos
from poets_edge.studio.android_app import missing_programs
from poets_edge.studio.choices import compared_networks
from poets_edge.studio.packages import offered_forms
from tests.conftest import poets_edge
from tests.needs import missing, need_module
from tests.studio.client import StudioClient, running, start
from tests.studio.test_changes import ONE, contents

GRID_SECONDS = 550  # on a busy machine
EMBEDDED = ("--architecture", "mobilenet_0.25_128", "--weights", "embedded")


@pytest.fixture(scope="module")
def trained(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioClient]:
    """Studio with a model that was trained on twelve synthetic photos per class. Tests must not change its photos."""
    folder = tmp_path_factory.mktemp("trained") / "flowers"
    draw_photos(folder, per_class=12)
    ssh = folder.parent / "ssh"
    ssh.write_text(f'#!/bin/sh\n"$SSH_ASKPASS" > {folder.parent}/asked\nexit 255\n', encoding="utf-8")
    ssh.chmod(0o700)
    (folder.parent / "tmp").mkdir()
    environment = {"POETS_EDGE_SSH": str(ssh), "TMPDIR": str(folder.parent / "tmp")}
    with running(folder, environment=environment) as client:
        client.run_job(kind="train", choice="quick")
        yield client


def helpers(client: StudioClient) -> list[int]:
    """Return the process IDs of the helper processes that run jobs."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            command = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(lines["PPid"]) == client.process.pid and b"job_worker" in command:
            found.append(int(status.parent.name))
    return found


def test_studio_and_command_line_write_bit_identical_models(trained: StudioClient, tmp_path: Path) -> None:
    poets_edge("train", trained.folder, *EMBEDDED, cwd=tmp_path).ok()
    poets_edge("export", "--quantize", "int8", "--quantize", "float32", cwd=tmp_path).ok()
    for form, name in {"int8": "retrained_graph_int8.tflite", "float32": "retrained_graph.tflite"}.items():
        assert trained.get(f"/api/model/{form}.tflite").body == (tmp_path / "tf_files" / name).read_bytes()


def test_excluding_photos_has_the_same_effect_as_the_exclude_option_of_train(flowers: Path, tmp_path: Path) -> None:
    with running(flowers) as client:
        client.post("/api/photos/exclude", {"photos": [ONE]}).ok()
        client.run_job(kind="train", choice="quick")
        model = client.get("/api/model/int8.tflite").body
    excluded = flowers / ".poets-edge/excluded.json"
    poets_edge("train", flowers, *EMBEDDED, "--exclude", excluded, cwd=tmp_path).ok()
    poets_edge("export", "--quantize", "int8", cwd=tmp_path).ok()
    assert model == (tmp_path / "tf_files/retrained_graph_int8.tflite").read_bytes()


def test_model_state_is_consistent_with_predictions_and_files(trained: StudioClient) -> None:
    state = trained.get("/api/project").ok()
    model = state["model"]
    assert not state["needs_training"] and model["architecture"] == "mobilenet_0.25_128"
    low, high = model["interval"]
    assert 0 <= low <= model["accuracy"] <= high <= 1 and model["judged"] == 60
    counts = model["confusion"]["counts"]
    assert sum(map(sum, counts)) == 60 and model["confusion"]["labels"] == sorted(model["confusion"]["labels"])
    predictions = trained.get("/api/model/predictions").ok()
    assert len({path for path, *_ in predictions} & set(trained.photos())) == 60
    found = [[0] * len(counts) for _ in counts]
    for _, label, predicted, score in predictions:
        found[model["confusion"]["labels"].index(label)][model["confusion"]["labels"].index(predicted)] += 1
        assert 0 < score <= 1
    assert found == counts
    assert [file["form"] for file in model["files"]] == ["float32", "int8"]
    for file in model["files"]:
        assert len(trained.get(f"/api/model/{file['form']}.tflite").body) == file["bytes"]
    assert "estimated from 60 photos" in model["words"] and "no two photos show one person" in model["words"]
    assert model["changes"] is None, "there is no previous model"


def test_prediction_has_the_current_name_of_a_moved_photo(trained: StudioClient) -> None:
    trained.post("/api/photos/move", {"photos": [ONE], "to": "roses"}).ok()
    try:
        moved = {path: label for path, label, *_ in trained.get("/api/model/predictions").ok()}
        assert ONE not in moved and moved["roses/daisy-000.jpg"] == "daisy"
    finally:
        trained.post("/api/undo").ok()
    assert ONE in {path for path, *_ in trained.get("/api/model/predictions").ok()}


@pytest.mark.parametrize("form", ["float32", "int8", "float16", "dynamic", "full-int8"])
def test_model_is_downloaded_in_each_quantization(trained: StudioClient, form: str) -> None:
    taken = trained.run_job(kind="take", form=form)
    answer = trained.get(f"/api/take/{form}")
    assert len(answer.body) == taken["bytes"] and answer.body[4:8] == b"TFL3"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert 0 <= taken["accuracy"] <= 1


def test_web_page_is_downloaded_as_a_zip(trained: StudioClient) -> None:
    trained.run_job(kind="take", form="web")
    with zipfile.ZipFile(io.BytesIO(trained.get("/api/take/web").body)) as archive:
        assert "site/index.html" in archive.namelist()
        assert archive.read("site/model.tflite")[4:8] == b"TFL3"


def test_app_sources_are_downloaded_with_the_model(trained: StudioClient) -> None:
    assert trained.run_job(kind="take", form="android")["text"] == "contains the int8 file"
    with zipfile.ZipFile(io.BytesIO(trained.get("/api/take/android").body)) as archive:
        model = archive.read("android_demo/app/src/main/assets/model.tflite")
    assert model[4:8] == b"TFL3"


def test_app_is_built_and_downloaded_as_an_apk(trained: StudioClient) -> None:
    if reason := missing_programs():
        missing(reason)
    taken = trained.run_job(kind="take", form="apk")
    assert taken["accuracy"] == trained.get("/api/project").ok()["model"]["files"][1]["accuracy"]
    with zipfile.ZipFile(io.BytesIO(trained.get("/api/take/apk").body)) as archive:
        assert archive.read("assets/model.tflite") == trained.get("/api/model/int8.tflite").body
        assert "AndroidManifest.xml" in archive.namelist()


def test_canceled_app_build_ends_its_programs_and_leaves_no_files(trained: StudioClient) -> None:
    if reason := missing_programs():
        missing(reason)
    earlier = trained.get("/api/take/apk")
    number = trained.post("/api/jobs", {"kind": "take", "form": "apk"}).ok()["id"]
    end = time.monotonic() + 60
    while not (compilers := _started_by(trained.process.pid, b"java")) and time.monotonic() < end:
        time.sleep(0.02)
    assert compilers, "the build has not started"
    started = _started_by(trained.process.pid, b"")
    [helper] = helpers(trained)
    trained.post(f"/api/jobs/{number}/cancel").ok()
    assert trained.wait_for_job(number)["state"] == "canceled"
    while (left := {helper, *compilers} & _running()) and time.monotonic() < end:
        time.sleep(0.02)
    assert not left and len(started) > 2
    trained.run_job(kind="take", form="web")  # removes the scratch folders of ended processes
    assert not list((trained.folder.parent / "tmp").glob("poets_edge-scratch-*"))
    later = trained.get("/api/take/apk")
    assert (later.status, later.body) == (earlier.status, earlier.body)


def test_job_runs_after_the_idle_helper_process_was_killed(trained: StudioClient) -> None:
    trained.run_job(kind="take", form="int8")
    [helper] = helpers(trained)
    os.kill(helper, signal.SIGKILL)
    trained.run_job(kind="take", form="int8")


def _running() -> set[int]:
    """Return the process IDs of all processes that have not ended."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if "\nState:\tZ" not in status.read_text():
                found.add(int(status.parent.name))
    return found


def _started_by(process: int, name: bytes) -> set[int]:
    """Return the IDs of the processes below a process whose command lines contain a name."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    below = {process}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    found = set()
    for child in below - {process}:
        with contextlib.suppress(OSError):
            if name in Path(f"/proc/{child}/cmdline").read_bytes():
                found.add(child)
    return found


@pytest.mark.parametrize(("form", "modules"), [("onnx", ("tf2onnx", "onnxruntime")), ("coreml", ("coremltools",))])
def test_model_can_be_downloaded_in_other_formats(trained: StudioClient, form: str, modules: tuple[str, ...]) -> None:
    for module in ("tensorflow", *modules):
        need_module(module)
    taken = trained.run_job(kind="take", form=form)
    body = trained.get(f"/api/take/{form}").body
    assert len(body) == taken["bytes"]
    if form == "onnx":
        assert taken["text"].startswith("run on ") and 0 <= taken["accuracy"] <= 1
    else:
        assert "macOS" in taken["text"] and taken["accuracy"] is None
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            assert any(name.endswith("Manifest.json") for name in archive.namelist())


def test_unavailable_download_formats_are_listed_with_an_install_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("poets_edge.studio.packages.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None if name == "mvn" else f"/usr/bin/{name}")
    forms = {one["form"]: one["missing"] for one in offered_forms.__wrapped__()}
    assert forms["int8"] == forms["full-int8"] == forms["web"] == forms["frigate"] == ""
    assert forms["coreml"].endswith("pip install 'poets-edge[coreml]'")
    assert forms["firmware"].endswith("pip install 'poets-edge[micro]'")
    assert forms["apk"] == "Not installed. Run: sudo apt-get install maven"


def test_firmware_is_downloaded_with_the_accuracy_of_its_model(trained: StudioClient) -> None:
    need_module("tflite_micro")
    taken = trained.run_job(kind="take", form="firmware", board="xiao-esp32s3")
    assert 0 <= taken["accuracy"] <= 1 and taken["text"].startswith("xiao-esp32s3: ")
    with zipfile.ZipFile(io.BytesIO(trained.get("/api/take/firmware").body)) as archive:
        assert any(name.endswith(".ino") for name in archive.namelist())


def test_login_for_home_assistant_is_checked_before_the_device_is_changed(trained: StudioClient) -> None:
    request = {"kind": "deploy", "host": "pi@nowhere.invalid", "mqtt": "mqtt://broker", "mqtt_login": "only-a-user"}
    job = trained.wait_for_job(trained.post("/api/jobs", request).ok()["id"])
    assert job["state"] == "failed" and "user:password" in job["error"]
    job = trained.wait_for_job(trained.post("/api/jobs", {**request, "mqtt": "broker"}).ok()["id"])
    assert job["state"] == "failed" and "mqtt://homeassistant.local" in job["error"]


def test_frigate_download_refuses_a_model_with_an_unsupported_input_size(trained: StudioClient) -> None:
    job = trained.wait_for_job(trained.post("/api/jobs", {"kind": "take", "form": "frigate"}).ok()["id"])
    assert job["state"] == "failed" and "224 x 224" in job["error"]


def test_grid_measures_both_quantizations_and_recommends_one_model(flowers: Path) -> None:
    with running(flowers) as client:
        request = {"kind": "grid", "architecture": "mobilenet_0.25_128", "min_accuracy": 0.1}
        number = client.post("/api/jobs", request).ok()["id"]
        assert client.wait_for_job(number, GRID_SECONDS)["state"] == "done"
        found = client.get(f"/api/jobs/{number}/result").ok()
        assert [point["form"] for point in found["points"]] == ["float32", "int8"]
        assert [point["ship"] for point in found["points"]].count(True) == 1
        assert all(point["latency_ms"] > 0 and point["bytes"] > 0 for point in found["points"]) and found["reason"]


def test_grid_on_a_device_that_cannot_be_reached_names_the_device(trained: StudioClient) -> None:
    request = {"kind": "grid", "architecture": "mobilenet_0.25_128", "on": "pi@nowhere.invalid"}
    job = trained.wait_for_job(trained.post("/api/jobs", request).ok()["id"])
    assert job["state"] == "failed" and "nowhere.invalid" in job["error"]


def test_closing_a_tab_does_not_stop_a_job(flowers: Path) -> None:
    with running(flowers) as client:
        number = client.post("/api/jobs", {"kind": "audit", "choice": "quick"}).ok()["id"]
        for _ in client.events("job", until="done"):
            break  # which closes the connection
        assert client.wait_for_job(number)["state"] == "done"


def test_grid_job_needs_no_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POETS_EDGE_CACHE", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("poets_edge.studio.choices.local_weights", lambda network, folder: None)
    networks, weights, left_out = compared_networks("")
    assert [network.name for network in networks] == ["mobilenet_0.25_128"] and weights == "embedded"
    assert {network.name for network in left_out} >= {"mobilenet_1.0_224"}


@pytest.mark.parametrize("form", ["elf", "../int8", "..%2f..%2fmodel", "model.json"])
def test_unknown_download_formats_are_refused(trained: StudioClient, form: str) -> None:
    assert trained.get(f"/api/take/{form}").status == 404
    assert trained.get(f"/api/model/{form}.tflite").status == 404
    number = trained.post("/api/jobs", {"kind": "take", "form": form}).ok()["id"]
    job = trained.wait_for_job(number)
    assert job["state"] == "failed" and "not a download format" in job["error"]


def test_audit_lists_mislabeled_photos_and_omits_excluded_ones(flowers: Path) -> None:
    (flowers / ONE).rename(flowers / "roses/wrong.jpg")
    with running(flowers) as client:
        found = client.run_job(kind="audit", choice="quick")
        assert found["suspects"] and found["suspects"] == sorted(found["suspects"], key=lambda one: -one["gain"])
        assert set(found["suspects"][0]) >= {"path", "label", "suggested", "confidence", "gain"}
        first = found["suspects"][0]["path"]
        client.post("/api/photos/exclude", {"photos": [first]}).ok()
        again = client.run_job(kind="audit", choice="quick")
        assert first not in [one["path"] for one in again["suspects"]]
    for audit in (found, again):
        wrong = sum(one["probable"] for one in audit["suspects"])
        assert f": {wrong} probably wrong label" in audit["summary"]
        assert len(audit["warnings"]) == len(set(audit["warnings"]))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "shell"},
        {"kind": "take"},
        {"kind": "deploy"},
        {"kind": "grid", "min_accuracy": 2},
        {"kind": "train", "choice": "x"},
    ],
)
def test_malformed_job_requests_are_refused(trained: StudioClient, body: dict[str, object]) -> None:
    trained.post("/api/jobs", body).refused(400)


def test_unknown_network_and_malicious_host_are_reported_in_one_line(trained: StudioClient) -> None:
    for body in ({"kind": "train", "architecture": "../x"}, {"kind": "deploy", "host": "-oProxyCommand=touch x"}):
        job = trained.wait_for_job(trained.post("/api/jobs", body).ok()["id"])
        assert job["state"] == "failed" and len(job["error"].splitlines()) == 1 and "Traceback" not in job["error"]


def test_password_is_passed_to_ssh_and_not_saved_in_the_project(trained: StudioClient) -> None:
    request = {"kind": "deploy", "host": "pi@nowhere.invalid", "password": "s3cret word"}
    job = trained.wait_for_job(trained.post("/api/jobs", request).ok()["id"])
    assert job["state"] == "failed" and len(job["error"].splitlines()) == 1 and "s3cret" not in str(job)
    assert (trained.folder.parent / "asked").read_text(encoding="utf-8") == "s3cret word\n"
    written = [path for path in trained.folder.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    assert not written


def test_second_job_is_refused_and_a_job_can_be_canceled(flowers: Path) -> None:
    with running(flowers) as client:
        number = client.post("/api/jobs", {"kind": "train"}).ok()["id"]
        assert "running" in client.post("/api/jobs", {"kind": "audit"}).refused(409)
        client.post(f"/api/jobs/{number}/cancel").ok()
        assert client.wait_for_job(number)["state"] == "canceled"
        client.get(f"/api/jobs/{number}/result").refused(409)
        assert client.get("/api/project").ok()["model"] is None
        assert client.run_job(kind="train", choice="quick")["files"]


def test_server_continues_after_a_job_crashes(flowers: Path) -> None:
    with running(flowers) as client:
        number = client.post("/api/jobs", {"kind": "train"}).ok()["id"]
        end = time.monotonic() + 30
        while not (found := helpers(client)) and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(found[0], signal.SIGKILL)
        job = client.wait_for_job(number)
        assert job["state"] == "failed" and "signal 9" in job["error"]
        assert client.run_job(kind="train", choice="quick")["files"]


def test_restart_finds_the_model_and_reports_an_interrupted_job(flowers: Path) -> None:
    client = start(flowers)
    shown = client.run_job(kind="train", choice="quick")
    model = client.get("/api/model/int8.tflite").body
    number = client.post("/api/jobs", {"kind": "audit"}).ok()["id"]
    pids = helpers(client)
    client.kill()
    with running(flowers) as client:
        assert client.get("/api/project").ok()["model"] == json.loads(json.dumps(shown))
        assert client.get("/api/model/int8.tflite").body == model
        jobs = client.get("/api/jobs").ok()
        assert [job["state"] for job in jobs] == ["failed", "done"]
        assert jobs[0]["id"] == number and "stopped while this job" in jobs[0]["error"]
        assert client.get(f"/api/jobs/{jobs[1]['id']}/result").ok() == shown
        assert not client.get("/api/project").ok()["needs_training"]
        end = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < end:
            time.sleep(0.05)
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_retraining_reports_each_changed_prediction(flowers: Path) -> None:
    with running(flowers) as client:
        assert client.run_job(kind="train", choice="quick")["changes"] is None
        names = [f"daisy/daisy-00{number}.jpg" for number in range(4)]
        client.post("/api/photos/move", {"photos": names, "to": "roses"}).ok()
        assert client.get("/api/project").ok()["needs_training"]
        client.run_job(kind="take", form="int8")
        own = flowers / ".poets-edge"
        [number] = [path.name for path in (own / "models").iterdir() if path.name.isdecimal()]
        mine = (own / "take/mine.zip", own / "models" / number / "mine.txt", own / "models/1/mine.txt")
        for path in mine:
            path.parent.mkdir(exist_ok=True)
            path.write_text("mine")
        changes = client.run_job(kind="train", choice="quick")["changes"]
        client.get("/api/take/int8").refused(404)  # it was that of the model before
        assert changes and all(change["before"] != change["after"] for change in changes)
        assert {change["path"] for change in changes} <= set(client.photos())
        assert all(path.read_text() == "mine" for path in mine)


def test_deleting_photos_during_training_does_not_stop_the_server(flowers: Path) -> None:
    with running(flowers) as client:
        before = contents(flowers)
        number = client.post("/api/jobs", {"kind": "train"}).ok()["id"]
        photos = [name for name in client.photos() if name.startswith("tulips/")]
        client.post("/api/photos/delete", {"photos": photos}).ok()
        job = client.wait_for_job(number)
        assert job["state"] in ("done", "failed")
        if job["error"]:
            assert len(job["error"].splitlines()) == 1 and "Traceback" not in job["error"]
        client.post("/api/undo").ok()
        assert set(before) <= set(contents(flowers))
        assert client.run_job(kind="train", choice="quick")["files"]


def test_events_report_the_progress_of_a_job(flowers: Path) -> None:
    seen: list[dict[str, object]] = []
    with running(flowers) as client:
        thread = threading.Thread(target=lambda: seen.extend(client.events("job", until="done")))
        thread.start()
        client.run_job(kind="train", choice="quick")
        thread.join(20)
    assert seen[-1]["state"] == "done" and len(seen) > 2
    curve = seen[-1]["curve"]
    assert isinstance(curve, list) and len(curve) > 10
    steps = [step for step, _, _ in curve]
    assert steps == sorted(steps) and steps[-1] == 3999
    assert all(0 <= accuracy <= 1 for _, *pair in curve for accuracy in pair if accuracy is not None)
