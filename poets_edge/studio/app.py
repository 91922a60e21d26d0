"""ASGI application of the studio: routes, and the conversion of errors to answers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from poets_edge.errors import PoetsEdgeError
from poets_edge.studio.events import changes
from poets_edge.studio.page_files import TYPES, PageFiles
from poets_edge.studio.project import Project
from poets_edge.studio.refusal import RefusedError
from poets_edge.studio.security import Access, Guard

_LARGEST_PHOTO_SIDE = 1600
_IMMUTABLE = "private, max-age=31536000, immutable"
_FOR_AN_HOUR = "private, max-age=3600"

_Endpoint = Callable[[Request], Awaitable[Response]]


def studio_app(project: Project, access: Access) -> Starlette:
    """Return the application for a project."""
    pages = PageFiles()

    async def page(request: Request) -> Response:
        return _page_file(pages, request.path_params.get("name", "index.html"))

    async def runtime(request: Request) -> Response:
        name = request.path_params["name"]
        content = await run_in_threadpool(pages.runtime, name)
        return _bytes(content, name, _FOR_AN_HOUR)

    async def get_project(request: Request) -> Response:
        return as_json(await run_in_threadpool(lambda: {**project.to_json(), "lan": access.origins[0][:5] == "https"}))

    async def get_photos(request: Request) -> Response:
        return as_json(await run_in_threadpool(project.photos_json))

    async def thumbnail(request: Request) -> Response:
        return await run_in_threadpool(_thumbnail, project, request.path_params["name"], request.query_params.get("v"))

    async def photo(request: Request) -> Response:
        return await run_in_threadpool(_photo, project, request.path_params["name"])

    async def events(request: Request) -> Response:
        def states() -> dict[str, dict[str, Any]]:
            project.refresh()
            return {"project": {"version": project.version}}

        return StreamingResponse(changes(states), media_type="text/event-stream")

    routes = {
        "/": page,
        "/runtime/{name}": runtime,
        "/api/project": get_project,
        "/api/photos": get_photos,
        "/api/events": events,
        "/thumb/{name:path}": thumbnail,
        "/photo/{name:path}": photo,
        "/{name}": page,
    }
    return Starlette(
        routes=[Route(path, answered(endpoint)) for path, endpoint in routes.items()],
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={HTTPException: _http_error},
    )


def as_json(value: object, status: int = 200) -> Response:
    """Return an answer with a JSON value, as ASCII: a name of a file may contain what is not Unicode."""
    return Response(json.dumps(value, separators=(",", ":")), status, media_type="application/json")


def answered(endpoint: _Endpoint) -> _Endpoint:
    """Return an endpoint that answers every exception of poets_edge with its line."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except RefusedError as error:
            return as_json({"error": str(error)}, error.status)
        except PoetsEdgeError as error:
            return as_json({"error": str(error)}, 400)
        except OSError as error:
            return as_json({"error": f"{error.filename or 'the disk'}: {error.strerror or error}."}, 507)

    return answer


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
