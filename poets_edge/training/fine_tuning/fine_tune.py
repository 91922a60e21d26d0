"""Fine-tune a backbone's final blocks together with a trained head (`train --fine-tune N`).

The result is compared with the frozen backbone on photos that neither has learned from: the validation and test photos
and, if these are too few for a significant difference, all training and validation photos, each classified by networks
that were trained without its fold. The frozen backbone is kept unless the fine-tuned one is significantly better (see
`choice`), because only with a frozen backbone can the accuracy be estimated from all photos, by cross-validation of the
head.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from poets_edge.core.memory import release_memory
from poets_edge.core.parallel import run_parallel
from poets_edge.errors import DatasetError
from poets_edge.nets.network import Network
from poets_edge.nets.write_graph import graph_of
from poets_edge.photos.folds import assign_folds
from poets_edge.photos.image import fit
from poets_edge.photos.open_photo import open_photo
from poets_edge.photos.table import HashedPhotos, Rows
from poets_edge.progress import Reporter
from poets_edge.quantize.write_model import write_float_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.training.backbone import Backbone
from poets_edge.training.bottleneck_cache import Vector
from poets_edge.training.bottlenecks import Extractor
from poets_edge.training.data import TrainingData
from poets_edge.training.fine_tuning.activations import Activations, open_activations
from poets_edge.training.fine_tuning.choice import Classes, Comparison, Scores, compare_scores
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.fine_tuning.schedule import Schedule
from poets_edge.training.fine_tuning.tail import Tail, backbone_network, read_tail, with_tail
from poets_edge.training.fine_tuning.trainer import Epoch
from poets_edge.training.fine_tuning.tuning import DivergedError, Tuned, ValidationSet, tune
from poets_edge.training.fine_tuning.views import Views
from poets_edge.training.head import Head, HeadOptions, LabeledVectors, train_head
from poets_edge.training.vectors import Matrix, Vectors, take

Written = Literal["fine-tuned", "frozen"]

_FOLDS = 2
"""Number of folds for comparing the networks if they do not differ significantly on the validation and test photos."""
_FOLD_EPOCHS = 1 / 3
"""Number of epochs for each fold of the comparison, as a fraction of the requested number. The gain over the frozen
backbone is nearly as large as after all epochs, and two folds take a third of the time of the fine-tuning itself."""


@dataclass(frozen=True)
class FineTuned:
    """Result of fine-tuning, and the network to write.

    Attributes:
        graph: GraphDef of the backbone to write.
        head: head for that backbone.
        vectors: bottlenecks from that backbone, float32 [photos, bottleneck_size].
        epochs: results of the epochs; fewer than requested if training diverged.
        chosen: number of the epoch whose weights are used, from 1; 0 for the frozen backbone.
        written: which network was chosen, "fine-tuned" or "frozen"; `graph` and `head` contain it.
        comparison: comparison with the frozen backbone on photos that neither network has learned from; None if there
            are no such photos.
        verdict: message for users that states which network was chosen, and why.
        checkpoints: checkpoint files, to be removed when all outputs are written.
        views: names of the views (distorted variants) of each training photo.
        options: options with the architecture's defaults filled in.
        network: the fine-tuned backbone; None if the frozen one is written.
    """

    graph: Any
    head: Head
    vectors: Vectors
    epochs: tuple[Epoch, ...]
    chosen: int
    written: Written
    comparison: Comparison | None
    verdict: str
    checkpoints: tuple[Path, ...]
    views: tuple[str, ...]
    options: FineTuning
    network: Network | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-compatible dictionaries, lists, strings and numbers, for the training record."""
        return {
            **asdict(self.options),
            "views": self.views,
            "epochs_run": [asdict(epoch) for epoch in self.epochs],
            "chosen_epoch": self.chosen,
            "written": self.written,
            "against_frozen": self.comparison.to_json() if self.comparison else None,
            "verdict": self.verdict,
        }


