"""Train and export many architectures on one snapshot of photos.

Each photo is decoded once for all architectures. The result for an architecture is saved as soon as it is finished,
with a checksum of its inputs, and is reused by later runs with the same inputs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace

import numpy as np

from poets_edge.core.helper_pool import HelperPool
from poets_edge.core.processes import Helper
from poets_edge.errors import DatasetError, OutputError, PhotoError
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.weights import find_weights
from poets_edge.nets.weights_file import Weights
from poets_edge.photos.table import HashedPhotos
from poets_edge.progress import Reporter
from poets_edge.sweep.architecture_result import ArchitectureResult, read_result
from poets_edge.sweep.options import GridOptions
from poets_edge.sweep.photo_snapshot import PhotoSnapshot
from poets_edge.sweep.training_tasks import BackboneTask, TrainingTask
from poets_edge.training.backbone import prepare_backbone
from poets_edge.training.bottleneck_cache import open_cache
from poets_edge.training.bottlenecks import BackboneCache, HashedPhoto, bottlenecks
from poets_edge.training.cluster import compute_on_cluster
from poets_edge.training.look_alikes import PhotoGroups, find_groups
from poets_edge.training.record import versions
from poets_edge.training.vectors import VectorTableBuilder

_FORMAT = 7
"""Version of saved results, which is part of their keys. It must be incremented when the format of a file in an
architecture's folder changes."""

_Helper = Helper[BackboneTask | TrainingTask, ArchitectureResult | None]
_HelperPool = HelperPool[BackboneTask | TrainingTask, ArchitectureResult | None]


def train_architectures(
    options: GridOptions, photos: PhotoSnapshot, reporter: Reporter
) -> dict[Architecture, ArchitectureResult]:
    """Train and export each architecture, or reuse its saved result from an earlier run; return the results.

    Raises:
        DatasetError: no photo can be read, or a photo has changed since the snapshot.
        WeightsError: weights of an architecture are missing; raised before training.
        OutputError: a file cannot be written; finished architectures remain saved.
    """
    weights = {
        architecture: find_weights(architecture, options.model_dir, options.weights, reporter=reporter)
        for architecture in options.architectures
    }
    keys = {architecture: _key(options, photos, weights[architecture]) for architecture in options.architectures}
    saved = {
        architecture: read_result(options.folder(architecture), architecture, key, reporter)
        for architecture, key in keys.items()
    }
    todo = [architecture for architecture, result in saved.items() if result is None]
    if len(todo) < len(saved):
        reporter.note(f"{len(saved) - len(todo)} of {len(saved)} architectures were done before.")
    if todo:
        with _start_helpers(options, photos) as helpers, _counting_finished(options, keys):
            _build_backbones(todo, helpers, reporter)
            _fill_caches(options, todo, weights, photos.readable, reporter)
            groups = find_photo_groups(options, photos, reporter)

            def train(architecture: Architecture, helper: _Helper) -> ArchitectureResult:
                result = helper.ask(TrainingTask(architecture, keys[architecture], groups), architecture.name)
                assert result is not None
                # Save immediately, because another architecture may fail before `share` yields this result.
                result.write(options.folder(architecture))
                return result

            with reporter.progress("retraining and exporting", len(todo), "architecture") as advance:
                for architecture, result in helpers.share(todo, train):
                    saved[architecture] = result
                    advance(1)
    return {architecture: result for architecture, result in saved.items() if result is not None}


