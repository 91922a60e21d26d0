"""Cross-validation of all architectures in a run of `grid`, float32 and int8, on one snapshot of photos.

The float32 models are evaluated from the bottlenecks that training has cached. The int8 models are evaluated from the
features of the exported int8 model without its last layer, which are computed once per photo and cached. The heads are
fitted to the float32 bottlenecks, like the head of the exported model; for int8, their weights and logits are rounded
to 8 bits as by the converter. The estimate is documented in `poets_edge.training.cross_validation`. For int8, it has a
bias: the evaluated photos include those that were used (without their classes) to calibrate the quantization.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from poets_edge.core.helper_pool import HelperPool
from poets_edge.core.processes import Helper
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.weights import find_weights
from poets_edge.photos.table import HashedPhotos
from poets_edge.progress import Reporter
from poets_edge.sweep.architecture_result import INT8_BACKBONE, ArchitectureResult, Evaluations
from poets_edge.sweep.int8_backbone import Int8Backbone
from poets_edge.sweep.options import GridOptions
from poets_edge.sweep.photo_snapshot import PhotoSnapshot
from poets_edge.sweep.training import find_photo_groups
from poets_edge.sweep.validation_worker import ValidationTask, ValidationWorker
from poets_edge.training.backbone import prepare_backbone
from poets_edge.training.bottleneck_cache import open_cache
from poets_edge.training.bottlenecks import BackboneCache, bottleneck_batches, bottlenecks

_CACHE = "int8_features.sqlite"


def validate_architectures(
    options: GridOptions,
    photos: PhotoSnapshot,
    results: Mapping[Architecture, ArchitectureResult],
    reporter: Reporter,
) -> dict[Architecture, ArchitectureResult]:
    """Cross-validate all architectures, reusing saved cross-validations with the requested number of folds.

    Returns:
        The results of all architectures, including their cross-validations.

    Raises:
        DatasetError: no class has two groups of photos. Near-duplicates of a photo belong to its group.
        OutputError: a file cannot be written; finished cross-validations remain saved.
    """
    validated = dict(results)
    todo = [
        architecture
        for architecture, result in results.items()
        if result.cross_validation is None or result.cross_validation.requested_folds != options.folds
    ]
    if todo:
        rows = photos.cross_validated_rows
        readable = photos.readable.take(rows)
        groups = find_photo_groups(options, photos, reporter).numbers[rows]
        worker = ValidationWorker(photos=readable, groups=groups, head=options.head, folds=options.folds)
        with HelperPool(worker) as helpers:
            helpers.start(len(todo))
            _fill_int8_caches(options, {name: results[name] for name in todo}, readable, reporter)
            float_caches = {name: _fill_float_cache(options, name, readable, reporter) for name in todo}

            def validate(architecture: Architecture, helper: Helper[ValidationTask, Evaluations]) -> ArchitectureResult:
                folder, result = options.folder(architecture), results[architecture]
                task = ValidationTask(
                    float_cache=float_caches[architecture],
                    int8_cache=folder / _CACHE,
                    int8_backbone_sha256=result.int8_backbone_sha256,
                )
                result = replace(result, cross_validation=helper.ask(task, architecture.name))
                result.write(folder)
                return result

            with reporter.progress("cross-validating", len(todo), "architecture") as advance:
                for architecture, result in helpers.share(todo, validate):
                    validated[architecture] = result
                    advance(1)
    return validated


def _fill_int8_caches(
    options: GridOptions,
    results: Mapping[Architecture, ArchitectureResult],
    photos: HashedPhotos,
    reporter: Reporter,
) -> None:
    """Compute the int8 features of all architectures and store them in caches, decoding each photo once."""
    with ExitStack() as stack:
        backbones = []
        for architecture, result in results.items():
            folder = options.folder(architecture)
            cache, damaged = stack.enter_context(open_cache(folder / _CACHE))
            if damaged:
                reporter.warn(f"{folder / _CACHE} was damaged; it was moved to {damaged} and is created again.")
            backbones.append(
                Int8Backbone(
                    model=folder / INT8_BACKBONE,
                    sha256=result.int8_backbone_sha256,
                    name=f"{architecture.backbone} int8",
                    size=architecture.size,
                    cache=cache,
                )
            )
        for _ in bottlenecks(photos, backbones, reporter, what="int8 features"):
            pass  # `bottlenecks` fills the caches; unreadable photos were reported in training


def _fill_float_cache(
    options: GridOptions, architecture: Architecture, photos: HashedPhotos, reporter: Reporter
) -> Path:
    """Compute float32 bottlenecks that are missing from the cache, for example because it was deleted.

    Returns:
        The path of the cache file.
    """
    weights = find_weights(architecture, options.model_dir, options.weights, reporter=reporter)
    backbone = prepare_backbone(architecture, weights, options.bottleneck_dir)
    with open_cache(backbone.cache_file) as (cache, damaged):
        if damaged:
            reporter.warn(f"the bottleneck cache was damaged; it was moved to {damaged} and is created again.")
        for _ in bottleneck_batches(photos, [BackboneCache(backbone, cache)], reporter):
            pass
    return backbone.cache_file
