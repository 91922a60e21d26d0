"""Helper processes of one function that share many requests between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Generic, TypeVar

from poets_edge.core.parallel import cores, run_parallel
from poets_edge.core.processes import Answer, Helper, Request

_MOST_HELPERS = 4
"""Processes at once. Where they fine-tune, each has TensorFlow in it and takes up to 1 GB."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class HelperPool(Generic[Request, Answer]):
    """Up to one helper process per core; processes start when there are requests, and end with the context."""

    def __init__(self, function: Callable[[Request], Answer]) -> None:
        """Args: function: answers a request in each process; must be picklable."""
        self._function = function
        self._helpers: list[Helper[Request, Answer]] = []

    def __enter__(self) -> HelperPool[Request, Answer]:
        return self

    def __exit__(self, *_: object) -> None:
        for helper in self._helpers:
            helper.close()

    def start(self, requests: int) -> None:
        """Start as many processes as that number of requests needs, so that they load their libraries in advance."""
        while len(self._helpers) < min(requests, cores(), _MOST_HELPERS):
            self._helpers.append(Helper(self._function, one_core=True))

    def share(
        self, items: Sequence[Item], work: Callable[[Item, Helper[Request, Answer]], Result]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield (item, work(item, helper)) in the order of `items`.

        Raises:
            Exceptions of `work`, after the running calls have finished.
        """
        self.start(len(items))
        yield from run_parallel(items, partial(next, iter(self._helpers)), work, workers=len(self._helpers))
