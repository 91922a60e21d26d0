"""Tests of `take_turn`, which serializes items of a parallel map that need much memory."""

from __future__ import annotations

import threading
import time

import pytest

from poets_edge.core.parallel import run_chunks, run_parallel
from poets_edge.core.turns import take_turn


class Meeting:
    """Counter of the threads that are inside `visit` at the same time, with their maximum."""

    def __init__(self) -> None:
        self.inside, self.most, self._lock = 0, 0, threading.Lock()

    def visit(self, seconds: float = 0.005) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(seconds)
        with self._lock:
            self.inside -= 1


def test_take_turn_admits_one_item_at_a_time() -> None:
    meeting = Meeting()

    def work(item: int, tool: None) -> int:
        take_turn()
        take_turn()  # a second call has no effect
        meeting.visit()
        return item

    assert [result for _, result in run_parallel(range(12), lambda: None, work, workers=4)] == [*range(12)]
    assert meeting.most == 1


def test_items_that_take_no_turn_do_not_wait() -> None:
    """The item with the turn waits until the other item is processed."""
    other = threading.Event()

    def work(item: str, tool: None) -> bool:
        if item == "large":
            take_turn()
            return other.wait(20)
        other.set()
        return True

    assert all(result for _, result in run_parallel(["large", "small"], lambda: None, work, workers=2))


def test_turn_is_released_if_its_item_fails() -> None:
    def work(item: int, tool: None) -> int:
        take_turn()
        if item == 0:
            raise ValueError("broken")
        return item

    with pytest.raises(ValueError, match="broken"):
        list(run_parallel(range(4), lambda: None, work, workers=2))
    assert [result for _, result in run_parallel([1, 2, 3], lambda: None, work, workers=2)] == [1, 2, 3]


def test_turn_is_released_at_the_end_of_its_item_in_a_chunk() -> None:
    """The second item of the first chunk waits for the second chunk, which needs the turn of the first item."""
    other = threading.Event()

    def work(item: int, tool: None) -> bool:
        if item == 1:
            return other.wait(20)
        take_turn()
        if item == 2:
            other.set()
        return True

    assert all(result for _, result in run_parallel([0, 1, 2], lambda: None, work, workers=2, at_once=2))


def test_nested_map_does_not_wait_for_the_turn_of_the_outer_item() -> None:
    def inner(item: int, tool: None) -> int:
        take_turn()
        return item

    def outer(item: int, tool: None) -> int:
        take_turn()
        return sum(result for _, result in run_parallel(range(item), lambda: None, inner, workers=2))

    assert [result for _, result in run_parallel([3, 4], lambda: None, outer, workers=2)] == [3, 6]


def test_take_turn_returns_at_once_outside_a_map() -> None:
    def twice() -> None:
        take_turn()
        take_turn()

    thread = threading.Thread(target=twice, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_take_turn_admits_one_chunk_at_a_time() -> None:
    meeting = Meeting()

    def work(chunk: list[int], tool: None) -> list[int]:
        take_turn()
        meeting.visit()
        return chunk

    assert [result for _, result in run_chunks(range(8), lambda: None, work, workers=4, at_once=2)] == [*range(8)]
    assert meeting.most == 1
