"""Compute bottlenecks in several processes or on several machines; the training process stores the results.

The address `local:N` starts N processes on this machine. Any other address is that of a Dask scheduler, whose workers
must be able to read the photos under the same paths. Vectors, and heads trained on them, are bit-identical if the
interpreters have the same version and the processors are of the same kind.

Photos that cannot be decoded, or that change during the computation, are processed and reported by the training
process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

from poets_edge.errors import RemoteError
from poets_edge.photos.table import HashedPhotos
from poets_edge.progress import Reporter
from poets_edge.tflite.model_file import ModelFile
from poets_edge.training.bottlenecks import BackboneCache, vector_key
from poets_edge.training.cluster_address import local_workers
from poets_edge.training.dask_scheduler import connect, run_on_scheduler, worker_count
from poets_edge.training.vector_task import PHOTOS_PER_TASK, PhotoFile, TaskResult, compute_vectors
from poets_edge.training.worker_processes import run_in_processes

_DIGESTS_PER_QUERY = 4096


def compute_on_cluster(
    address: str, photos: HashedPhotos, sources: Sequence[BackboneCache], reporter: Reporter
) -> None:
    """Compute the bottlenecks that are missing from the caches of one or more backbones, and store them there.

    Args:
        address: `local:N` for N processes on this machine, or a Dask scheduler's address.
        sources: backbones with their caches.

    Raises:
        RuntimeMissingError: Dask is not installed.
        RemoteError: the scheduler cannot be reached, the connection to it is lost, or workers die repeatedly; the
            results of finished tasks are stored.
        OutputError: a cache cannot be written.
    """
    missing = _missing_rows(photos, sources)
    if not missing:
        return
    tasks = [missing[start : start + PHOTOS_PER_TASK] for start in range(0, len(missing), PHOTOS_PER_TASK)]
    sizes = [source.size for source in sources]
    workers = local_workers(address)
    if workers:
        reporter.note(f"cluster {address}: {workers} processes")
        models = [source.backbone.model.resolve() for source in sources]
        work = partial(compute_vectors, models=models, sizes=sizes)
        results = run_in_processes(tasks, partial(_photo_files, photos), work, workers=workers)
        _store(results, len(missing), sources, address, reporter)
        return
    with connect(address) as client:
        reporter.note(f"cluster {address}: {worker_count(client)} workers, dashboard at {client.dashboard_link}")
        files = [ModelFile(source.backbone.model, source.backbone.model.read_bytes()) for source in sources]
        requests = (_photo_files(photos, rows) for rows in tasks)
        results = run_on_scheduler(client, requests, partial(compute_vectors, sizes=sizes), files)
        _store(results, len(missing), sources, address, reporter)


def _missing_rows(photos: HashedPhotos, sources: Sequence[BackboneCache]) -> list[int]:
    """Return the row numbers of the photos for which at least one cache lacks a vector."""
    rows = []
    for start in range(0, len(photos), _DIGESTS_PER_QUERY):
        keys = [vector_key(digest.tobytes()) for digest in photos.digests[start : start + _DIGESTS_PER_QUERY]]
        absent = {key for source in sources for key in source.cache.missing(keys)}
        rows += [row for row, key in enumerate(keys, start) if key in absent]
    return rows


def _photo_files(photos: HashedPhotos, rows: Sequence[int]) -> list[PhotoFile]:
    return [PhotoFile(str(item.photo.path.absolute()), item.digest) for item in (photos[row] for row in rows)]


def _check_result(result: object, sources: Sequence[BackboneCache], address: str) -> None:
    """Raise RemoteError if the result of a task is not a `TaskResult` with one array of vectors for each backbone."""
    if isinstance(result, TaskResult) and len(result.vectors) == len(sources):
        shapes = {len(vectors) for vectors in result.vectors}
        if shapes == {len(result.digests)} and all(vectors.dtype == np.float32 for vectors in result.vectors):
            return
    raise RemoteError(
        f"`cluster` {address}: a worker did not send vectors. Install this version of poets-edge for all workers."
    )


def _store(
    results: Iterable[TaskResult],
    photo_count: int,
    sources: Sequence[BackboneCache],
    address: str,
    reporter: Reporter,
) -> None:
    """Write the vectors computed by tasks to the caches as they arrive, and commit after each task."""
    with reporter.progress(f"bottlenecks on {address}", photo_count) as advance:
        for result in results:
            _check_result(result, sources, address)
            for source, vectors in zip(sources, result.vectors, strict=True):
                for digest, vector in zip(result.digests, vectors, strict=True):
                    source.cache.put(vector_key(digest), vector)
                source.cache.commit()
            advance(result.photo_count)
