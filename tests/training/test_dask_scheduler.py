"""Tests of the errors and the log of Dask during a computation on a cluster."""

from __future__ import annotations

import logging

import pytest

from poets_edge.errors import DatasetError, RemoteError
from poets_edge.training import dask_scheduler


def converted(error: Exception) -> Exception:
    """Return the error that is raised in place of an error of Dask or a worker."""
    with pytest.raises(Exception) as raised, dask_scheduler._readable_errors("tls://h:1"):
        raise error
    return raised.value


def test_errors_of_a_cluster_are_one_line_and_name_its_address() -> None:
    from distributed import CancelledError

    for error in (CancelledError("x"), ConnectionResetError("reset"), TimeoutError("slow")):
        found = converted(error)
        assert isinstance(found, RemoteError)
        assert str(found).startswith("`cluster` tls://h:1: the scheduler, or every worker, was lost (")
    found = converted(ModuleNotFoundError("No module\nsecond line"))
    assert isinstance(found, RemoteError) and "\n" not in str(found)
    assert "failed (ModuleNotFoundError: No module). Install poets-edge" in str(found)


def test_errors_of_poets_edge_in_workers_are_passed_on() -> None:
    for error in (DatasetError("no photos"), RemoteError("lost")):
        assert converted(error) is error


def test_log_of_dask_is_silent_only_while_a_cluster_is_used() -> None:
    handlers = [logging.StreamHandler(), logging.StreamHandler()]
    for level, handler, name in zip((25, 5), handlers, ("distributed.worker", "distributed.other"), strict=True):
        handler.setLevel(level)
        logging.getLogger(name).addHandler(handler)
    try:
        with pytest.raises(KeyboardInterrupt), dask_scheduler._without_dask_log():
            assert [handler.level > logging.CRITICAL for handler in handlers] == [True, True]
            raise KeyboardInterrupt
        assert [handler.level for handler in handlers] == [25, 5]
    finally:
        for handler, name in zip(handlers, ("distributed.worker", "distributed.other"), strict=True):
            logging.getLogger(name).removeHandler(handler)


class Client:
    """Client of a scheduler that is gone: closing the connection fails, too."""

    closed = 0

    def close(self, timeout: int) -> None:
        self.closed += 1
        raise OSError("the scheduler is gone")


def test_connection_to_a_scheduler_is_closed_after_success_and_after_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    monkeypatch.setattr(dask_scheduler, "_client", lambda address: client)
    with dask_scheduler.connect("tls://h:1") as connected:
        assert connected is client and not client.closed
    assert client.closed == 1
    with pytest.raises(RemoteError, match="was lost"), dask_scheduler.connect("tls://h:1"):
        raise ConnectionResetError
    assert client.closed == 2


def test_missing_scheduler_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: str) -> None:
        raise OSError("Timed out\nduring handshake")

    monkeypatch.setattr(dask_scheduler, "_client", refuse)
    with pytest.raises(RemoteError) as raised, dask_scheduler.connect("tls://h:1"):
        pytest.fail("there is no scheduler")
    assert str(raised.value) == "`cluster` tls://h:1: no Dask scheduler answers there (Timed out)."
