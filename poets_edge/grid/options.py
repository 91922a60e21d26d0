"""Everything `grid` can be told, checked before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poets_edge.bench.measurement import Settings
from poets_edge.core.paths import BOTTLENECKS, MODELS, WORK
from poets_edge.errors import UsageError
from poets_edge.grid.points import Budget
from poets_edge.nets.architectures import MOBILENETS, Architecture
from poets_edge.photos.folds import DEFAULT_FOLDS, check_folds
from poets_edge.photos.split import Percentages
from poets_edge.train.fine_tuning.options import FineTuning
from poets_edge.train.head import HeadOptions
from poets_edge.train.options import TrainOptions


@dataclass(frozen=True, kw_only=True)
class GridOptions:
    """Options of `grid`.

    Attributes:
        image_dir: a folder with one folder of photos a class.
        output_dir: gets a folder for each architecture, and the results.
        bottleneck_dir, model_dir, rehash, cluster, insecure_cluster: as `train`'s, and the first two shared with it.
        folds: parts of the photos for cross-validation, which judges every point on all photos; 0 judges on the test
            photos.
        threads: CPU threads of an inference whose latency is measured.
        settings: how long to measure each model.
        budget: decides which point to ship.
        fine_tuning: whether the last blocks of each are trained too, and how.
        ship: copy that point's files to `ship` in the output folder.
        on: a device that ssh can log in to, whose times decide in place of this machine's.
        remote_dir: folder for the program there; by default under the user's cache folder.
        latency: files that `benchmark` wrote on a device, whose times decide; nothing is measured.
    """

    image_dir: Path
    architectures: tuple[Architecture, ...] = MOBILENETS
    output_dir: Path = WORK / "grid"
    bottleneck_dir: Path = BOTTLENECKS
    model_dir: Path = MODELS
    percentages: Percentages = Percentages()
    head: HeadOptions = HeadOptions()
    fine_tuning: FineTuning = FineTuning()
    calibration_count: int = 100
    recursive: bool = False
    rehash: bool = False
    folds: int = DEFAULT_FOLDS
    threads: int = 1
    settings: Settings = Settings(seconds=1.0, runs=30, rounds=3)
    budget: Budget = Budget()
    ship: bool = False
    on: str = ""
    remote_dir: str = ""
    latency: tuple[Path, ...] = ()
    cluster: str = ""
    insecure_cluster: bool = False

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise UsageError(f"`threads` must be 1 or more, not {self.threads}.")
        if self.on and self.latency:
            raise UsageError("`on` and `latency` both say whose times decide; give one.")
        if self.calibration_count < 1:
            raise UsageError(f"`calibration_count` must be 1 or more, not {self.calibration_count}.")
        if not self.percentages.testing:
            raise UsageError("`testing`=0 leaves no photo to compare the architectures on.")
        check_folds(self.folds)
        for architecture in self.architectures:
            self.fine_tuning.check(architecture)
        # For its checks: that no output lands among the photos.
        TrainOptions(
            image_dir=self.image_dir,
            output_graph=self.output_dir / "retrained_graph.pb",
            bottleneck_dir=self.bottleneck_dir,
            model_dir=self.model_dir,
            summaries_dir=self.output_dir,
            cluster=self.cluster,
            insecure_cluster=self.insecure_cluster,
        )

    @property
    def judged_by_folds(self) -> bool:
        """Whether every photo judges the points. What was fine-tuned has learned from all training photos, so the test
        set alone judges it, and for comparison whatever stands beside it."""
        return self.folds > 0 and not self.fine_tuning.blocks

    def folder(self, architecture: Architecture) -> Path:
        """Where an architecture's files go."""
        return self.output_dir / architecture.name
