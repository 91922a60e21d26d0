"""Options of `train`, checked before any work is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from poets_edge.core.arguments import check_fields
from poets_edge.core.paths import BOTTLENECKS, GRAPH, LABELS, MODELS, RUNS, WORK
from poets_edge.errors import UsageError
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import DEFAULT_ARCHITECTURE, architecture, as_architecture
from poets_edge.nets.weights import IMAGENET
from poets_edge.photos.address import Location, as_photo_path
from poets_edge.photos.folds import DEFAULT_FOLDS, check_folds
from poets_edge.photos.groups import check_group_by
from poets_edge.photos.split import SplitConfig
from poets_edge.photos.tree import is_scanned
from poets_edge.training.cluster_address import check_cluster
from poets_edge.training.distort import Distortions
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.head import HeadOptions

_MAX_UNKNOWN_RATE = 50.0


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of `train`. Names, defaults and output paths are those of `retrain.py` in "TensorFlow for Poets".

    Attributes:
        image_dir: a folder with one folder of photos per class, an archive of such a folder, a pattern for WebDataset
            shards, or an address on a server.
        recursive: include photos in folders inside a class folder.
        rehash: read every photo, including those whose size and times have not changed (see `photos.digests`).
        strict: stop at a photo that cannot be read, instead of skipping it.
        intermediate_store_frequency: number of steps between two intermediate graphs; 0 for none.
        test_batch_size: number of photos in the final evaluation; -1 for the whole test split.
        folds: number of cross-validation folds; 0 for no cross-validation.
        group_by: which photos stay together in splits and folds: "parent", a CSV file or a regular expression (see
            `poets_edge.photos.groups.stated_groups`); empty to find copies, bursts and sequences.
        weights: weights of the backbone: "imagenet", "embedded", or the path of a weights file.
        with_report: write a report page next to the graph.
        calibrated: apply temperature scaling, so that nine of ten predictions with a score of 0.9 are correct.
        unknown_rate: percentage of the known photos that the unknown-photo detector may reject; 0 for a model without a
            detector.
        background: folder of photos that belong to no class, such as frames of the empty scene, which the detector
            learns to distinguish from the training photos; None for no background photos.
        strangers: folder of other photos that belong to no class. The result includes how many of them the detector
            rejects; nothing is learned from them. None for no such photos.
        cluster: `local:N` to compute bottlenecks in N processes on this machine, or the address of a Dask scheduler; by
            default they are computed in threads of this process.
        insecure_cluster: allow a `cluster` on another machine over an unencrypted connection.
        exclude: file that lists photos to exclude or to move to another class, as saved by the audit page.
        runs_dir: folder in which a summary of the run is saved for `list_runs`; None for no summary.
        summaries_dir: folder for TensorBoard's event files; by default `tf_files/training_summaries/<architecture>`.
        fine_tuning: options of fine-tuning.
    """

    image_dir: Location
    architecture: Architecture = field(default_factory=lambda: architecture(DEFAULT_ARCHITECTURE))
    output_graph: Path = GRAPH
    output_labels: Path = LABELS
    bottleneck_dir: Path = BOTTLENECKS
    model_dir: Path = MODELS
    weights: str = IMAGENET
    summaries_dir: Path | None = None
    intermediate_output_graphs_dir: Path = WORK / "intermediate_graphs"
    intermediate_store_frequency: int = 0
    percentages: SplitConfig = SplitConfig()
    head: HeadOptions = HeadOptions()
    test_batch_size: int = -1
    folds: int = DEFAULT_FOLDS
    group_by: str = ""
    distortions: Distortions = Distortions()
    final_tensor_name: str = "final_result"
    recursive: bool = False
    rehash: bool = False
    strict: bool = False
    exclude: Path | None = None
    calibrated: bool = True
    unknown_rate: float = 5.0
    background: Path | None = None
    strangers: Path | None = None
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
        if not 0 <= self.unknown_rate <= _MAX_UNKNOWN_RATE:
            raise UsageError(
                f"`unknown_rate` is a percentage of the known photos, 0 to {_MAX_UNKNOWN_RATE:g}, not"
                f" {self.unknown_rate:g}; 0 for no detector."
            )
        check_group_by(self.group_by)
        check_cluster(self.cluster, insecure=self.insecure_cluster)
        if not self.final_tensor_name or set(self.final_tensor_name) & set(":^ "):
            raise UsageError(
                f"`final_tensor_name` {self.final_tensor_name!r} is not a node name: no spaces, ':' or '^' are allowed."
            )
        for name, folder in self._outside.items():
            if not self.unknown_rate:
                raise UsageError(f"`{name}` is for the detector of unknown photos, and `unknown_rate` 0 leaves it out.")
            if is_scanned(folder, Path(str(self.image_dir.resolve()))):
                raise UsageError(
                    f"`{name}` {folder} lies inside the photo folder {self.image_dir}, where it is a class. Move it"
                    " outside."
                )
        self.fine_tuning.check(self.architecture)
        self._check_outputs_outside_photos()

    @property
    def summaries(self) -> Path:
        """Folder for TensorBoard's event files."""
        return self.summaries_dir or WORK / "training_summaries" / self.architecture.name

    @property
    def record(self) -> Path:
        """Path of the JSON record of the training run, next to the graph."""
        return self.output_graph.with_suffix(".json")

    @property
    def report(self) -> Path:
        """Path of the report page, next to the graph."""
        return self.output_graph.with_suffix(".html")

    @property
    def _outside(self) -> dict[str, Path]:
        """Folders of photos that belong to no class, by the name of the option that sets them."""
        folders = {"background": self.background, "strangers": self.strangers}
        return {name: folder for name, folder in folders.items() if folder is not None}

    def _check_outputs_outside_photos(self) -> None:
        photos = Path(str(self.image_dir.resolve()))
        for name, path in {
            "output_graph": self.output_graph,
            "output_labels": self.output_labels,
            "bottleneck_dir": self.bottleneck_dir,
            "model_dir": self.model_dir,
            "summaries_dir": self.summaries,
            "runs_dir": self.runs_dir or self.summaries,
            "intermediate_output_graphs_dir": self.intermediate_output_graphs_dir,
        }.items():
            if is_scanned(path, photos):
                raise UsageError(
                    f"`{name}` {path} lies inside the photo folder {self.image_dir}, where it would become a class."
                    " Give a place outside."
                )


def _at_least(value: int, least: int, name: str, more: str = "") -> None:
    if value < least:
        raise UsageError(f"`{name}` must be {least} or more{more}, not {value}.")
