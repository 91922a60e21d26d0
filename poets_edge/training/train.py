"""Train a classifier on a folder of photos, and write the frozen graph, its labels and the training record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np

from poets_edge.core.files import write_together
from poets_edge.device.predictions import Predictions
from poets_edge.errors import DatasetError
from poets_edge.nets.detector import with_detector
from poets_edge.nets.graphdef import serialize, with_labels, with_photo_sets, with_softmax_layer
from poets_edge.nets.weights import find_weights
from poets_edge.photos.exclude import Exclusions, scan_without_excluded
from poets_edge.photos.folder import PhotoFolder
from poets_edge.photos.known_photos import KnownPhotos
from poets_edge.photos.split_names import NO_SPLIT
from poets_edge.photos.table import PhotoDigests, Rows
from poets_edge.progress import Reporter, Silent
from poets_edge.tflite.labels import join_labels
from poets_edge.training.backbone import Backbone, prepare_backbone
from poets_edge.training.background import OutsidePhotos, read_background, read_strangers
from poets_edge.training.bottleneck_cache import open_cache
from poets_edge.training.bottlenecks import BackboneCache
from poets_edge.training.cluster import compute_on_cluster
from poets_edge.training.cross_validated_run import cross_validate_run, finish_cross_validation
from poets_edge.training.data import TrainingData, read_data, training_vectors
from poets_edge.training.fine_tuning.curves import remove_curves, write_curves
from poets_edge.training.fine_tuning.fine_tune import FineTuned, compute_bottlenecks, fine_tune
from poets_edge.training.fine_tuning.views import Views
from poets_edge.training.hashed_photos import Hashed, hash_photos
from poets_edge.training.head import Head
from poets_edge.training.head_training import train_monitored_head
from poets_edge.training.inner_layer import inner_outputs
from poets_edge.training.look_alikes import PhotoGroups
from poets_edge.training.messages import (
    disagreement,
    independence_assumption,
    report_groups,
    report_run,
    report_sets,
    report_stale_exports,
)
from poets_edge.training.options import TrainOptions
from poets_edge.training.outputs import check_outputs
from poets_edge.training.record import class_table, find_duplicates, photo_fields, record_of
from poets_edge.training.report import write_report
from poets_edge.training.results import TrainResult
from poets_edge.training.runs import save_run
from poets_edge.training.temperature_scaling import calibrate_head, predict_held_out
from poets_edge.training.unknown import InnerOutputs, UnknownDetection, detect_unknown
from poets_edge.training.vectors import Vectors, take


def train(options: TrainOptions, reporter: Reporter | None = None) -> TrainResult:
    """Train a head on a folder of photos, optionally fine-tune the final blocks, and write the results.

    The results are the graph, its labels, the record and the event files.

    Raises:
        DatasetError: the photos in the folder cannot be used for training.
        PhotoError: a photo cannot be read, and `options.strict` is set.
        WeightsError: the weights of the backbone are missing or damaged.
        RuntimeMissingError: a required package is not installed.
        OutputError: a result cannot be written.
    """
    reporter = reporter or Silent()
    reporter.status(f"looking for photos in {options.image_dir}")
    folder, exclusions = scan_without_excluded(
        options.image_dir, options.exclude, reporter, recursive=options.recursive
    )
    result = train_photos(options, folder, exclusions, reporter)
    report_stale_exports(options.output_graph, reporter)
    return result


def train_photos(
    options: TrainOptions,
    folder: PhotoFolder,
    exclusions: Exclusions,
    reporter: Reporter,
    *,
    hashed: Hashed | None = None,
    groups: PhotoGroups | None = None,
) -> TrainResult:
    """Train on the photos of a scanned folder.

    Args:
        folder: scan of `options.image_dir`, without the excluded photos.
        exclusions: photos that were excluded, for the record.
        hashed: digests of `folder.photos`; if None, they are computed.
        groups: groups of the readable photos in `hashed`; if None, they are found from the photos' names and vectors.

    Raises:
        The exceptions that `train` raises.
    """
    check_outputs(options)
    if folder.set_folders:
        reporter.note(f"sets as divided by the folders {', '.join(folder.set_folders)}")
    for line in folder.warnings():
        reporter.warn(line)
    reporter.status(f"preparing the backbone {options.architecture.backbone}")
    weights = find_weights(options.architecture, options.model_dir, options.weights, reporter=reporter)
    backbone = prepare_backbone(options.architecture, weights, options.bottleneck_dir)
    with open_cache(backbone.cache_file) as (cache, damaged):
        if damaged:
            reporter.warn(f"the bottleneck cache was damaged; it was moved to {damaged} and is created again.")
        hashed = hashed or hash_photos(folder.photos, options.bottleneck_dir, reporter, rehash=options.rehash)
        if options.cluster:
            compute_on_cluster(options.cluster, hashed.readable, [BackboneCache(backbone, cache)], reporter)
        data, unreadable = read_data(options, hashed, backbone, cache, reporter, groups)
        duplicates = find_duplicates(data.photos, data.sets)
        table = class_table(data.photos.photos, data.sets)
        report_sets(reporter, table, duplicates, tested=options.percentages.testing > 0)
        report_groups(reporter, data.groups, len(data.photos))
        training = training_vectors(options, data, backbone, cache, reporter)
        outside = {}
        if options.background is not None:
            outside["background"] = read_background(options.background, data, backbone, cache, reporter)
        if options.strangers is not None:
            outside["strangers"] = read_strangers(options.strangers, backbone, cache, reporter)

    validation = data.plain("validation")
    graph_of = partial(_graph, backbone.read_graph(), options.final_tensor_name)
    with ThreadPoolExecutor(1) as thread:
        # Training steps are sequential and use one core; another core evaluates meanwhile.
        cross_validation = thread.submit(cross_validate_run, options, data)
        held_out = thread.submit(predict_held_out, data, options.head) if options.calibrated else None
        unknown = thread.submit(_detect_unknown, options, data, outside)
        head, steps, advice = train_monitored_head(options, training, validation, data.labels, graph_of, reporter)
    fine_tuned = _fine_tune(options, data, backbone, head, reporter)
    if fine_tuned is not None:
        head, data = fine_tuned.head, replace(data, vectors=fine_tuned.vectors)
        graph_of = partial(_graph, fine_tuned.graph, options.final_tensor_name)

    learned = fine_tuned is not None and fine_tuned.written == "fine-tuned"
    calibration = None
    if held_out is not None:
        head, calibration = calibrate_head(head, data, held_out.result(), backbone_has_learned=learned)
        if calibration is not None and calibration.temperature == 1:
            reporter.note(
                f"scores are left as trained: dividing the logits by {calibration.fitted:.2f} does not make those of"
                " other photos better"
            )

    detection = unknown.result()
    if learned and detection is not None:
        detection = _detect_unknown(options, data, outside, fine_tuned, backbone)
    if isinstance(detection, DatasetError):
        reporter.warn(f"no detector of unknown photos: {detection}")
        detection = None
    test_rows = _test_rows(options, data)
    unrelated = data.unrelated(test_rows)
    test = _score(head, data, test_rows)
    finished = finish_cross_validation(
        cross_validation, options, data, reporter, backbone_has_learned=learned, test_count=len(test_rows)
    )
    result = TrainResult(
        graph=options.output_graph,
        labels_file=options.output_labels,
        record=options.record,
        report=options.report if options.with_report else None,
        labels=data.labels,
        table=table,
        test=test.evaluation(data.labels),
        validation=_score(head, data, data.rows("validation")).evaluation(data.labels),
        steps=tuple(steps),
        misclassified=tuple(test.misclassified(data.labels)),
        unreadable=unreadable,
        duplicates=tuple(duplicates),
        digests=PhotoDigests(data.photos),
        cross_validated=finished.result,
        dependence=finished.dependence,
        assumption=independence_assumption(
            data.groups, finished.dependence, group_by=options.group_by, has_own_test=data.has_own_test
        ),
        calibration=calibration,
        fine_tuned=fine_tuned,
        has_own_test=data.has_own_test,
        groups=data.groups,
        unrelated_test=_score(head, data, unrelated).evaluation(data.labels)
        if len(unrelated) < len(test_rows)
        else None,
        unknown=detection,
    )
    fields = _fields(options, data, result, weights.path.name, weights.digest)
    fields["exclude"] = exclusions.to_json()
    known = KnownPhotos.of(data.photos.digests, data.sets, data.groups.numbers if data.groups else None)
    final = graph_of(head) if detection is None else with_detector(graph_of(head), detection.detector)
    graph = serialize(with_photo_sets(with_labels(final, data.labels), known.for_model()))
    graph_sha256 = hashlib.sha256(graph).hexdigest()
    write_together(
        {
            options.output_graph: graph,
            options.output_labels: join_labels(data.labels).encode(),
            options.record: record_of(graph_sha256, fields),
        }
    )
    for checkpoint in fine_tuned.checkpoints if fine_tuned else ():
        checkpoint.unlink(missing_ok=True)
    if result.report is not None:
        write_report(options, result, test, sorted(exclusions.leave_out), result.report)
    if options.runs_dir is not None:
        save_run(options.runs_dir, fields, options.summaries)
    report_run(options, result.steps, advice, table, reporter)
    if difference := disagreement(result):
        reporter.warn(difference)
    if result.assumption:
        reporter.note(result.assumption)
    return result


def _fine_tune(
    options: TrainOptions, data: TrainingData, backbone: Backbone, head: Head, reporter: Reporter
) -> FineTuned | None:
    """Train the final blocks together with the head, and return the result; None if no fine-tuning was requested."""
    if not options.fine_tuning.blocks:
        remove_curves(options.summaries)
        return None
    defaults = options.architecture.tuning
    assert defaults is not None, "the options were checked"
    views = Views(options.distortions, options.distortions.variants or defaults.views)
    result = fine_tune(data, backbone, head, options.fine_tuning, views, options.head, options.bottleneck_dir, reporter)
    write_curves(options.summaries, result.epochs, result.head)
    return result


def _detect_unknown(
    options: TrainOptions,
    data: TrainingData,
    outside: Mapping[str, OutsidePhotos],
    fine_tuned: FineTuned | None = None,
    backbone: Backbone | None = None,
) -> UnknownDetection | DatasetError | None:
    """Return the fitted unknown-photo detector, the error if fitting fails, or None if no detector was requested.

    Args:
        outside: photos that belong to no class: "background" (the detector learns from them) and "strangers" (for tests
            only).
    """
    if not options.unknown_rate:
        return None
    vectors: dict[str, Vectors] = {name: photos.vectors for name, photos in outside.items()}
    tuned: Vectors | None = None
    inner: InnerOutputs | None = None
    if fine_tuned is not None and fine_tuned.network is not None and backbone is not None:
        tuned, network = fine_tuned.vectors, fine_tuned.network
        for name, photos in outside.items():
            vectors[name] = compute_bottlenecks(network, backbone, photos.photos, np.arange(len(photos.photos)))
        inner = inner_outputs(network, backbone, data, outside)
    try:
        return detect_unknown(data, options.unknown_rate / 100, options.head.seed, tuned=tuned, inner=inner, **vectors)
    except DatasetError as error:
        return error


def _graph(backbone: Any, final_tensor_name: str, head: Head) -> Any:
    return with_softmax_layer(backbone, head.weights, head.biases, final_tensor_name)


def _test_rows(options: TrainOptions, data: TrainingData) -> Rows:
    rows = data.rows("test")
    if options.test_batch_size == -1 or options.test_batch_size >= len(rows):
        return rows
    rng = np.random.default_rng([options.head.seed, 2])
    return np.asarray(rows[np.sort(rng.permutation(len(rows))[: options.test_batch_size])])


def _score(head: Head, data: TrainingData, rows: Rows) -> Predictions:
    """Return the predictions of a head for the photos in the given rows, with the groups of the photos."""
    scores = head.scores(take(data.vectors, rows))
    return Predictions(data.photos.photos.take(rows), scores, (), groups=data.groups_of(rows))


def _fields(
    options: TrainOptions, data: TrainingData, result: TrainResult, weights_file: str, weights_digest: str
) -> dict[str, Any]:
    """Return the fields of the training record: the options that determine the result, the photos, and the result."""
    found = result.outcome()
    return {
        "architecture": options.architecture.name,
        "weights": {"file": weights_file, "sha256": weights_digest},
        "image_dir": str(options.image_dir.resolve()),
        "recursive": options.recursive,
        "percentages": asdict(options.percentages),
        "head": asdict(options.head),
        "distortions": asdict(options.distortions) if options.distortions.active else None,
        "fine_tuning": found.pop("fine_tuning"),
        "final_tensor_name": options.final_tensor_name,
        "labels": found.pop("labels"),
        "classes": found.pop("classes"),
        "set_folders": bool((data.photos.photos.given != NO_SPLIT).any()),
        **photo_fields(data.photos, data.sets, data.groups.numbers if data.groups else None),
        **found,
    }
