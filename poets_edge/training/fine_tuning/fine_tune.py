"""Fine-tuning of a backbone's last blocks together with a trained head (`train --fine-tune N`).

The result is compared with the frozen backbone on the validation photos, and the better of the two is used.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from poets_edge.core.parallel import run_parallel
from poets_edge.device.paired import Paired, compare_paired
from poets_edge.nets.network import Network
from poets_edge.nets.write_graph import graph_of
from poets_edge.photos.image import fit, open_photo
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
from poets_edge.training.fine_tuning.tuning import DivergedError, Tuned, ValidationSet, tune
from poets_edge.training.fine_tuning.views import Views
from poets_edge.training.head import Head
from poets_edge.training.vectors import Vectors, take

Written = Literal["fine-tuned", "frozen"]


@dataclass(frozen=True)
class FineTuned:
    """Result of fine-tuning, and the network to write.

    Attributes:
        graph: GraphDef of the backbone to write.
        head: head for that backbone.
        vectors: bottlenecks of the validation and test photos from that backbone, in the rows of all photos.
        epochs: results of the epochs; fewer than requested if training diverged.
        chosen: epoch of the weights, from 1; 0 for the frozen backbone.
        written: name of the chosen network, which `graph` and `head` contain.
        paired: comparison with the frozen backbone on the validation photos; None if there is none.
        verdict: sentence with the chosen network and the reason.
        checkpoint: file to remove when all outputs are written, or None.
        views: names of the views of each training photo.
        options: options with the learning rate filled in.
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

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form for the record."""
        return {
            **asdict(self.options),
            "views": self.views,
            "epochs_run": [asdict(epoch) for epoch in self.epochs],
            "chosen_epoch": self.chosen,
            "written": self.written,
            "validation_against_frozen": self.paired.to_json() if self.paired else None,
            "verdict": self.verdict,
        }


def fine_tune(
    data: TrainingData, backbone: Backbone, head: Head, options: FineTuning, views: Views, seed: int, folder: Path,
    reporter: Reporter,
) -> FineTuned:  # fmt: skip
    """Train the last blocks, and compare them with the head on the frozen backbone.

    Args:
        data: photos with bottlenecks of the frozen backbone.
        views: views of the training photos.
        folder: holds activations and the checkpoint.

    Raises:
        UsageError: the backbone is not a chain of blocks, or has fewer.
        OutputError: the disk has too little space for the activations; existing activations are kept.
        PhotoError: a photo has changed since its bottleneck was computed.
        RuntimeMissingError: TensorFlow is not installed.
    """
    options = options.resolved(backbone.architecture)
    assert options.epochs is not None, "only architectures with defaults have blocks"
    network = backbone_network(backbone)
    tail = read_tail(network, options.blocks, backbone.architecture.name)
    training, validation = list(data.named("training")), list(data.named("validation"))
    schedule = Schedule(
        photos=training,
        classes=data.plain("training").classes,
        views=views.names,
        whole=views.whole if options.whole_epochs else (),
        whole_from=options.epochs - options.whole_epochs,
        batch_size=options.batch_size,
        seed=seed,
    )
    validation_set = ValidationSet(validation, data.plain("validation").classes)
    frozen = FineTuned(backbone.read_graph(), head, data.vectors, (), 0, "frozen", None, "", None, views.names, options)
    with open_activations(backbone, network, tail, views, folder, reporter) as activations:
        activations.compute([*schedule.everything(), *validation_set.views], reporter)
        try:
            tuned, checkpoint = tune((tail, head), schedule, validation_set, activations, options, folder, reporter)
        except DivergedError as error:
            verdict = f"fine-tuning came apart ({error}); the frozen backbone's result is written."
            reporter.warn(verdict)
            return replace(frozen, epochs=error.epochs, verdict=verdict)
    return _compared(data, backbone, network, replace(frozen, epochs=tuned.epochs, checkpoint=checkpoint), tuned)


def _compared(data: TrainingData, backbone: Backbone, network: Network, frozen: FineTuned, tuned: Tuned) -> FineTuned:
    changed = with_tail(network, tuned.tail)
    vectors = _bottlenecks(changed, backbone, data)
    validation = data.rows("validation")
    if not len(validation):
        verdict = "fine-tuned: no validation photo tells whether it is better than the frozen backbone."
        return replace(
            frozen, graph=graph_of(changed), head=tuned.head, vectors=vectors, chosen=tuned.chosen,
            written="fine-tuned", verdict=verdict,
        )  # fmt: skip
    classes = data.plain("validation").classes

    def correct(head: Head, of: Vectors) -> Any:
        return head.scores(take(of, validation)).argmax(axis=1) == classes

    before, after = correct(frozen.head, data.vectors), correct(tuned.head, vectors)
    paired = compare_paired(after, before)
    count = len(validation)
    comparison = (
        f"fine-tuned {int(after.sum())}, frozen {int(before.sum())} of {count} validation photos right: {paired}."
    )
    if frozen_is_better(paired):
        return replace(frozen, paired=paired, verdict=f"{comparison} The frozen one is written.")
    return replace(
        frozen, graph=graph_of(changed), head=tuned.head, vectors=vectors, chosen=tuned.chosen, written="fine-tuned",
        paired=paired, verdict=f"{comparison} The fine-tuned one is written (epoch {tuned.chosen}).",
    )  # fmt: skip


def frozen_is_better(paired: Paired) -> bool:
    """Return whether the frozen backbone is better by more than one standard error of the difference.

    The standard error is the square root of the number of photos on which the two disagree (McNemar). Smaller
    differences are not significant, and the fine-tuned network is preferred: `benchmarks/results/fine_tuning.md`.
    """
    return paired.worse - paired.better > math.sqrt(paired.worse + paired.better)


def _bottlenecks(network: Network, backbone: Backbone, data: TrainingData) -> Vectors:
    """Compute the bottlenecks of the validation and test photos, [all photos, bottleneck_size]; other rows are 0."""
    model = ModelFile(backbone.model, write_float_model(network))
    rows = data.rows("validation", "test").tolist()
    vectors = np.zeros(data.vectors.shape, np.float32)

    def work(row: int, extractor: Extractor) -> Vector:
        item = data.photos[row]
        photo = replace(item.photo, sha256=item.digest.hex())
        return extractor(fit(open_photo(photo), backbone.architecture.size))

    for row, vector in run_parallel(rows, partial(Extractor, model), work):
        vectors[row] = vector
    return vectors
