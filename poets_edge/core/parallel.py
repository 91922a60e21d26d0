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
    at_once: int = 1,
) -> Iterator[tuple[Item, Result]]:
    """Yield (item, work(item, tool)) in the order of `items`.

    Args:
        make_tool: makes what one worker needs for itself (an interpreter); called `workers` times at most.
        workers: threads; by default one a core.
        tools: those that earlier calls have made, which are used first; those made now are added.
        ahead: items a worker that may be under way, or finished and not yet taken: fewer where results are large. With
            `at_once`, so many times that.
        at_once: items that a worker does before it hands over: more where one takes no longer than handing over.

    Raises:
        whatever `make_tool` or `work` raises; what is under way is finished first, the rest is dropped.
    """

    def work_on(share: list[Item], tool: Tool) -> list[Result]:
        return [work(item, tool) for item in share]

    yield from run_shares(items, make_tool, work_on, workers=workers, tools=tools, ahead=ahead, at_once=at_once)


def run_shares(
    items: Iterable[Item],
    make_tool: Callable[[], Tool],
    work: Callable[[list[Item], Tool], list[Result]],
    *,
    workers: int | None = None,
    tools: list[Tool] | None = None,
    ahead: int = AHEAD,
    at_once: int,
) -> Iterator[tuple[Item, Result]]:
    """The same for work on `at_once` items together, or on the fewer that are left, which gives a result for each."""
    todo = list(items)
    if not todo:
        return
    shares = [todo[start : start + at_once] for start in range(0, len(todo), at_once)]
    count = min(workers or cores(), len(shares))
    made = [] if tools is None else tools
    while len(made) < count:
        made.append(make_tool())
    free: SimpleQueue[Tool] = SimpleQueue()
    for tool in made[:count]:
        free.put(tool)

    def run(share: list[Item]) -> list[Result]:
        tool = free.get()
        try:
            return work(share, tool)
        finally:
            free.put(tool)

    with ThreadPoolExecutor(count) as pool:
        waiting: deque[tuple[list[Item], Future[list[Result]]]] = deque()
        source = iter(shares)
        try:
            for share in itertools.islice(source, count * ahead):
                waiting.append((share, pool.submit(run, share)))
            while waiting:
                share, future = waiting.popleft()
                results = future.result()
                for following in itertools.islice(source, 1):
                    waiting.append((following, pool.submit(run, following)))
                yield from zip(share, results, strict=True)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
