"""Everything a training run can be told, checked before anything is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from poets_edge.core.arguments import check_fields
from poets_edge.core.paths import BOTTLENECKS, GRAPH, LABELS, MODELS, RUNS, WORK
from poets_edge.errors import UsageError
from poets_edge.nets.architectures import DEFAULT_ARCHITECTURE, Architecture, architecture, as_architecture
from poets_edge.nets.weights import IMAGENET
from poets_edge.photos.address import as_photo_path
from poets_edge.photos.folds import DEFAULT_FOLDS, check_folds
from poets_edge.photos.split import Percentages
from poets_edge.train.cluster_address import check_cluster
from poets_edge.train.distort import Distortions
from poets_edge.train.fine_tuning.options import FineTuning
from poets_edge.train.head import HeadOptions


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of `train`; names and defaults as `retrain.py`'s flags, with the outputs in the codelab's places.

    Attributes:
        image_dir: a folder with one folder of photos a class; or an archive of one, a pattern of WebDataset shards, or
            an `Address`.
        recursive: also look in folders inside a class folder.
        rehash: read every photo, also those that have not changed since they were read last (see `photos.digests`).
        strict: stop at a photo that cannot be read, instead of leaving it out.
        intermediate_store_frequency: write the graph every so many steps; 0 never.
        test_batch_size: photos that judge the result; -1 all of the test set.
        folds: parts of the photos for cross-validation; 0 for none.
        weights: "imagenet", "embedded", or a weights file.
        with_report: also write the page that shows the run, beside the graph.
        calibrated: divide the head's logits by the temperature that makes a score of 0.9 right nine times in ten.
        cluster: where bottlenecks are computed: `local:N` for N processes here, or a Dask scheduler's address; by
            default the threads of this process.
        insecure_cluster: allow a `cluster` on another machine whose connection is not encrypted.
        exclude: a list of photos to leave out, or to count as another class, as the audit's page saves it.
        runs_dir: where a note of the run is kept, for `list_runs`; None keeps none.
        summaries_dir: by default `tf_files/training_summaries/<architecture>`.
        fine_tuning: whether the last blocks are trained together with the head, and how.
    """

    image_dir: Path
    architecture: Architecture = field(default_factory=lambda: architecture(DEFAULT_ARCHITECTURE))
    output_graph: Path = GRAPH
    output_labels: Path = LABELS
    bottleneck_dir: Path = BOTTLENECKS
    model_dir: Path = MODELS
    weights: str = IMAGENET
    summaries_dir: Path | None = None
    intermediate_output_graphs_dir: Path = WORK / "intermediate_graphs"
    intermediate_store_frequency: int = 0
    percentages: Percentages = Percentages()
    head: HeadOptions = HeadOptions()
    test_batch_size: int = -1
    folds: int = DEFAULT_FOLDS
    distortions: Distortions = Distortions()
    final_tensor_name: str = "final_result"
    recursive: bool = False
    rehash: bool = False
    strict: bool = False
    exclude: Path | None = None
    calibrated: bool = True
    with_report: bool = True
    runs_dir: Path | None = RUNS
    fine_tuning: FineTuning = FineTuning()
    cluster: str = ""
    insecure_cluster: bool = False

    def __post_init__(self) -> None:
        check_fields(self, image_dir=as_photo_path, architecture=as_architecture)
        _at_least(self.intermediate_store_frequency, 0, "intermediate_store_frequency")
        if self.test_batch_size != -1:
            _at_least(self.test_batch_size, 1, "test_batch_size", "; -1 means all")
        check_folds(self.folds)
        check_cluster(self.cluster, insecure=self.insecure_cluster)
        if not self.final_tensor_name or set(self.final_tensor_name) & set(":^ "):
            raise UsageError(
                f"`final_tensor_name` {self.final_tensor_name!r} is no name for a node: no spaces, ':' or '^'."
            )
        self.fine_tuning.check(self.architecture)
        self._check_outputs_outside_photos()

    @property
    def summaries(self) -> Path:
        """Where event files go."""
        return self.summaries_dir or WORK / "training_summaries" / self.architecture.name

    @property
    def record(self) -> Path:
        """The JSON record, beside the graph."""
        return self.output_graph.with_suffix(".json")

    @property
    def report(self) -> Path:
        """The page that shows the run, beside the graph."""
        return self.output_graph.with_suffix(".html")

    def _check_outputs_outside_photos(self) -> None:
        photos = self.image_dir.resolve()
        for name, path in {
            "output_graph": self.output_graph,
            "output_labels": self.output_labels,
            "bottleneck_dir": self.bottleneck_dir,
            "model_dir": self.model_dir,
            "summaries_dir": self.summaries,
            "runs_dir": self.runs_dir or self.summaries,
            "intermediate_output_graphs_dir": self.intermediate_output_graphs_dir,
        }.items():
            if path.resolve().is_relative_to(photos):
                raise UsageError(
                    f"`{name}` {path} lies inside the photo folder {self.image_dir}, where it would become a class."
                    " Give a place outside."
                )


def _at_least(value: int, least: int, name: str, more: str = "") -> None:
    if value < least:
        raise UsageError(f"`{name}` must be {least} or more{more}, not {value}.")
