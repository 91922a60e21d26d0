"""Jobs of a project, which run one at a time in a helper process. Their states and results are stored in files."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from poets_edge.core.files import read_bytes, write_bytes
from poets_edge.core.json_checks import Check, OneOf, Optional, check, json_bytes, parse_json
from poets_edge.core.processes import Helper, HelperEndedError, Messaging
from poets_edge.errors import OutputError, PoetsEdgeError, RecordError
from poets_edge.studio import messages
from poets_edge.studio.job_reporter import JobProgress
from poets_edge.studio.job_requests import JobKind, JobRequest
from poets_edge.studio.job_results import RESULTS
from poets_edge.studio.job_worker import run_job
from poets_edge.studio.places import Places
from poets_edge.studio.refusal import RefusedError

State = Literal["running", "done", "failed", "canceled"]

_KEPT = 20
"""Number of most recent jobs whose results are kept."""
_IDLE_SECONDS = 600.0
"""Time in seconds that the helper process waits for another job before it ends. The next job starts faster if its
libraries are already loaded."""
_LARGEST = 64 << 20
"""Maximum size, in bytes, of the JSON file with the state and result of a job. Larger files are ignored."""
_SHAPE = {
    "number": Check(str, "up to 18 digits", lambda value: value.isascii() and value.isdecimal() and len(value) <= 18),
    "kind": OneOf(get_args(JobKind)),
    "state": OneOf(get_args(State)),
    "text": str,
    "error": Optional(str),
    "result": Optional(object),
}


@dataclass(frozen=True, kw_only=True)
class Job:
    """State, progress and result of a job that the web page has started, such as a training.

    Attributes:
        number: number of the job; later jobs have higher numbers.
        kind: "train", "audit", "grid" (compare networks), "deploy" or "take" (prepare a download).
        state: "running", "done", "failed" or "canceled".
        progress: last reported progress.
        error: error message of a failed job, one line.
        result: result of a finished job, as JSON-compatible values.
    """

    number: str
    kind: JobKind
    state: State = "running"
    progress: JobProgress = JobProgress(text=messages.STARTING)
    error: str | None = None
    result: Any = None

    def to_json(self, *, curve: bool = False) -> dict[str, Any]:
        """Return the job as a JSON-compatible dictionary, without its result.

        Args:
            curve: whether to include the accuracies during training.
        """
        progress = self.progress
        running = self.state == "running"
        return {
            "id": self.number,
            "kind": self.kind,
            "state": self.state,
            "fraction": progress.fraction if running else None,
            "text": progress.text,
            "seconds_left": progress.seconds_left if running else None,
            "error": self.error,
            **({"curve": [list(point) for point in progress.curve]} if curve else {}),
        }


class Jobs:
    """Jobs of one project: starts and cancels jobs, one at a time, and keeps the most recent results.

    The methods are thread-safe.
    """

    def __init__(self, places: Places, on_change: Callable[[bool], None]) -> None:
        """Read the jobs that previous runs of the server have saved, and mark those that were still running as failed.

        Args:
            places: paths of the studio's files in the project.
            on_change: function that is called when a job starts or ends; its argument states whether a job is running.
        """
        self._places = places
        self._on_change = on_change
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {job.number: job for job in self._read()}
        self._waiting: queue.Queue[JobRequest] = queue.Queue()
        self._helper: Helper[JobRequest, dict[str, Any]] | None = None
        self._thread: threading.Thread | None = None

    def start(self, make: Callable[[str], JobRequest]) -> Job:
        """Start a job in the helper process, and return it with its initial state.

        Args:
            make: function that returns the request for a job, given the job's number.

        Raises:
            RefusedError: another job is running.
        """
        with self._lock:
            running = self._running()
            if running is not None:
                raise RefusedError(messages.JOB_RUNS.format(kind=running.kind), 409)
            # Numbers grow over restarts, and do not repeat if results were deleted by hand.
            number = str(max(time.time_ns() // 1_000_000, *(int(known) + 1 for known in (*self._jobs, "0"))))
            request = make(number)
            job = Job(number=number, kind=request.kind)
            self._write(job)
            self._jobs[number] = job
            if self._thread is None:
                # The helper belongs to this thread: on Linux it ends with the thread that started it.
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
            self._on_change(True)
        self._waiting.put(request)
        return job

    def cancel(self, number: str) -> None:
        """Cancel a job; do nothing if it has ended. Raises RefusedError if there is no such job."""
        self.find(number)
        with self._lock:
            if self._jobs[number].state == "running":
                self._jobs[number] = replace(self._jobs[number], state="canceled")
                if self._helper is not None:
                    self._helper.kill()

    def find(self, number: str) -> Job:
        """Return the job with a given number. Raises RefusedError if there is no such job."""
        job = self._jobs.get(number)
        if job is None:
            raise RefusedError(messages.NO_JOB.format(number=number[:20]), 404)
        return job

    def all(self) -> list[Job]:
        """Return all jobs, the newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: int(job.number), reverse=True)

    @property
    def newest(self) -> Job | None:
        """Most recently started job; None if no job was started."""
        return next(iter(self.all()), None)

    def _running(self) -> Job | None:
        return next((job for job in self._jobs.values() if job.state == "running"), None)

    def _work(self) -> None:
        while True:
            try:
                request = self._waiting.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                self._close_helper()
                continue
            self._finish(self._run(request))

    def _run(self, request: JobRequest) -> Job:
        was_idle, has_begun = self._helper is not None, False

        def receive(progress: JobProgress) -> None:
            nonlocal has_begun
            has_begun = True
            with self._lock:
                job = self._jobs[request.number]
                # An activity without evaluations follows the training, whose curve stays visible.
                curve = progress.curve or job.progress.curve
                self._jobs[request.number] = replace(job, progress=replace(progress, curve=curve))

        ended: Job
        try:
            with self._lock:
                self._helper = self._helper or Helper(Messaging(run_job))
                helper, canceled = self._helper, self._jobs[request.number].state == "canceled"
            if canceled:
                return self._jobs[request.number]
            result = helper.ask(request, request.kind, receive=receive)
            ended = replace(self._jobs[request.number], state="done", result=result)
        except HelperEndedError as error:
            self._close_helper()
            if was_idle and not has_begun:  # it was killed between two jobs, for example because memory was short
                return self._run(request)
            ended = replace(self._jobs[request.number], state="failed", error=str(error))
        except (PoetsEdgeError, OSError) as error:
            ended = replace(self._jobs[request.number], state="failed", error=str(error))
        if request.kind == "deploy":
            self._close_helper()  # its environment may contain a password
        return ended

    def _finish(self, job: Job) -> None:
        with self._lock:
            if self._jobs[job.number].state == "canceled":
                job = replace(job, state="canceled", error=None, result=None)
            self._jobs[job.number] = job
            for number in sorted(self._jobs, key=int)[:-_KEPT]:
                del self._jobs[number]
                with contextlib.suppress(OSError):
                    (self._places.jobs / f"{number}.json").unlink(missing_ok=True)
            self._on_change(self._running() is not None)
        with contextlib.suppress(OutputError):  # a full disk: the result is in memory
            self._write(job)

    def _close_helper(self) -> None:
        with self._lock:
            helper, self._helper = self._helper, None
        if helper is not None:
            helper.close()

    def _write(self, job: Job) -> None:
        kept = {
            "number": job.number,
            "kind": job.kind,
            "state": job.state,
            "text": job.progress.text,
            "error": job.error,
            "result": job.result,
        }
        write_bytes(self._places.jobs / f"{job.number}.json", json_bytes(kept))

    def _read(self) -> list[Job]:
        found = []
        for path in self._places.jobs.glob("*.json"):
            try:
                kept = check(parse_json(read_bytes(path, _LARGEST)), _SHAPE)
                if kept["state"] == "done":
                    check(kept["result"], RESULTS[kept["kind"]])
            except (OSError, RecordError, UnicodeError):
                continue
            if path.stem != kept["number"]:
                continue
            interrupted = kept["state"] == "running"
            found.append(
                Job(
                    number=kept["number"],
                    kind=kept["kind"],
                    state="failed" if interrupted else kept["state"],
                    progress=JobProgress(text=kept["text"]),
                    error=messages.INTERRUPTED if interrupted else kept["error"],
                    result=kept["result"],
                )
            )
        return found
