"""Options of `grid`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from poets_edge.bench.rounds import TimingConfig
from poets_edge.core.arguments import check_fields, check_threads
from poets_edge.core.paths import BOTTLENECKS, MODELS, WORK
from poets_edge.errors import UsageError
from poets_edge.exporting.npu.vela import ACCELERATORS
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import as_architectures
from poets_edge.nets.weights import IMAGENET, default_grid
from poets_edge.photos.address import Location, as_photo_path
from poets_edge.photos.folds import DEFAULT_FOLDS, check_folds
from poets_edge.photos.split import SplitConfig
from poets_edge.sweep.budget import Budget
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.head import HeadOptions
from poets_edge.training.options import TrainOptions


@dataclass(frozen=True, kw_only=True)
class GridOptions:
    """Options of `grid`.

    Attributes:
        image_dir: photo folder, with one folder of photos per class.
        architectures: architectures to train, without their `_quantized` variants.
        output_dir: folder for the results, with a subfolder for each architecture.
        bottleneck_dir: folder for cached bottlenecks, the outputs of the layer before the head.
        model_dir: folder for downloaded weights.
        weights: weights of the backbones; see `TrainOptions`.
        head, recursive, rehash, exclude, cluster, insecure_cluster: options passed to `train`; see `TrainOptions`.
        percentages: sizes of the test and validation sets, in percent of the photos.
        calibration_count: number of training photos for calibrating the int8 quantization.
        folds: number of cross-validation folds for evaluating every model on all photos; 0 to use the test set.
        group_by: which photos stay together in splits and folds, as for `train`.
        threads: number of CPU threads for each inference.
        timing: duration of the latency measurements, and number of rounds.
        budget: limits that the chosen model must satisfy.
        fine_tuning: options for training the final blocks of the backbone; by default only the head is trained.
        strangers: folder of photos that belong to no class, with which the unknown-photo detector of each model is
            tested; None if there are none.
        ship: whether to copy the chosen model and its labels to the subfolder `ship` of the output folder.
        on: ssh host name of a device on which latencies are measured; empty to measure them on this machine.
        remote_dir: folder on the device in which the program is installed; by default under the user's cache folder.
        latency: result files that `benchmark` wrote on a device; if given, no latencies are measured.
        target: NPU for which Vela, Arm's compiler, estimates latencies, such as "ethos-u55-128"; empty to measure
            latencies instead.
    """

    image_dir: Location
    architectures: tuple[Architecture, ...] = field(default_factory=default_grid)
    output_dir: Path = WORK / "grid"
    bottleneck_dir: Path = BOTTLENECKS
    model_dir: Path = MODELS
    weights: str = IMAGENET
    percentages: SplitConfig = SplitConfig()
    head: HeadOptions = HeadOptions()
    fine_tuning: FineTuning = FineTuning()
    calibration_count: int = 100
    recursive: bool = False
    rehash: bool = False
    exclude: Path | None = None
    folds: int = DEFAULT_FOLDS
    group_by: str = ""
    threads: int = 1
    timing: TimingConfig = TimingConfig(seconds=1.0, runs=30, rounds=3)
    budget: Budget = Budget()
    strangers: Path | None = None
    ship: bool = False
    on: str = ""
    remote_dir: str = ""
    latency: tuple[Path, ...] = ()
    target: str = ""
    cluster: str = ""
    insecure_cluster: bool = False

    def __post_init__(self) -> None:
        check_fields(self, image_dir=as_photo_path, architectures=as_architectures)
        check_threads(self.threads)
        if bool(self.on) + bool(self.latency) + bool(self.target) > 1:
            raise UsageError("`on`, `latency` and `target` each select a source of latencies; give one.")
        if self.target and self.target not in ACCELERATORS:
            raise UsageError(f"unknown `target` {self.target!r}. There are {', '.join(ACCELERATORS)}.")
        if self.ship and (self.target or self.budget.board):
            raise UsageError("`ship` copies int8 models, and this device takes full-int8 ones: leave it out.")
        if self.calibration_count < 1:
            raise UsageError(f"`calibration_count` must be 1 or more, not {self.calibration_count}.")
        if not self.percentages.testing:
            raise UsageError("`testing`=0 leaves no photo to compare the architectures on.")
        check_folds(self.folds)
        if not self.architectures:
            raise UsageError("`architectures` must name at least one architecture.")
        for architecture in self.architectures:
            self.fine_tuning.check(architecture)
        # TrainOptions validates its fields, for example that no output is inside the photo folder.
        options = self.train_options(self.architectures[0])
        replace(options, strangers=self.strangers, cluster=self.cluster, insecure_cluster=self.insecure_cluster)

    @property
    def uses_folds(self) -> bool:
        """Whether models are evaluated by cross-validation instead of on the test set.

        It is False with fine-tuning: the fine-tuned blocks are trained on all training photos, so only the test photos
        are unseen.
        """
        return self.folds > 0 and not self.fine_tuning.blocks

    def folder(self, architecture: Architecture) -> Path:
        """Return the output folder of an architecture."""
        return self.output_dir / architecture.name

    def train_options(self, architecture: Architecture) -> TrainOptions:
        """Return the options for training one architecture of the grid."""
        folder = self.folder(architecture)
        return TrainOptions(
            image_dir=self.image_dir,
            architecture=architecture,
            output_graph=folder / "retrained_graph.pb",
            output_labels=folder / "retrained_labels.txt",
            bottleneck_dir=self.bottleneck_dir,
            model_dir=self.model_dir,
            weights=self.weights,
            summaries_dir=folder / "training_summaries",
            percentages=self.percentages,
            head=self.head,
            fine_tuning=self.fine_tuning,
            recursive=self.recursive,
            exclude=self.exclude,
            group_by=self.group_by,
            with_report=False,
            folds=0,  # `grid` cross-validates both quantizations after training
            runs_dir=None,
        )
