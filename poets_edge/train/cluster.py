"""Bottlenecks on several processes or machines, through Dask: each task takes some hundred photos and writes a shard.

Dask schedules, sends tasks again whose worker has died, and shows what happens on its own page. All workers must see
the photos and the bottleneck folder under the same paths. A vector is the same wherever it was computed by the same
interpreter on the same kind of processor, so what is trained from them is, too.

Photos that cannot be decoded, or that change meanwhile, are left to the process that trains, which says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from poets_edge.core.files import sha256_of
from poets_edge.errors import PhotoError, RemoteError, RuntimeMissingError
from poets_edge.photos.address import photo_path
from poets_edge.photos.folder import contents_at
from poets_edge.photos.image import fit, read_photo
from poets_edge.photos.table import HashedPhotos
from poets_edge.progress import Reporter
from poets_edge.train.bottleneck_cache import Vector
from poets_edge.train.bottlenecks import Extractor, Place, vector_key
from poets_edge.train.options import LOCAL
from poets_edge.train.shards import VECTORS, shard_path, write_shard

_SECONDS_TO_CONNECT = 10
_WORKER_LIVES = 1000
"""Deaths of workers that a task survives: one that is killed is no fault of its photos."""
_PATIENCE = 120
"""Seconds without a result, after which a cluster of this machine's own must have a worker, or is lost."""
_NEVER = "9999 days"
_IN_FLIGHT = 4
"""Tasks a thread that are sent ahead."""


@dataclass(frozen=True)
class Target:
    """A backbone as a task needs it.

    Attributes:
        model: its `.tflite` file, which all workers can read.
        sha256: of that file, hexadecimal.
        shards: the folder that gets the vectors.
    """

    model: Path
    sha256: str
    size: tuple[int, int]
    shards: Path


def compute_on_cluster(address: str, photos: HashedPhotos, places: Sequence[Place], reporter: Reporter) -> None:
    """Compute the vectors that the caches of these places lack, and make the caches see them.

    Args:
        address: `local:N` for N processes here, or a Dask scheduler's address.

    Raises:
        RuntimeMissingError: Dask is not installed.
        RemoteError: the scheduler cannot be reached, or is lost; what is done stays done.
        OutputError: a worker cannot write into the bottleneck folder.
    """
    missing = _missing(photos, places)
    if not missing:
        return
    targets = [
        Target(place.backbone.model.resolve(), sha256_of(place.backbone.model), place.size, place.cache.shards.folder)
        for place in places
    ]
    with _connected(address) as client, _saying_what_stays(address):
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        reporter.note(f"cluster {address}: {workers} workers, dashboard at {client.dashboard_link}")
        title = f"bottlenecks on {address}"
        with reporter.progress(title, len(missing)) as advance:
            for count in _computed(client, photos, missing, targets):
                advance(count)
    for place in places:
        place.cache.shards.reload()


def _missing(photos: HashedPhotos, places: Sequence[Place]) -> list[int]:
    """Rows of photos that lack a vector in one of the caches."""
    found = []
    for start in range(0, len(photos), 4096):
        digests = [digest.tobytes() for digest in photos.digests[start : start + 4096]]
        keys = [vector_key(digest) for digest in digests]
        absent = {key for place in places for key in place.cache.missing(keys)}
        found += [row for row, key in enumerate(keys, start) if key in absent]
    return found


def _computed(client: Any, photos: HashedPhotos, missing: Sequence[int], targets: Sequence[Target]) -> Iterator[int]:
    """Photos done, task by task; no more than some tasks a thread are known to the scheduler at a time."""
    from distributed import TimeoutError, wait

    def submit(start: int) -> Any:
        rows = missing[start : start + VECTORS]
        items = [(str(photos.photos[row].path.absolute()), photos.digests[row].tobytes()) for row in rows]
        return client.submit(compute_shard, items, targets, pure=False)

    starts = iter(range(0, len(missing), VECTORS))
    threads = sum(client.nthreads().values()) or 1
    under_way = {submit(start) for start in islice(starts, threads * _IN_FLIGHT)}
    while under_way:
        try:
            done, under_way = wait(under_way, timeout=_PATIENCE, return_when="FIRST_COMPLETED")
        except TimeoutError:
            if client.cluster is not None and not client.nthreads():
                raise OSError("none is left") from None
            continue
        for future in done:
            yield future.result()
            under_way |= {submit(start) for start in islice(starts, 1)}


