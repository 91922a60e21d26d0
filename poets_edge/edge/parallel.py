"""Applying one function to many items on all cores, in order, with little in memory.

Threads are enough: decoding, resizing and inference all release Python's lock.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Tool = TypeVar("Tool")
Result = TypeVar("Result")

AHEAD = 8
"""Items a worker that may be under way, or finished and not yet taken: bounds memory."""


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_parallel(
    items: Iterable[Item],
    make_tool: Callable[[], Tool],
    work: Callable[[Item, Tool], Result],
    *,
    workers: int | None = None,
    tools: list[Tool] | None = None,
    ahead: int = AHEAD,
) -> Iterator[tuple[Item, Result]]:
    """Yield (item, work(item, tool)) in the order of `items`.

    Args:
        make_tool: makes what one worker needs for itself (an interpreter); called `workers` times at most.
        workers: threads; by default one a core.
        tools: those that earlier calls have made, which are used first; those made now are added.
        ahead: items a worker that may be under way, or finished and not yet taken: fewer where results are large.

    Raises:
        whatever `make_tool` or `work` raises; what is under way is finished first, the rest is dropped.
    """
    todo = list(items)
    if not todo:
        return
    count = min(workers or cores(), len(todo))
    made = [] if tools is None else tools
    while len(made) < count:
        made.append(make_tool())
    free: SimpleQueue[Tool] = SimpleQueue()
    for tool in made[:count]:
        free.put(tool)

    def run(item: Item) -> Result:
        tool = free.get()
        try:
            return work(item, tool)
        finally:
            free.put(tool)

    with ThreadPoolExecutor(count) as pool:
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        source = iter(todo)
        try:
            for item in itertools.islice(source, count * ahead):
                waiting.append((item, pool.submit(run, item)))
            while waiting:
                item, future = waiting.popleft()
                result = future.result()
                for following in itertools.islice(source, 1):
                    waiting.append((following, pool.submit(run, following)))
                yield item, result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
