"""ASGI application of the studio: routes, and the conversion of errors to HTTP responses."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from poets_edge.errors import DatasetError
from poets_edge.exporting.microcontroller.boards import BOARDS
from poets_edge.studio.answers import answered, as_json
from poets_edge.studio.changes import Changes
from poets_edge.studio.choices import offered_networks
from poets_edge.studio.events import state_changes
from poets_edge.studio.job_routes import job_gets, job_posts, model_state
from poets_edge.studio.jobs import Jobs
from poets_edge.studio.mutations import mutation_routes
from poets_edge.studio.packages import offered_forms
from poets_edge.studio.page_files import TYPES, PageFiles
from poets_edge.studio.phone import phone_address
from poets_edge.studio.project import Project
from poets_edge.studio.security import Access, Guard

_LARGEST_PHOTO_SIDE = 1600
_IMMUTABLE = "private, max-age=31536000, immutable"
_FOR_AN_HOUR = "private, max-age=3600"


def studio_app(project: Project, changes: Changes, jobs: Jobs, access: Access) -> Starlette:
    """Return the ASGI application that serves a project.

    Args:
        project: photos of the project.
        changes: the operations that change the project, with undo and redo.
        jobs: the project's jobs, such as training.
        access: token and addresses that requests must have.
    """
    pages = PageFiles()

    async def page(request: Request) -> Response:
        return _page_file(pages, request.path_params.get("name", "index.html"))

    async def runtime(request: Request) -> Response:
        name = request.path_params["name"]
        content = await run_in_threadpool(pages.runtime, name)
        return _bytes(content, name, _FOR_AN_HOUR)

    async def get_project(request: Request) -> Response:
        state = await run_in_threadpool(project.to_json)
        model = await run_in_threadpool(model_state, project)
        return as_json(
            {
                **state,
                **model,
                "undo": changes.undo_text,
                "redo": changes.redo_text,
                "architectures": list(offered_networks()),
                "takes": offered_forms(),
                "boards": [[board.name, board.title] for board in BOARDS],
                "lan": access.is_lan,
            }
        )

    async def phone(request: Request) -> Response:
        step = request.query_params.get("step", "")
        return as_json(await run_in_threadpool(phone_address, access, step))

    async def get_photos(request: Request) -> Response:
        return as_json(await run_in_threadpool(project.photos_json))

    async def thumbnail(request: Request) -> Response:
        return await run_in_threadpool(_thumbnail, project, request.path_params["name"], request.query_params.get("v"))

    async def photo(request: Request) -> Response:
        return await run_in_threadpool(_photo, project, request.path_params["name"])

    async def events(request: Request) -> Response:
        def states() -> dict[str, dict[str, Any]]:
            problem = ""
            try:
                project.refresh()
            except DatasetError as error:
                problem = str(error)
            newest = jobs.newest
            job = {"job": newest.to_json(curve=True)} if newest else {}
            return {"project": {"version": project.version, "problem": problem}, **job}

        return StreamingResponse(state_changes(states), media_type="text/event-stream")

    routes = {
        "/": page,
        "/runtime/{name}": runtime,
        "/api/project": get_project,
        "/api/photos": get_photos,
        "/api/events": events,
        "/api/phone": phone,
        **job_gets(project, jobs),
        "/thumb/{name:path}": thumbnail,
        "/photo/{name:path}": photo,
        "/{name}": page,
    }
    posts = {**mutation_routes(project, changes), **job_posts(project, jobs)}
    return Starlette(
        routes=[
            *(Route(path, answered(endpoint), methods=["POST"]) for path, endpoint in posts.items()),
            *(Route(path, answered(endpoint), methods=["GET"]) for path, endpoint in routes.items()),
        ],
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={HTTPException: _http_error},
    )


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return as_json({"error": f"{request.url.path[:200]}: {error.detail}."}, error.status_code)


def _page_file(pages: PageFiles, name: str) -> Response:
    return _bytes(pages.page(name), name, "no-cache")


def _bytes(content: bytes, name: str, cache: str) -> Response:
    suffix = name[name.rfind(".") :]
    kind = TYPES.get(suffix, "application/octet-stream")
    return Response(content, headers={"Content-Type": kind, "Cache-Control": cache})


def _thumbnail(project: Project, name: str, version: str | None) -> Response:
    stamp = project.stamp(name)
    decoded = project.thumbnails.thumbnail(name, stamp)
    if decoded.problem:
        return as_json({"error": decoded.problem}, 404 if decoded.gone else 422)
    return _jpeg(decoded.jpeg, _IMMUTABLE if version == stamp else "no-cache")


def _photo(project: Project, name: str) -> Response:
    project.stamp(name)
    decoded = project.thumbnails.photo(name, _LARGEST_PHOTO_SIDE)
    if decoded.problem:
        return as_json({"error": decoded.problem}, 404 if decoded.gone else 422)
    return _jpeg(decoded.jpeg, "no-cache")


def _jpeg(content: bytes, cache: str) -> Response:
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": cache})
