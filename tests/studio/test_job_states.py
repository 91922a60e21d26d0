"""Tests of the states of jobs, with a stand-in for the helper process, and of what a trained model is compared with."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poets_edge.core.processes import HelperEndedError
from poets_edge.errors import DatasetError
from poets_edge.studio import jobs as jobs_module
from poets_edge.studio import messages
from poets_edge.studio.job_requests import JobKind, JobRequest
from poets_edge.studio.jobs import Job, Jobs
from poets_edge.studio.places import Places
from poets_edge.studio.trained_model import PhotoPrediction, TrainedModel, read_model, write_model
from poets_edge.studio.training_job import _changes
from tests.studio.test_foreign_projects import SHOWN


class Helper:
    """Stand-in for the helper process: it answers a job with an error or with its kind."""

    made: list[Helper]
    error: Exception | None = None

    def __init__(self, function: object) -> None:
        self.closed = False
        Helper.made.append(self)

    def ask(self, request: JobRequest, name: str, receive: object) -> dict[str, Any]:
        if Helper.error is not None:
            raise Helper.error
        return {"kind": request.kind}

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setattr(jobs_module, "Helper", Helper)
    monkeypatch.setattr(Helper, "made", [], raising=False)
    monkeypatch.setattr(Helper, "error", None)
    found = Places(tmp_path / "flowers")
    found.create()
    return found


@pytest.fixture
def run(places: Places) -> Callable[..., Job]:
    """Function that runs a job of the given kind and returns it when it has ended."""
    jobs = Jobs(places, lambda starts: None)

    def run_job(kind: JobKind, error: Exception | None = None) -> Job:
        Helper.error = error
        job = jobs.start(lambda number: JobRequest(root=places.root, number=number, kind=kind))
        end = time.monotonic() + 20
        while (
            jobs.find(job.number).state == "running"
            or json.loads(_file(places, job.number).read_text())["state"] == "running"
        ):
            assert time.monotonic() < end
            time.sleep(0.005)
        return jobs.find(job.number)

    return run_job


def _file(places: Places, number: str) -> Path:
    return places.jobs / f"{number}.json"


def write(places: Places, number: int, state: str = "failed", error: str | None = "an error") -> None:
    kept = {"number": str(number), "kind": "audit", "state": state, "text": "", "error": error, "result": None}
    _file(places, str(number)).write_text(json.dumps(kept))


def test_jobs_interrupted_by_a_restart_are_listed_as_failed(places: Places) -> None:
    for number, state in ((9, "failed"), (10, "canceled"), (100, "running")):
        write(places, number, state)
    found = Jobs(places, lambda starts: None).all()
    assert [(job.number, job.state, job.error) for job in found] == [
        ("100", "failed", messages.INTERRUPTED), ("10", "canceled", "an error"), ("9", "failed", "an error"),
    ]  # fmt: skip


def test_job_files_whose_name_contradicts_their_content_are_skipped(places: Places) -> None:
    for number in (9, 10):
        write(places, number)
    _file(places, "9").rename(_file(places, "8"))
    assert [job.number for job in Jobs(places, lambda starts: None).all()] == ["10"]


def test_results_of_the_newest_twenty_jobs_are_kept(places: Places, run: Callable[..., Job]) -> None:
    for number in (*range(1, 23), 1000):
        write(places, number)
    jobs = Jobs(places, lambda starts: None)
    job = Job(number="2000", kind="audit", state="done", result={})
    jobs._jobs["2000"] = job
    jobs._finish(job)
    kept = {*map(str, range(5, 23)), "1000", "2000"}
    assert {one.number for one in jobs.all()} == kept == {path.stem for path in places.jobs.glob("*.json")}


def test_helper_process_runs_several_jobs_but_none_after_a_deployment(run: Callable[..., Job]) -> None:
    """The environment of the helper may contain the password of the device."""
    assert [run(kind).state for kind in ("audit", "train")] == ["done", "done"]
    assert len(Helper.made) == 1 and not Helper.made[0].closed
    assert run("deploy").result == {"kind": "deploy"} and Helper.made[0].closed
    assert run("audit").state == "done" and len(Helper.made) == 2 and not Helper.made[1].closed


def test_helper_is_replaced_only_if_it_has_ended(run: Callable[..., Job]) -> None:
    failed = run("train", DatasetError("no photos"))
    assert (failed.state, failed.error) == ("failed", "no photos") and not Helper.made[0].closed
    died = run("train", HelperEndedError("killed"))
    assert died.state == "failed" and "killed" in str(died.error) and all(helper.closed for helper in Helper.made)
    assert len(Helper.made) == 2, "the first helper may have been killed before the job, which is started again once"
    assert run("train").state == "done" and len(Helper.made) == 3


def test_jobs_call_the_callback_when_a_job_starts_or_ends(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thumbnails are not made during a job, even if it was started while a canceled job was still ending."""
    at_work, finish = threading.Event(), threading.Event()
    reported: list[bool] = []

    def ask(helper: Helper, request: JobRequest, name: str, receive: object) -> dict[str, Any]:
        at_work.set()
        assert finish.wait(20)
        finish.clear()
        return {}

    def started() -> Job:
        job = jobs.start(lambda number: JobRequest(root=places.root, number=number, kind="audit"))
        assert reported[-1] is True
        return job

    def wait_until(reached: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not reached():
            assert time.monotonic() < end
            time.sleep(0.002)

    monkeypatch.setattr(Helper, "ask", ask)
    monkeypatch.setattr(Helper, "kill", lambda helper: None, raising=False)
    jobs = Jobs(places, reported.append)
    first = started()
    assert at_work.wait(20)
    jobs.cancel(first.number)
    second = started()
    finish.set()
    wait_until(lambda: len(reported) == 3)
    assert reported == [True, True, True] and jobs.find(second.number).state == "running"
    finish.set()
    wait_until(lambda: jobs.find(second.number).state == "done")
    wait_until(lambda: len(reported) == 4)
    assert reported[-1] is False and jobs.find(first.number).state == "canceled"


def prediction(digest: str, predicted: str, photo: str = "") -> PhotoPrediction:
    return PhotoPrediction(photo=photo or digest, label="a", predicted=predicted, score=0.5, stamp="", digest=digest)


def test_list_of_changes_contains_photos_that_the_new_model_predicts_differently() -> None:
    before = [prediction("1", "a"), prediction("2", "b"), prediction("3", "a"), prediction("", "a")]
    after = [
        prediction("3", "c", "z.jpg"), prediction("1", "b", "moved.jpg"), prediction("2", "b"), prediction("9", "c"),
        prediction("", "b"),
    ]  # fmt: skip
    assert _changes(before, after) == [
        {"path": "moved.jpg", "before": "a", "after": "b"}, {"path": "z.jpg", "before": "a", "after": "c"},
    ]  # fmt: skip


def test_previous_model_is_kept_and_older_ones_are_removed(places: Places) -> None:
    for number in ("1", "2", "3"):
        folder = places.models / number
        folder.mkdir()
        model = TrainedModel(folder=folder, number=number, state=f"s{number}", shown=SHOWN)
        write_model(places, model, [prediction("7", "b")])
        found = read_model(places)
        assert found is not None and (found.number, found.state) == (number, f"s{number}")
        assert found.predictions() == (prediction("7", "b"),)
    assert sorted(path.name for path in places.models.iterdir() if path.is_dir()) == ["2", "3"]