def compute_shard(items: Sequence[tuple[str, bytes]], targets: Sequence[Target]) -> int:
    """One task: compute the vectors of photos, given by path and digest; gives how many photos it was given.

    Raises:
        RemoteError: this worker sees another model file than the one that asks.
        OutputError: the shard cannot be written.
    """
    for target in targets:
        if not target.model.is_file() or sha256_of(target.model) != target.sha256:
            raise RemoteError(
                f"{target.model}: a worker does not see this file, or another one. All workers must see the bottleneck"
                " folder and the photos under the same paths."
            )
    wanted = [vector_key(digest) for _, digest in items]
    # Whoever did it may have died before it could say so.
    targets = [target for target in targets if not shard_path(target.shards, wanted).exists()]
    if not targets:
        return len(items)
    extractors = [Extractor(target.model) for target in targets]
    keys: list[bytes] = []
    vectors: list[list[Vector]] = [[] for _ in targets]
    for path, digest in items:
        try:
            contents = contents_at(photo_path(path))
            if hashlib.sha256(contents).digest() != digest:
                continue
            image = read_photo(contents, name=path)
        except PhotoError:
            continue
        keys.append(vector_key(digest))
        for target, extract, own in zip(targets, extractors, vectors, strict=True):
            own.append(extract(fit(image, target.size)))
    for target, own in zip(targets, vectors, strict=True):
        if keys:
            write_shard(shard_path(target.shards, wanted), keys, own)
    return len(items)


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise RuntimeMissingError("`cluster` needs Dask: pip install 'poets-edge[cluster]'") from None
    settings = {
        "distributed.scheduler.allowed-failures": _WORKER_LIVES,
        "distributed.comm.timeouts.connect": f"{_SECONDS_TO_CONNECT}s",
        "distributed.comm.retry.count": 0,
        "distributed.worker.daemon": False,
        # So long after a worker was lost, Dask closes for good what starts it again, if it is just then starting one.
        "distributed.deploy.lost-worker-timeout": _NEVER,
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        stack.enter_context(_without_dasks_log())
        try:
            if address.startswith(LOCAL):
                cluster = stack.enter_context(
                    LocalCluster(
                        n_workers=int(address.removeprefix(LOCAL)),
                        threads_per_worker=1,
                        host="127.0.0.1",
                        dashboard_address="127.0.0.1:0",
                        silence_logs=50,
                    )
                )
                client = Client(cluster)
            else:
                client = Client(address, timeout=_SECONDS_TO_CONNECT)
        except (OSError, ValueError, RuntimeError) as error:
            raise RemoteError(f"`cluster` {address}: no Dask scheduler answers there ({_first_line(error)}).") from None
        stack.callback(_close, client)
        yield client


def _close(client: Any) -> None:
    with contextlib.suppress(Exception):  # the scheduler may be gone
        client.close(timeout=1)


@contextlib.contextmanager
def _without_dasks_log() -> Iterator[None]:
    """Dask logs tracebacks of what it goes on from; what matters is said in one line."""
    loggers = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict) if name.startswith("distr")]
    handlers = {handler: handler.level for logger in loggers for handler in logger.handlers}
    for handler in handlers:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for handler, level in handlers.items():
            handler.setLevel(level)


@contextlib.contextmanager
def _saying_what_stays(address: str) -> Iterator[None]:
    from asyncio import TimeoutError as AsyncTimeoutError  # until Python 3.11 one of its own; asyncio loads slowly

    from distributed import CancelledError
    from distributed.scheduler import KilledWorker

    try:
        yield
    except (CancelledError, KilledWorker, OSError, AsyncTimeoutError) as error:
        raise RemoteError(
            f"`cluster` {address}: the scheduler, or every worker, was lost ({_first_line(error)}). What is computed"
            " stays; run again to go on."
        ) from None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
