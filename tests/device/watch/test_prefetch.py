"""Tests of reading items in another thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from poets_edge.device.watch.prefetch import Prefetch


def test_live_source_keeps_only_the_newest_frame_and_counts_dropped_frames() -> None:
    reached, proceed = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield from range(6)
        reached.set()
        proceed.wait(20)
        yield 6

    with_newest = Prefetch(items(), newest_only=True)
    assert reached.wait(20), "items of a live source are read although nobody consumes them"
    assert (next(with_newest), with_newest.dropped) == (5, 5)
    proceed.set()
    assert [item for item in with_newest if item is not None] == [6] and with_newest.dropped == 5


def test_frames_of_a_file_wait_in_order_until_they_are_consumed() -> None:
    read: list[int] = []
    third = threading.Event()

    def items() -> Iterator[int]:
        for number in range(10):
            read.append(number)
            if number == 2:
                third.set()
            yield number
        raise OSError("the file ends early")

    source = Prefetch(items(), newest_only=False)
    assert third.wait(20)
    source._thread.join(0.2)
    assert read == [0, 1, 2], "two items wait, and the third is held"
    found = []
    with pytest.raises(OSError, match="ends early"):
        while True:
            item = next(source)
            found += [] if item is None else [item]
    assert found == list(range(10)) and source.dropped == 0


def test_closing_the_prefetcher_ends_a_thread_that_waits_for_the_consumer() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.set()

    source = Prefetch(items(), newest_only=False)
    assert next(source) == 0
    source.close()
    assert closed.is_set() and not source._thread.is_alive()
