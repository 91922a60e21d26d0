"""Conversion of JSON values and exceptions to HTTP responses; an exception becomes a one-line error message."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from poets_edge.errors import PoetsEdgeError
from poets_edge.studio import messages
from poets_edge.studio.refusal import RefusedError

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def as_json(value: object, status: int = 200) -> Response:
    """Return an HTTP response with a JSON body, which is pure ASCII because file names may contain invalid Unicode."""
    return Response(json.dumps(value, separators=(",", ":")), status, media_type="application/json")


def answered(endpoint: Endpoint) -> Endpoint:
    """Return an endpoint that calls the given one, and converts an exception to an HTTP response.

    The body of the response is then a JSON object with the error message.
    """

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except RefusedError as error:
            return as_json({"error": str(error)}, error.status)
        except PoetsEdgeError as error:
            return as_json({"error": str(error)}, 400)
        except OSError as error:
            return as_json(
                {
                    "error": messages.FILE_FAILED.format(
                        name=error.filename or messages.DISK, reason=error.strerror or error
                    )
                },
                507,
            )
        except ClientDisconnect:
            return as_json({"error": messages.REQUEST_ENDED}, 400)
        except Exception as error:
            print(f"studio: {request.url.path[:200]!r}: {error!r}", file=sys.stderr)
            return as_json({"error": messages.BUG.format(error=f"{type(error).__name__}: {error}")}, 500)

    return answer
