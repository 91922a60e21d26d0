"""Tests of the parallel map: order, number of tools, bounded work ahead, and errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from poets_edge.core.parallel import cores, run_chunks, run_parallel


def test_results_are_in_the_order_of_the_items() -> None:
    """The first items take longest."""

    def work(item: int, tool: None) -> int:
        time.sleep(0.02 if item < 2 else 0)
        return item * item

    assert list(run_parallel(range(9), lambda: None, work, workers=4)) == [(item, item * item) for item in range(9)]


@pytest.mark.parametrize(
    ("items", "at_once", "workers", "tools"), [(1, 1, 4, 1), (9, 1, 4, 4), (9, 3, 4, 3), (0, 1, 4, 0)]
)
def test_run_parallel_creates_one_tool_per_busy_thread(items: int, at_once: int, workers: int, tools: int) -> None:
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return made[-1]

    found = list(run_parallel(range(items), make, lambda item, tool: item, workers=workers, at_once=at_once))
    assert found == [(item, item) for item in range(items)] and len(made) == tools


def test_all_cores_are_used_by_default() -> None:
    made: list[object] = []
    list(run_parallel(range(100), lambda: made.append(None), lambda item, tool: item))
    assert len(made) == cores()


def test_run_parallel_reuses_tools_from_earlier_calls() -> None:
    tools: list[list[int]] = [[]]

    def work(item: int, tool: list[int]) -> int:
        tool.append(item)
        return item

    for _ in range(2):
        list(run_parallel(range(6), list, work, workers=2, tools=tools))
    assert len(tools) == 2 and sorted(item for tool in tools for item in tool) == sorted([*range(6)] * 2)


def test_run_parallel_uses_each_tool_in_one_thread_at_a_time() -> None:
    busy: set[int] = set()

    def work(item: int, tool: list[int]) -> None:
        assert id(tool) not in busy
        busy.add(id(tool))
        time.sleep(0.001)
        busy.remove(id(tool))

    assert len(list(run_parallel(range(20), list, work, workers=3))) == 20


@pytest.mark.parametrize(("ahead", "at_once"), [(1, 1), (2, 1), (2, 3)])
def test_number_of_unconsumed_results_is_limited(ahead: int, at_once: int) -> None:
    """With two threads, at most two times `ahead` chunks are finished while the first result is not consumed."""
    done: list[int] = []

    def work(item: int, tool: None) -> int:
        done.append(item)
        return item

    results = run_parallel(range(60), lambda: None, work, workers=2, ahead=ahead, at_once=at_once)
    assert next(results) == (0, 0)
    time.sleep(0.05)
    assert len(done) <= (2 * ahead + 1) * at_once
    assert [item for item, _ in results] == list(range(1, 60))


def test_work_function_is_called_once_per_chunk() -> None:
    chunks: list[list[int]] = []
    lock = threading.Lock()

    def work(chunk: list[int], tool: None) -> list[int]:
        with lock:
            chunks.append(chunk)
        return [-item for item in chunk]

    assert list(run_chunks(iter(range(7)), lambda: None, work, workers=2, at_once=3)) == [(n, -n) for n in range(7)]
    assert sorted(chunks) == [[0, 1, 2], [3, 4, 5], [6]]


def test_error_in_one_item_cancels_queued_items_and_propagates() -> None:
    started: list[int] = []

    def work(item: int, tool: None) -> int:
        started.append(item)
        if item == 0:
            raise ValueError("broken")
        time.sleep(0.01)
        return item

    with pytest.raises(ValueError, match="broken"):
        list(run_parallel(range(100), lambda: None, work, workers=2, ahead=20))
    assert len(started) < 30


def test_closing_the_iterator_cancels_queued_items() -> None:
    started: list[int] = []

    def work(item: int, tool: None) -> int:
        started.append(item)
        time.sleep(0.01)
        return item

    results: Iterator[tuple[int, int]] = run_parallel(range(100), lambda: None, work, workers=2, ahead=20)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(started) < 30


def test_each_thread_may_work_on_one_chunk_ahead_of_the_consumer() -> None:
    """Three items wait for each other, so they finish only if three threads process them at the same time."""
    together = threading.Barrier(3)
    results = run_parallel(range(3), lambda: None, lambda item, _: together.wait(20) >= 0, workers=3, ahead=1)
    assert [result for _, result in results] == [True] * 3


def test_work_function_must_return_a_result_for_each_item_of_a_chunk() -> None:
    with pytest.raises(ValueError, match="shorter"):
        list(run_chunks(range(4), lambda: None, lambda chunk, _: chunk[1:], workers=1, at_once=2))
