"""Parallel map on threads, which preserves the order of its items and limits memory use.

Threads are sufficient because decoding, resizing and inference release Python's global interpreter lock.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from poets_edge.core.turns import end_turn, one_at_a_time

Item = TypeVar("Item")
Tool = TypeVar("Tool")
Result = TypeVar("Result")

AHEAD = 8
"""Default limit, per thread, on the number of chunks of items whose results the caller has not yet consumed. It bounds
memory use."""


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_parallel(
    items: Iterable[Item],
    make_tool: Callable[[], Tool],
    work: Callable[[Item, Tool], Result],
    *,
    workers: int | None = None,
    tools: list[Tool] | None = None,
    ahead: int = AHEAD,
    at_once: int = 1,
) -> Iterator[tuple[Item, Result]]:
    """Apply a function to items on several threads, and yield (item, result) for each item, in order.

    The items are divided into chunks, each of which is processed by one thread. Exceptions from `make_tool` and `work`
    propagate after the running chunks have finished; queued chunks are canceled.

    Args:
        items: items to process.
        make_tool: function that creates a tool: an object that only one thread may use at a time, such as an
            interpreter of a model.
        work: function that maps an item and a tool to the result for the item.
        workers: number of threads; by default one per core.
        tools: tools from earlier calls, which are reused; new tools are appended to the list.
        ahead: maximum number of chunks per thread whose results are not yet consumed; a smaller number saves memory.
        at_once: number of items per chunk; a larger number reduces the overhead for items that take little time.
    """

    def work_on(chunk: list[Item], tool: Tool) -> list[Result]:
        results = []
        for item in chunk:
            results.append(work(item, tool))
            end_turn()
        return results

    yield from run_chunks(items, make_tool, work_on, workers=workers, tools=tools, ahead=ahead, at_once=at_once)


def run_chunks(
    items: Iterable[Item],
    make_tool: Callable[[], Tool],
    work: Callable[[list[Item], Tool], list[Result]],
    *,
    workers: int | None = None,
    tools: list[Tool] | None = None,
    ahead: int = AHEAD,
    at_once: int,
) -> Iterator[tuple[Item, Result]]:
    """Apply a function to chunks of items on several threads, and yield (item, result) for each item, in order.

    See `run_parallel` for the other arguments.

    Args:
        work: function that maps a chunk (a list of items) and a tool to the results for the items, in order. A chunk
            has `at_once` items; the last one may have fewer.
    """
    todo = list(items)
    if not todo:
        return
    chunks = [todo[start : start + at_once] for start in range(0, len(todo), at_once)]
    count = min(workers or cores(), len(chunks))
    made = [] if tools is None else tools
    while len(made) < count:
        made.append(make_tool())
    free: SimpleQueue[Tool] = SimpleQueue()
    lock = threading.Lock()
    for tool in made[:count]:
        free.put(tool)

    def run(chunk: list[Item]) -> list[Result]:
        tool = free.get()
        try:
            with one_at_a_time(lock):
                return work(chunk, tool)
        finally:
            free.put(tool)

    with ThreadPoolExecutor(count) as pool:
        waiting: deque[tuple[list[Item], Future[list[Result]]]] = deque()
        source = iter(chunks)
        try:
            for chunk in itertools.islice(source, count * ahead):
                waiting.append((chunk, pool.submit(run, chunk)))
            while waiting:
                chunk, future = waiting.popleft()
                results = future.result()
                for following in itertools.islice(source, 1):
                    waiting.append((following, pool.submit(run, following)))
                yield from zip(chunk, results, strict=True)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
