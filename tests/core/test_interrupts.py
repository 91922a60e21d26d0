"""Tests of `preserved_interrupts`, which raises KeyboardInterrupt although other code has suppressed it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from poets_edge.core.interrupts import preserved_interrupts

pytestmark = pytest.mark.skipif(os.name == "nt", reason="of POSIX signals")


@pytest.fixture(autouse=True)
def _default_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_and_suppress() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_interrupt_replaces_an_error_that_the_block_raises() -> None:
    with pytest.raises(KeyboardInterrupt) as raised, preserved_interrupts():
        interrupt_and_suppress()
        raise ImportError("interrupted import")
    assert isinstance(raised.value.__cause__, ImportError)


def test_interrupt_in_a_block_that_ends_without_an_error_is_raised_only_on_request() -> None:
    with preserved_interrupts():
        interrupt_and_suppress()
    with pytest.raises(KeyboardInterrupt), preserved_interrupts(swallowed=True):
        interrupt_and_suppress()


def test_errors_without_an_interrupt_are_unchanged() -> None:
    with preserved_interrupts(swallowed=True):
        pass
    for error in (ImportError("missing"), SystemExit(3), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised, preserved_interrupts(swallowed=True):
            raise error
        assert raised.value is error


def test_system_exit_after_an_interrupt_keeps_its_exit_status() -> None:
    with pytest.raises(SystemExit) as raised, preserved_interrupts():
        interrupt_and_suppress()
        raise SystemExit(3)
    assert raised.value.code == 3


def test_signal_handler_is_restored_after_nested_blocks() -> None:
    with preserved_interrupts():
        outer = signal.getsignal(signal.SIGINT)
        with contextlib.suppress(ValueError), preserved_interrupts():
            assert signal.getsignal(signal.SIGINT) not in (outer, signal.default_int_handler)
            raise ValueError
        assert signal.getsignal(signal.SIGINT) is outer
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_preserving_interrupts_does_not_affect_custom_handlers_or_other_threads() -> None:
    received: list[int] = []

    def handler(number: int, _: object) -> None:
        received.append(number)

    signal.signal(signal.SIGINT, handler)
    with preserved_interrupts(swallowed=True):
        assert signal.getsignal(signal.SIGINT) is handler
        signal.raise_signal(signal.SIGINT)
    assert received == [signal.SIGINT]
    finished: list[bool] = []

    def work() -> None:
        with preserved_interrupts(swallowed=True):
            finished.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert finished == [True] and signal.getsignal(signal.SIGINT) is handler
