"""HTTP routes for jobs, the current model and downloads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from poets_edge.studio import messages
from poets_edge.studio.answers import Endpoint, as_json
from poets_edge.studio.job_requests import READ_PHOTOS, JobRequest, job_request
from poets_edge.studio.jobs import Jobs
from poets_edge.studio.mutations import json_body
from poets_edge.studio.project import Project
from poets_edge.studio.refusal import RefusedError
from poets_edge.studio.take_job import current_model, taken_file

_NAMED_LINKS = 3
"""Maximum number of symbolic links that are named in an error message."""


def job_posts(project: Project, jobs: Jobs) -> Mapping[str, Endpoint]:
    """Return the endpoints for POST requests that start and cancel jobs, as a dictionary keyed by URL path."""

    async def start(request: Request) -> Response:
        body = await json_body(request, {})

        def begin() -> str:
            project.refresh(now=True)
            state = project.state

            def make(number: str) -> JobRequest:
                request = job_request(body, project.places.root, number, state)
                if request.kind in READ_PHOTOS:
                    _check_links(project)
                return request

            return jobs.start(make).number

        return as_json({"id": await run_in_threadpool(begin)})

    async def cancel(request: Request) -> Response:
        await run_in_threadpool(jobs.cancel, request.path_params["number"])
        return as_json({})

    return {"/api/jobs": start, "/api/jobs/{number}/cancel": cancel}


def job_gets(project: Project, jobs: Jobs) -> Mapping[str, Endpoint]:
    """Return the endpoints for GET requests about jobs and the current model, as a dictionary keyed by URL path."""
    places = project.places

    async def list_jobs(request: Request) -> Response:
        return as_json([job.to_json() for job in jobs.all()])

    async def result(request: Request) -> Response:
        job = jobs.find(request.path_params["number"])
        if job.state != "done":
            raise RefusedError(messages.NO_RESULT.format(state=job.state), 409)
        return as_json(job.result)

    async def predictions(request: Request) -> Response:
        return as_json(await run_in_threadpool(_predictions, project))

    async def file(request: Request) -> Response:
        form = request.path_params["form"]
        path = await run_in_threadpool(lambda: current_model(places).file(form))
        return FileResponse(path, media_type="application/octet-stream", headers={"Cache-Control": "no-cache"})

    async def take(request: Request) -> Response:
        path = await run_in_threadpool(taken_file, places, request.path_params["form"])
        return FileResponse(path, media_type="application/octet-stream", filename=path.name)

    return {
        "/api/jobs": list_jobs,
        "/api/jobs/{number}/result": result,
        "/api/model/predictions": predictions,
        "/api/model/{form}.tflite": file,
        "/api/take/{form}": take,
    }


def _check_links(project: Project) -> None:
    """Raise RefusedError if the project contains symbolic links.

    A job would follow the links and read photos that the page does not show and that may be outside the project.
    """
    links = project.found.links
    if links:
        names = ", ".join(links[:_NAMED_LINKS]) + (", …" if len(links) > _NAMED_LINKS else "")
        raise RefusedError(messages.LINKS_IN_PROJECT.format(folder=project.places.root.name, names=names), 409)


def _predictions(project: Project) -> list[list[Any]]:
    """Return a list [name, class, predicted class, score] for each evaluated photo.

    Photos that were moved or renamed since the training are listed under their current names.
    """
    names = {stamp: name for name, stamp in project.found.stamps.items()}
    found = current_model(project.places).predictions()
    return [[names.get(one.stamp, one.photo), one.label, one.predicted, round(one.score, 6)] for one in found]


def model_state(project: Project) -> dict[str, Any]:
    """Return the description of the current model, and whether a training is needed, as a JSON-compatible dictionary.

    A training is needed if the photos have changed since the model was trained, or if there are photos but no model.
    """
    try:
        model = current_model(project.places)
    except RefusedError:
        return {"model": None, "needs_training": bool(project.found.stamps)}
    return {"model": dict(model.shown), "needs_training": model.state != project.state}
