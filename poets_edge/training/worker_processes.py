"""Run tasks in worker processes on this machine, which are replaced when they die.

Tasks and results go through pipes between the processes: nothing listens on a port or socket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from poets_edge.core.parallel import run_parallel
from poets_edge.core.processes import Answer, Helper, HelperEndedError, Request
from poets_edge.errors import RemoteError

Item = TypeVar("Item")

_MAX_DEATHS = 20
"""Number of successive worker deaths during one task after which the run fails."""
_TASKS_AHEAD = 2
"""Maximum number of tasks per worker that are running, or whose results have not been consumed."""


class _Worker(Generic[Request, Answer]):
    """A helper process that is replaced when it dies, for use by one thread."""

    def __init__(self, function: Callable[[Request], Answer]) -> None:
        self._function = function
        self._helper = Helper(function, one_core=True)

    def ask(self, request: Request) -> Answer:
        """Send a request to the process and return its answer.

        If the process dies, it is replaced, and the request is sent again.

        Raises:
            RemoteError: _MAX_DEATHS processes in a row died.
        """
        for _ in range(_MAX_DEATHS):
            try:
                return self._helper.ask(request, "a task")
            except HelperEndedError as error:
                died = error
                self._helper.close()
                self._helper = Helper(self._function, one_core=True)
        raise RemoteError(
            f"{_MAX_DEATHS} worker processes died one after the other without finishing a task. The last one: {died}"
            " The computed results are kept; run again to continue, or without `cluster`."
        )

    def close(self) -> None:
        """End the process."""
        self._helper.close()


def run_in_processes(
    items: Sequence[Item], request: Callable[[Item], Request], work: Callable[[Request], Answer], *, workers: int
) -> Iterator[Answer]:
    """Yield work(request(item)) for each item in order, with `work` called in worker processes.

    If a worker dies, the worker that replaces it repeats the task.

    Args:
        request: function that returns the argument of `work`; argument and result are pickled.
        work: a function that can be pickled.
        workers: number of processes.

    Raises:
        RemoteError: workers die repeatedly without finishing a task.
        PoetsEdgeError: an error that `work` raises.
    """
    made: list[_Worker[Request, Answer]] = []
    try:
        for _, answer in run_parallel(
            items,
            lambda: _Worker(work),
            lambda item, worker: worker.ask(request(item)),
            workers=workers,
            tools=made,
            ahead=_TASKS_AHEAD,
        ):
            yield answer
    finally:
        for worker in made:
            worker.close()