def fine_tune(
    data: TrainingData, backbone: Backbone, head: Head, options: FineTuning, views: Views, head_options: HeadOptions,
    folder: Path, reporter: Reporter,
) -> FineTuned:  # fmt: skip
    """Train the final blocks together with the head, and compare the result with the head on the frozen backbone.

    Args:
        data: photos with bottlenecks from the frozen backbone.
        head: head that was trained on these bottlenecks.
        views: how views (distorted variants) of the training photos are made.
        head_options: options with which `head` was trained; the heads for the folds are trained with them, too.
        folder: folder for activations and the checkpoint.

    Raises:
        UsageError: the backbone is not a chain of blocks, or has fewer blocks than requested.
        DatasetError: `options.folds` requests folds, but the photos cannot be divided into folds.
        OutputError: the disk does not have enough space for the activations; cached activations are kept.
        PhotoError: a photo has changed since its bottleneck was computed.
        RuntimeMissingError: TensorFlow is not installed.
    """
    options = options.resolved(backbone.architecture)
    network = backbone_network(backbone)
    tail = read_tail(network, options.blocks, backbone.architecture.name)
    if options.folds:
        _folds(data, options.folds)  # to raise an error before training
    frozen = FineTuned(backbone.read_graph(), head, data.vectors, (), 0, "frozen", None, "", (), views.names, options)
    with open_activations(backbone, network, tail, views, folder, reporter) as activations:
        job = _Job(
            data=data, backbone=backbone, network=network, tail=tail, options=options, views=views,
            head_options=head_options, activations=activations, folder=folder, reporter=reporter,
        )  # fmt: skip
        try:
            tuned, checkpoint = job.tune(head, data.rows("training"), data.rows("validation"))
            changed = with_tail(network, tuned.tail)
            vectors = compute_bottlenecks(changed, backbone, data.photos, np.arange(len(data.photos)))
            compared, checkpoints = _compare(job, (tuned.head, vectors), (head, data.vectors))
        except DivergedError as error:
            verdict = f"fine-tuning diverged ({error}); the frozen backbone's result is written."
            reporter.warn(verdict)
            return replace(frozen, epochs=error.epochs, verdict=verdict)
    frozen = replace(frozen, epochs=tuned.epochs, checkpoints=(checkpoint, *checkpoints))
    result = replace(
        frozen,
        graph=graph_of(changed),
        head=tuned.head,
        vectors=vectors,
        chosen=tuned.chosen,
        written="fine-tuned",
        network=changed,
    )
    if compared is None:
        verdict = "fine-tuned: no photo outside of training tells whether it is better than the frozen backbone."
        return replace(result, verdict=verdict)
    return _chosen(result, frozen, compared)


@dataclass(frozen=True, kw_only=True)
class _Job:
    """Arguments of `fine_tune`, and the opened cache of activations."""

    data: TrainingData
    backbone: Backbone
    network: Network
    tail: Tail
    options: FineTuning
    views: Views
    head_options: HeadOptions
    activations: Activations
    folder: Path
    reporter: Reporter

    def tune(self, head: Head, learned: Rows, validated: Rows) -> tuple[Tuned, Path]:
        """Fine-tune the backbone and a head on the given photos; return the result and the path of its checkpoint.

        Args:
            learned: row numbers of the training photos.
            validated: row numbers of the photos on which the best epoch is determined; may be empty.
        """
        photos, epochs = self.data.photos, self.options.epochs
        assert epochs is not None, "only architectures with defaults have blocks"
        schedule = Schedule(
            photos=list(photos.take(learned)),
            classes=self.data.labeled(learned).classes,
            views=self.views.names,
            whole=self.views.whole if self.options.whole_epochs else (),
            whole_from=epochs - self.options.whole_epochs,
            batch_size=self.options.batch_size,
            seed=self.head_options.seed,
        )
        validation = ValidationSet(list(photos.take(validated)), self.data.labeled(validated).classes)
        self.activations.compute([*schedule.all_views(), *validation.views], self.reporter)
        start = (self.tail, head)
        release_memory()  # that of the interpreters
        result = tune(start, schedule, validation, self.activations, self.options, self.folder, self.reporter)
        release_memory()
        return result


