"""HTTP routes that change the photos and classes of a project."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from poets_edge.core.json_checks import Check, Optional, Shape, check, parse_json
from poets_edge.errors import RecordError
from poets_edge.studio import messages
from poets_edge.studio.answers import Endpoint, as_json
from poets_edge.studio.changes import Changes
from poets_edge.studio.project import Project
from poets_edge.studio.refusal import RefusedError
from poets_edge.studio.uploads import Upload, receive

_LARGEST_BODY = 16 << 20
"""Maximum size of a JSON request body in bytes, which is enough for the names of 100,000 photos."""
_LONGEST_NAME = 4096
_PHOTOS = Check([str], "the names of one or more photos", bool)
_CHANGED_CLASS = {"add": Optional(str), "rename": Optional(str), "to": Optional(str), "remove": Optional(str)}


async def json_body(request: Request, shape: Shape) -> Any:
    """Return the JSON body of a request.

    Args:
        request: the request.
        shape: structure that the body must have, as for `check`.

    Raises:
        RefusedError: the body is too large, is not JSON, or does not have the required structure.
    """
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > _LARGEST_BODY:
            raise RefusedError(messages.REQUEST_TOO_LARGE, 413)
    try:
        return check(parse_json(b"".join(parts)), shape)
    except (RecordError, UnicodeError) as error:
        raise RefusedError(messages.NOT_A_REQUEST.format(reason=error)) from None


def mutation_routes(project: Project, changes: Changes) -> Mapping[str, Endpoint]:
    """Return the endpoints for POST requests that change a project, as a dictionary keyed by URL path."""

    def changed(**more: Any) -> Response:
        state = {"version": project.version, "undo": changes.undo_text, "redo": changes.redo_text}
        return as_json({**state, **more})

    async def classes(request: Request) -> Response:
        body = {key: value for key, value in (await json_body(request, _CHANGED_CLASS)).items() if value is not None}
        if set(body) == {"add"}:
            await run_in_threadpool(changes.add_class, body["add"])
        elif set(body) == {"rename", "to"}:
            await run_in_threadpool(changes.rename_class, body["rename"], body["to"])
        elif set(body) == {"remove"}:
            await run_in_threadpool(changes.remove_class, body["remove"])
        else:
            raise RefusedError(messages.NOT_A_CLASS_CHANGE)
        return changed()

    async def move(request: Request) -> Response:
        body = await json_body(request, {"photos": _PHOTOS, "to": str})
        _, moved = await run_in_threadpool(changes.move, body["photos"], body["to"])
        return changed(moved=moved)

    def on_photos(change: Callable[[list[str]], object]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            body = await json_body(request, {"photos": _PHOTOS})
            await run_in_threadpool(change, body["photos"])
            return changed()

        return endpoint

    def without_arguments(change: Callable[[], object]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            await json_body(request, {})
            await run_in_threadpool(change)
            return changed()

        return endpoint

    async def upload(request: Request) -> Response:
        query = request.query_params
        name = query.get("name", "")[:_LONGEST_NAME]
        size = request.headers.get("content-length", "")
        described = Upload(
            name, query.get("class"), query.get("batch", "")[:64], int(size) if size.isdecimal() else None
        )
        received = await receive(project, changes, described, request.stream())
        return changed(added=received.added, skipped=received.skipped)

    return {
        "/api/classes": classes,
        "/api/photos/move": move,
        "/api/photos/exclude": on_photos(changes.exclude),
        "/api/photos/include": on_photos(changes.include),
        "/api/photos/keep": on_photos(changes.keep),
        "/api/photos/delete": on_photos(changes.delete),
        "/api/undo": without_arguments(changes.undo),
        "/api/redo": without_arguments(changes.redo),
        "/api/upload": upload,
    }
