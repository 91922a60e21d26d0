"""Exception for a refused request, with the HTTP status of the response."""

from __future__ import annotations

from poets_edge.errors import PoetsEdgeError
from poets_edge.studio import messages


class RefusedError(PoetsEdgeError):
    """Error for a request that the studio refuses.

    Attributes:
        status: HTTP status code of the response, 400 to 599.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def missing(what: str) -> RefusedError:
    """Return a RefusedError with status 404, for a request that refers to something that does not exist."""
    return RefusedError(messages.NOT_IN_PROJECT.format(name=what), 404)