def _compare(
    job: _Job, tuned: tuple[Head, Vectors], frozen: tuple[Head, Vectors]
) -> tuple[tuple[Comparison, str] | None, list[Path]]:
    """Compare a fine-tuned network with the frozen backbone, each given as a head and its bottlenecks.

    Returns:
        A pair (comparison, description of the compared photos), or None if there are no photos to compare on; and the
        checkpoint files of the folds.
    """
    unseen, count = job.data.rows("validation", "test"), job.options.folds
    compared = None
    if not count and len(unseen):
        compared = compare_scores(*_scores(tuned, frozen, job.data, unseen)), "of validation and test"
    if count or (count is None and compared and compared[0].is_undecided):
        assert job.options.epochs is not None, "only architectures with defaults have blocks"
        job = replace(job, options=replace(job.options, epochs=math.ceil(_FOLD_EPOCHS * job.options.epochs)))
        try:
            folds = _folds(job.data, count or _FOLDS)
        except DatasetError:  # raised before training if folds were requested
            return compared, []
        scored, checkpoints = [], []
        for number, (learned, held_out) in enumerate(folds, 1):
            job.reporter.note(f"comparing with the frozen backbone: fold {number} of {len(folds)}")
            head = _head(job.data.labeled(learned), len(job.data.labels), job.head_options)
            one, checkpoint = job.tune(head, learned, held_out[:0])
            changed = with_tail(job.network, one.tail)
            vectors = compute_bottlenecks(changed, job.backbone, job.data.photos, held_out)
            scored.append(_scores((one.head, vectors), (head, job.data.vectors), job.data, held_out))
            checkpoints.append(checkpoint)
        comparison = compare_scores(*(np.concatenate(of) for of in zip(*scored, strict=True)))
        return (comparison, f"cross-fitted in {len(folds)} folds"), checkpoints
    return compared, []


def _chosen(tuned: FineTuned, frozen: FineTuned, compared: tuple[Comparison, str]) -> FineTuned:
    """Return the fine-tuned result if it is significantly better, otherwise the frozen one.

    The returned result includes the comparison and the verdict.

    Args:
        compared: the comparison, and a description of the photos on which it was made.
    """
    comparison, photos = compared
    verdict = (
        f"fine-tuned {comparison.correct}, frozen {comparison.frozen_correct} of {comparison.paired.photos} photos"
        f" right ({photos}): {comparison}."
    )
    if comparison.is_better:
        verdict += f" The fine-tuned one is written (epoch {tuned.chosen})."
        return replace(tuned, comparison=comparison, verdict=verdict)
    return replace(frozen, comparison=comparison, verdict=f"{verdict} The frozen one is written.")


def _folds(data: TrainingData, count: int) -> list[tuple[Rows, Rows]]:
    """Divide the training and validation photos into folds; return the training and held-out rows for each fold.

    Raises:
        DatasetError: no class has two groups of photos.
    """
    rows = np.sort(data.rows("training", "validation"))
    [folds] = assign_folds(data.photos.take(rows), count, groups=data.groups_of(rows))
    return [(rows[folds.assignment != number], rows[folds.assignment == number]) for number in range(folds.count)]


def _head(training: LabeledVectors, class_count: int, options: HeadOptions) -> Head:
    nobody = LabeledVectors(training.vectors[:0], training.classes[:0])
    return train_head(training, nobody, class_count, options, lambda step, head: None)


def _scores(
    tuned: tuple[Head, Vectors], frozen: tuple[Head, Vectors], data: TrainingData, rows: Rows
) -> tuple[Scores, Scores, Classes]:
    """Return the scores of the fine-tuned and of the frozen network, and the true classes, for the given rows."""
    one, other = (head.scores(take(vectors, rows)) for head, vectors in (tuned, frozen))
    return one, other, data.labeled(rows).classes


def compute_bottlenecks(
    network: Network, backbone: Backbone, photos: HashedPhotos, wanted: Rows, size: int | None = None
) -> Matrix:
    """Return the outputs of a network for photos, float32 [photos, size]; rows outside `wanted` are zero.

    Args:
        network: the backbone, or another network for photos of the same size.
        size: size of the output; by default, the size of a bottleneck.
    """
    model = ModelFile(backbone.model, write_float_model(network))
    rows = wanted.tolist()
    vectors = np.zeros((len(photos), size or backbone.architecture.bottleneck_size), np.float32)

    def work(row: int, extractor: Extractor) -> Vector:
        item = photos[row]
        photo = replace(item.photo, sha256=item.digest.hex())
        return extractor(fit(open_photo(photo), backbone.architecture.size))

    for row, vector in run_parallel(rows, partial(Extractor, model), work):
        vectors[row] = vector
    return vectors
