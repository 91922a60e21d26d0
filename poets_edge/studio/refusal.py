"""Refusal of a request, with the HTTP status that answers it."""

from __future__ import annotations

from poets_edge.errors import PoetsEdgeError


class RefusedError(PoetsEdgeError):
    """A request that the studio does not carry out.

    Attributes:
        status: HTTP status code of the answer, 400 to 599.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def missing(what: str) -> RefusedError:
    """Return the refusal of a request for something that does not exist."""
    return RefusedError(f"{what}: not in this project. It may have been moved; load the page again.", 404)
