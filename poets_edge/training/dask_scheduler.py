"""Run tasks on the workers of a Dask scheduler, which may be on other machines.

Dask repeats the tasks of dead workers, and shows the progress on its dashboard. The scheduler and its workers are
trusted: results from workers are unpickled in this process. Connections to `tls://` addresses use the certificates in
Dask's configuration (`distributed.comm.tls`).
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from queue import Empty, Queue
from typing import Any

import poets_edge
from poets_edge.errors import PoetsEdgeError, RemoteError, RuntimeMissingError

_SECONDS_TO_CONNECT = 10
_WORKER_DEATHS = 1000
"""Maximum number of workers that may die while running one task; the task fails if one more dies. The maximum is high,
because the death of a worker does not indicate a bad photo.
"""
_TASKS_PER_THREAD = 4
"""Number of tasks that are queued for each thread of the workers."""


@contextlib.contextmanager
def connect(address: str) -> Iterator[Any]:
    """Context manager that connects to a scheduler and yields Dask's `Client`.

    Raises:
        RuntimeMissingError: Dask is not installed.
        RemoteError: the scheduler cannot be reached, or the connection is lost.
    """
    try:
        import dask
        import distributed  # noqa: F401
    except ImportError:
        raise RuntimeMissingError(
            f"`cluster` {address} needs Dask: pip install 'poets-edge[cluster]'. Or use local:4 for processes here."
        ) from None
    settings = {
        "distributed.scheduler.allowed-failures": _WORKER_DEATHS,
        "distributed.comm.timeouts.connect": f"{_SECONDS_TO_CONNECT}s",
        "distributed.comm.retry.count": 0,
        "distributed.admin.large-graph-warning-threshold": "1GB",  # the models are sent to the scheduler once
    }
    with dask.config.set(settings), _without_dask_log():
        try:
            client = _client(address)
        except Exception as error:  # tornado, msgpack and the network each raise their own
            reason = _first_line(error)
            raise RemoteError(f"`cluster` {address}: no Dask scheduler answers there ({reason}).") from None
        try:
            with _readable_errors(address):
                yield client
        finally:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                client.close(timeout=1)


def _client(address: str) -> Any:
    """Return a client that is connected to a scheduler. Raises TimeoutError if the server sends nothing.

    Dask has no time limit for the first message of a server, so the client is created in another thread.
    """
    from distributed import Client

    made: Queue[Any] = Queue()

    def make() -> None:
        try:
            made.put(Client(address, timeout=_SECONDS_TO_CONNECT))
        except BaseException as error:
            made.put(error)

    threading.Thread(target=make, daemon=True).start()
    try:
        client = made.get(timeout=2 * _SECONDS_TO_CONNECT)
    except Empty:
        raise TimeoutError("it accepts the connection, but sends nothing") from None
    if isinstance(client, BaseException):
        raise client
    return client


def worker_count(client: Any) -> int:
    """Return the number of workers that are connected to the scheduler."""
    return len(client.scheduler_info(n_workers=-1)["workers"])


def run_on_scheduler(
    client: Any, items: Iterator[Any], work: Callable[..., Any], shared: Sequence[Any] = ()
) -> Iterator[Any]:
    """Call a function for each item on the scheduler's workers, and yield the results as they arrive.

    Args:
        items: first arguments of the calls; only a few per thread are sent to the scheduler at a time.
        shared: list that is passed to every call as its second argument; it is sent only once to the scheduler and to
            each worker.
    """
    from distributed import wait

    # As results of tasks, not scattered: the scheduler computes them again if their workers die.
    held = [client.submit(_identity, value, pure=False) for value in shared]
    threads = sum(client.nthreads().values()) or 1

    def submit(count: int) -> set[Any]:
        return {client.submit(work, item, held, pure=False) for item in islice(items, count)}

    running = submit(threads * _TASKS_PER_THREAD)
    while running:
        done, running = wait(running, return_when="FIRST_COMPLETED")
        for future in done:
            yield future.result()
            running |= submit(1)


def _identity(value: Any) -> Any:
    return value


@contextlib.contextmanager
def _without_dask_log() -> Iterator[None]:
    """Context manager that silences Dask's logging, which prints tracebacks of handled errors."""
    loggers = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict) if name.startswith("distr")]
    levels = {handler: handler.level for logger in loggers for handler in logger.handlers}
    for handler in levels:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for handler, level in levels.items():
            handler.setLevel(level)


@contextlib.contextmanager
def _readable_errors(address: str) -> Iterator[None]:
    """Context manager that converts errors of Dask, and errors that its workers raise, to a RemoteError."""
    from asyncio import TimeoutError as AsyncTimeoutError  # until Python 3.11 not the builtin; asyncio loads slowly

    from distributed import CancelledError
    from distributed.scheduler import KilledWorker

    try:
        yield
    except PoetsEdgeError:
        raise
    except (CancelledError, KilledWorker, OSError, AsyncTimeoutError) as error:
        raise RemoteError(
            f"`cluster` {address}: the scheduler, or every worker, was lost ({_first_line(error)}). What is computed"
            " stays; run again to go on."
        ) from None
    except Exception as error:  # for example ModuleNotFoundError, if a worker's Python has no poets_edge
        raise RemoteError(
            f"`cluster` {address}: a worker or the scheduler failed ({type(error).__name__}: {_first_line(error)})."
            f" Install poets-edge {poets_edge.__version__} for all workers."
        ) from None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
