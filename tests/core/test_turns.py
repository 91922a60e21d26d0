"""Tests of `take_turn`, which serializes items of a parallel map that need much memory."""

from __future__ import annotations

import threading
import time

import pytest

from poets_edge.core.parallel import run_chunks, run_parallel
from poets_edge.core.turns import one_at_a_time, take_turn


class Meeting:
    """Counter of the threads that are inside `visit` at the same time; it records the maximum."""

    def __init__(self) -> None:
        self.inside, self.most, self._lock = 0, 0, threading.Lock()

    def visit(self, seconds: float = 0.005) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(seconds)
        with self._lock:
            self.inside -= 1


def test_take_turn_lets_only_one_thread_continue_at_a_time() -> None:
    meeting = Meeting()

    def work(item: int, tool: None) -> int:
        take_turn()
        take_turn()  # a second call has no effect
        meeting.visit()
        return item

    assert [result for _, result in run_parallel(range(12), lambda: None, work, workers=4)] == [*range(12)]
    assert meeting.most == 1


def test_threads_that_do_not_call_take_turn_run_concurrently() -> None:
    """The item that has taken the turn waits for the other item; a deadlock would occur if that item waited, too."""
    other = threading.Event()

    def work(item: str, tool: None) -> bool:
        if item == "large":
            take_turn()
            return other.wait(20)
        other.set()
        return True

    assert all(result for _, result in run_parallel(["large", "small"], lambda: None, work, workers=2))


def test_turn_is_released_if_processing_an_item_raises_an_error() -> None:
    def work(item: int, tool: None) -> int:
        take_turn()
        if item == 0:
            raise ValueError("broken")
        return item

    with pytest.raises(ValueError, match="broken"):
        list(run_parallel(range(4), lambda: None, work, workers=2))
    assert [result for _, result in run_parallel([1, 2, 3], lambda: None, work, workers=2)] == [1, 2, 3]


def test_turn_is_released_after_each_item_of_a_chunk() -> None:
    """Item 1, in the first chunk, waits for item 2 in the second chunk, which needs the turn that item 0 has taken."""
    other = threading.Event()

    def work(item: int, tool: None) -> bool:
        if item == 1:
            return other.wait(20)
        take_turn()
        if item == 2:
            other.set()
        return True

    assert all(result for _, result in run_parallel([0, 1, 2], lambda: None, work, workers=2, at_once=2))


def test_take_turn_in_a_nested_map_does_not_deadlock() -> None:
    def inner(item: int, tool: None) -> int:
        take_turn()
        return item

    def outer(item: int, tool: None) -> int:
        take_turn()
        return sum(result for _, result in run_parallel(range(item), lambda: None, inner, workers=2))

    assert [result for _, result in run_parallel([3, 4], lambda: None, outer, workers=2)] == [3, 6]


def test_take_turn_returns_immediately_outside_a_parallel_map() -> None:
    def twice() -> None:
        take_turn()
        take_turn()

    thread = threading.Thread(target=twice, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_chunks_that_call_take_turn_run_one_at_a_time() -> None:
    meeting = Meeting()

    def work(chunk: list[int], tool: None) -> list[int]:
        take_turn()
        meeting.visit()
        return chunk

    assert [result for _, result in run_chunks(range(8), lambda: None, work, workers=4, at_once=2)] == [*range(8)]
    assert meeting.most == 1


def test_take_turn_acquires_only_the_lock_of_the_innermost_block() -> None:
    outer, inner = threading.Lock(), threading.Lock()
    with one_at_a_time(outer):
        with one_at_a_time(inner):
            take_turn()
            assert inner.locked() and not outer.locked()
        assert not inner.locked()
        take_turn()
        assert outer.locked()
    assert not outer.locked()