def find_photo_groups(options: GridOptions, photos: PhotoSnapshot, reporter: Reporter) -> PhotoGroups:
    """Return groups of the readable photos; the photos of a group, such as a burst, are put in one split and one fold.

    Photos are grouped as `options.group_by` states or, by default, by their names, contents and similarity. Similarity
    is measured with the bottlenecks of the first architecture, and the groups are used for all architectures. Each
    photo that cannot be decoded forms its own group.

    Raises:
        UsageError, DatasetError: `options.group_by` cannot be applied to the photos.
        WeightsError, OutputError: as for `train`.
    """
    readable = photos.readable
    backbone = prepare_backbone(
        options.architectures[0],
        find_weights(options.architectures[0], options.model_dir, options.weights, reporter=reporter),
        options.bottleneck_dir,
    )
    table = VectorTableBuilder(len(readable), options.architectures[0].bottleneck_size, options.bottleneck_dir)
    rows = []
    with open_cache(backbone.cache_file) as (cache, _):
        found = bottlenecks(readable, [BackboneCache(backbone, cache)], reporter)
        for row, (_, vectors) in enumerate(found):
            if not isinstance(vectors, PhotoError):
                table.append(vectors[0].reshape(1, -1))
                rows.append(row)
    chosen = np.array(rows, np.int64)
    # Equal to `read_data` of a single `train` as long as every photo can be decoded.
    in_classes = readable.photos.in_classes(readable.photos.present)
    decoded = HashedPhotos(in_classes, readable.digests).take(chosen)
    groups = find_groups(decoded, table.finish(), options.bottleneck_dir, options.group_by)
    numbers = np.arange(len(readable))
    numbers[chosen] = chosen[groups.numbers]
    return replace(groups, numbers=numbers)


def _start_helpers(options: GridOptions, photos: PhotoSnapshot) -> _HelperPool:
    """Return a pool of helper processes for training.

    The worker module is imported in this function, because it imports the packages `training` and `exporting` entirely,
    which a run that reuses all results does not need.
    """
    from poets_edge.sweep.training_worker import TrainingWorker

    return HelperPool(TrainingWorker(options, photos))


@contextmanager
def _counting_finished(options: GridOptions, keys: Mapping[Architecture, str]) -> Iterator[None]:
    """Context manager that adds the number of finished architectures to the message of an OutputError."""
    try:
        yield
    except OutputError as error:
        finished = [name for name, key in keys.items() if read_result(options.folder(name), name, key)]
        raise OutputError(
            f"{error} {len(finished)} of {len(keys)} architectures are finished and kept. Free some space and run the"
            " command again."
        ) from None


def _build_backbones(architectures: Sequence[Architecture], helpers: _HelperPool, reporter: Reporter) -> None:
    def build(architecture: Architecture, helper: _Helper) -> None:
        helper.ask(BackboneTask(architecture), architecture.name)

    with reporter.progress("reading weights", len(architectures), "architecture") as advance:
        for _ in helpers.share(architectures, build):
            advance(1)


def _fill_caches(
    options: GridOptions,
    architectures: Sequence[Architecture],
    weights: Mapping[Architecture, Weights],
    photos: HashedPhotos,
    reporter: Reporter,
) -> None:
    """Compute the bottlenecks of all architectures and store them in the caches that training reads."""
    with ExitStack() as stack:
        caches = []
        for architecture in architectures:
            backbone = prepare_backbone(architecture, weights[architecture], options.bottleneck_dir)
            cache, damaged = stack.enter_context(open_cache(backbone.cache_file))
            if damaged:
                reporter.warn(f"the bottleneck cache was damaged; it was moved to {damaged} and is created again.")
            caches.append(BackboneCache(backbone, cache))
        if options.cluster:
            compute_on_cluster(options.cluster, photos, caches, reporter)
        readable = sum(not isinstance(result, PhotoError) for _, result in bottlenecks(photos, caches, reporter))
    if not readable:
        raise DatasetError(f"{options.image_dir}: none of its {len(photos)} photos can be read.")


def _key(options: GridOptions, photos: PhotoSnapshot, weights: Weights) -> str:
    """Return the SHA-256, hexadecimal, of all inputs to the training and export of an architecture."""
    contents = [
        (item.photo.name, item.digest.hex()) if isinstance(item, HashedPhoto) else str(item) for item in photos.hashed
    ]
    inputs = [
        _FORMAT,
        contents,
        weights.digest,
        versions(),
        asdict(options.percentages),
        asdict(options.head),
        options.calibration_count,
        options.group_by,
        options.architectures[0].name,
        *([asdict(options.fine_tuning)] if options.fine_tuning.blocks else []),
        *([photos.exclusions.to_json()] if photos.exclusions else []),
    ]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
