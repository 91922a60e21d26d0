"""Pool of helper processes that apply one function to many requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Generic, TypeVar

from poets_edge.core.parallel import cores, run_parallel
from poets_edge.core.processes import Answer, Helper, Request

_MOST_HELPERS = 4
"""Maximum number of concurrent processes; each uses up to 1 GB of memory if TensorFlow is loaded for fine-tuning."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class HelperPool(Generic[Request, Answer]):
    """Pool of up to four helper processes (at most one per core), which are started on demand.

    A pool is a context manager that ends its processes on exit.
    """

    def __init__(self, function: Callable[[Request], Answer]) -> None:
        """Create a pool, without starting processes.

        Args:
            function: picklable function that maps a request to an answer; every helper process runs it.
        """
        self._function = function
        self._helpers: list[Helper[Request, Answer]] = []

    def __enter__(self) -> HelperPool[Request, Answer]:
        return self

    def __exit__(self, *_: object) -> None:
        for helper in self._helpers:
            helper.close()

    def start(self, requests: int) -> None:
        """Start the processes for `requests` concurrent requests in advance, because starting them takes time."""
        while len(self._helpers) < min(requests, cores(), _MOST_HELPERS):
            self._helpers.append(Helper(self._function, one_core=True))

    def share(
        self, items: Sequence[Item], work: Callable[[Item, Helper[Request, Answer]], Result]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield (item, work(item, helper)) for each item, in order, while several helper processes work concurrently.

        An exception from `work` propagates after the running calls have finished.

        Args:
            items: items to process.
            work: function that computes the result for an item by sending requests to `helper`, which no other call of
                `work` uses at the same time.
        """
        self.start(len(items))
        yield from run_parallel(items, partial(next, iter(self._helpers)), work, workers=len(self._helpers))
