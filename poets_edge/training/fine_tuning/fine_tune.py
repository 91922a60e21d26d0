"""Fine-tune a backbone's final blocks together with a trained head (`train --fine-tune N`).

The result is compared with the frozen backbone on photos that neither has learned from: the validation and test photos,
or, with `FineTuning.folds`, all training and validation photos, each classified by networks that were trained without
its fold. The frozen backbone is kept unless the fine-tuned one is significantly better, because heads on a frozen
backbone can be cross-validated.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from poets_edge.core.parallel import run_parallel
from poets_edge.device.paired import Paired, compare_paired
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
from poets_edge.training.fine_tuning.activations import open_activations
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.fine_tuning.schedule import Schedule
from poets_edge.training.fine_tuning.tail import backbone_network, read_tail, with_tail
from poets_edge.training.fine_tuning.trainer import Epoch
from poets_edge.training.fine_tuning.tuning import DivergedError, ValidationSet, tune
from poets_edge.training.fine_tuning.views import Views
from poets_edge.training.head import Head, HeadOptions, LabeledVectors, train_head
from poets_edge.training.vectors import Vectors, take

Written = Literal["fine-tuned", "frozen"]


@dataclass(frozen=True)
class FineTuned:
    """Result of fine-tuning, and the network to write.

    Attributes:
        graph: GraphDef of the backbone to write.
        head: head for that backbone.
        vectors: bottlenecks from that backbone, float32 [photos, bottleneck_size].
        epochs: results of the epochs; fewer than requested if training diverged.
        chosen: number of the epoch whose weights are used, from 1; 0 for the frozen backbone.
        written: which network was chosen and is in `graph` and `head`.
        paired: comparison with the frozen backbone on photos that neither has learned from; None if there are none.
        verdict: sentences for users with the chosen network and the reason.
        checkpoint: file to remove when all outputs are written; None if there is none.
        views: names of the views of each training photo.
        options: options with the architecture's defaults filled in.
        network: the fine-tuned backbone; None if the frozen one is written.
    """

    graph: Any
    head: Head
    vectors: Vectors
    epochs: tuple[Epoch, ...]
    chosen: int
    written: Written
    paired: Paired | None
    verdict: str
    checkpoint: Path | None
    views: tuple[str, ...]
    options: FineTuning
    network: Network | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the value as JSON-compatible dictionaries, lists, strings and numbers, for the training record."""
        return {
            **asdict(self.options),
            "views": self.views,
            "epochs_run": [asdict(epoch) for epoch in self.epochs],
            "chosen_epoch": self.chosen,
            "written": self.written,
            "against_frozen": self.paired.to_json() if self.paired else None,
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
        views: views of the training photos.
        head_options: options with which `head` was trained, for training the heads of folds.
        folder: folder for activations and the checkpoint.

    Raises:
        UsageError: the backbone is not a chain of blocks, or has fewer blocks than requested.
        OutputError: the disk does not have enough space for the activations; cached activations are kept.
        PhotoError: a photo has changed since its bottleneck was computed.
        RuntimeMissingError: TensorFlow is not installed.
    """
    options = options.resolved(backbone.architecture)
    network = backbone_network(backbone)
    tail = read_tail(network, options.blocks, backbone.architecture.name)
    validation = list(data.named("validation"))
    schedule = _schedule(data, data.rows("training"), options, views, head_options.seed)
    validation_set = ValidationSet(validation, data.plain("validation").classes)
    folds = _folds(data, options, head_options.seed)
    frozen = FineTuned(backbone.read_graph(), head, data.vectors, (), 0, "frozen", None, "", None, views.names, options)
    schedules = [_schedule(data, learned, options, views, head_options.seed) for learned, _ in folds]
    with open_activations(backbone, network, tail, views, folder, reporter) as activations:
        everything = [view for one in (schedule, *schedules) for view in one.everything()]
        activations.compute([*everything, *validation_set.views], reporter)
        correct = []
        try:
            for number, ((learned, held_out), of_fold) in enumerate(zip(folds, schedules, strict=True), 1):
                reporter.note(f"comparing with the frozen backbone: fold {number} of {len(folds)}")
                start = (tail, _head(data.labeled(learned), len(data.labels), head_options))
                nobody = ValidationSet([], np.zeros(0, np.int64))
                one, file = tune(start, of_fold, nobody, activations, options, folder, reporter)
                vectors = compute_bottlenecks(with_tail(network, one.tail), backbone, data.photos, held_out)
                correct.append(
                    (_correct(one.head, vectors, data, held_out), _correct(start[1], data.vectors, data, held_out))
                )
                file.unlink(missing_ok=True)
            tuned, checkpoint = tune((tail, head), schedule, validation_set, activations, options, folder, reporter)
        except DivergedError as error:
            verdict = f"fine-tuning came apart ({error}); the frozen backbone's result is written."
            reporter.warn(verdict)
            return replace(frozen, epochs=error.epochs, verdict=verdict)
    result = replace(frozen, epochs=tuned.epochs, checkpoint=checkpoint)
    changed = with_tail(network, tuned.tail)
    unseen = data.rows("validation", "test")
    vectors = compute_bottlenecks(changed, backbone, data.photos, np.arange(len(data.photos)))
    if not correct and len(unseen):
        correct = [(_correct(tuned.head, vectors, data, unseen), _correct(head, data.vectors, data, unseen))]
    tuned_result = replace(
        result,
        graph=graph_of(changed),
        head=tuned.head,
        vectors=vectors,
        chosen=tuned.chosen,
        written="fine-tuned",
        network=changed,
    )
    if not correct:
        verdict = "fine-tuned: no photo outside of training tells whether it is better than the frozen backbone."
        return replace(tuned_result, verdict=verdict)
    return _chosen(tuned_result, result, *(np.concatenate(of) for of in zip(*correct, strict=True)))


def _chosen(tuned: FineTuned, frozen: FineTuned, after: Any, before: Any) -> FineTuned:
    """Return the fine-tuned result if it is significantly better, otherwise the frozen one.

    The returned result includes the comparison and the verdict.

    Args:
        after, before: whether each photo is classified correctly by the fine-tuned and the frozen network, bool
            [photos].
    """
    paired = compare_paired(after, before)
    how = f"cross-fitted in {tuned.options.folds} folds" if tuned.options.folds else "of validation and test"
    comparison = (
        f"fine-tuned {int(after.sum())}, frozen {int(before.sum())} of {len(after)} photos right ({how}): {paired}."
    )
    if paired.gain > 0 and not paired.could_be_chance:
        return replace(
            tuned, paired=paired, verdict=f"{comparison} The fine-tuned one is written (epoch {tuned.chosen})."
        )
    verdict = f"{comparison} The frozen one is written."
    if paired.could_be_chance and not tuned.options.folds:
        verdict += " `fine_tune_folds` 5 compares them on all photos, in 6 times the time."
    return replace(frozen, paired=paired, verdict=verdict)


def _folds(data: TrainingData, options: FineTuning, seed: int) -> list[tuple[Rows, Rows]]:
    """Return, for each fold of the training and validation photos, the row numbers to learn from and those held out.

    The list is empty if `options.folds` is 0.
    """
    if not options.folds:
        return []
    rows = np.sort(data.rows("training", "validation"))
    [folds] = assign_folds(data.photos.take(rows), options.folds, groups=data.groups_of(rows))
    return [(rows[folds.assignment != number], rows[folds.assignment == number]) for number in range(folds.count)]


def _schedule(data: TrainingData, rows: Rows, options: FineTuning, views: Views, seed: int) -> Schedule:
    """Return the schedule for fine-tuning on the photos in some rows."""
    assert options.epochs is not None, "only architectures with defaults have blocks"
    return Schedule(
        photos=list(data.photos.take(rows)),
        classes=data.labeled(rows).classes,
        views=views.names,
        whole=views.whole if options.whole_epochs else (),
        whole_from=options.epochs - options.whole_epochs,
        batch_size=options.batch_size,
        seed=seed,
    )


def _head(training: LabeledVectors, class_count: int, options: HeadOptions) -> Head:
    nobody = LabeledVectors(training.vectors[:0], training.classes[:0])
    return train_head(training, nobody, class_count, options, lambda step, head: None)


def _correct(head: Head, vectors: Vectors, data: TrainingData, rows: Rows) -> Any:
    """Return whether each photo in some rows is classified correctly, bool [rows]."""
    return head.scores(take(vectors, rows)).argmax(axis=1) == data.labeled(rows).classes


def compute_bottlenecks(network: Network, backbone: Backbone, photos: HashedPhotos, wanted: Rows) -> Vectors:
    """Compute the bottlenecks of some photos, float32 [all photos, bottleneck_size]; the rows of other photos are 0."""
    model = ModelFile(backbone.model, write_float_model(network))
    rows = wanted.tolist()
    vectors = np.zeros((len(photos), backbone.architecture.bottleneck_size), np.float32)

    def work(row: int, extractor: Extractor) -> Vector:
        item = photos[row]
        photo = replace(item.photo, sha256=item.digest.hex())
        return extractor(fit(open_photo(photo), backbone.architecture.size))

    for row, vector in run_parallel(rows, partial(Extractor, model), work):
        vectors[row] = vector
    return vectors
