"""Tasks on worker processes of this machine, which are replaced when they die.

Each worker is a process pool of one, so that a dead process takes only its own tasks with it. Tasks and results go
through pipes that belong to the processes: nothing listens on a port or socket.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, TypeVar

from poets_edge.core.orphans import end_with_parent
from poets_edge.errors import RemoteError

if TYPE_CHECKING:  # multiprocessing takes 4 % of the time of a cached `train` to load
    from concurrent.futures.process import ProcessPoolExecutor

Item = TypeVar("Item")
Result = TypeVar("Result")

_TASKS_PER_WORKER = 2
"""One that runs and one that waits for it, so that no worker is idle while its result is stored."""
_MOST_DEATHS = 20
"""Deaths of workers in succession, without a result between them, after which the run gives up."""


def run_in_processes(items: Iterable[Item], work: Callable[[Item], Result], *, workers: int) -> Iterator[Result]:
    """Yield work(item) for each item, in the order in which the results arrive.

    The tasks of a worker that dies are given to its successor.

    Args:
        items: arguments of the tasks, which are pickled; taken from the iterable as workers become free.
        work: a function that can be pickled.
        workers: number of processes.

    Raises:
        RemoteError: workers die one after the other without finishing any task.
        Exception: whatever `work` raises.
    """
    from concurrent.futures.process import BrokenProcessPool

    source, deaths, answered = iter(items), 0, False
    pools = [_new_pool() for _ in range(workers)]
    running: dict[Future[Result], tuple[int, Item]] = {}

    def submit(worker: int, item: Item) -> None:
        try:
            running[pools[worker].submit(work, item)] = worker, item
        except BrokenProcessPool:  # it has died since its last result
            pools[worker] = _new_pool()
            running[pools[worker].submit(work, item)] = worker, item

    try:
        for worker in list(range(workers)) * _TASKS_PER_WORKER:
            for item in _next(source):
                submit(worker, item)
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                worker, item = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    deaths += 1
                    if deaths > _MOST_DEATHS * _TASKS_PER_WORKER:
                        raise RemoteError(_died(answered=answered)) from None
                    submit(worker, item)
                    continue
                deaths, answered = 0, True
                for following in _next(source):
                    submit(worker, following)
                yield result
    finally:
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)


def _next(source: Iterator[Item]) -> Iterator[Item]:
    """Yield the next item, or nothing at the end."""
    for item in source:
        yield item
        return


def _new_pool() -> ProcessPoolExecutor:
    import multiprocessing
    from concurrent.futures.process import ProcessPoolExecutor

    # Interpreters have threads, which do not survive a fork.
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _prepare_worker)


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the worker at once and without a traceback
    end_with_parent()


def _died(*, answered: bool) -> str:
    message = f"{_MOST_DEATHS} worker processes died one after the other without finishing a task."
    if answered:
        return f"{message} What is computed stays; run again to go on, or without `cluster` to see the reason."
    return f"{message} A script must call poets_edge below `if __name__ == '__main__':`. Or run without `cluster`."
