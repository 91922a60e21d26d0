"""Options of the `audit` command and function."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from poets_edge.core.arguments import check_fields
from poets_edge.core.paths import BOTTLENECKS, MODELS, WORK
from poets_edge.errors import UsageError
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import DEFAULT_ARCHITECTURE, architecture, as_architecture
from poets_edge.nets.weights import IMAGENET
from poets_edge.photos.address import Location, as_photo_path
from poets_edge.photos.folds import DEFAULT_FOLDS
from poets_edge.photos.groups import check_group_by
from poets_edge.photos.split import SplitConfig
from poets_edge.photos.tree import is_scanned
from poets_edge.training.head import HeadOptions


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """Options of `audit`.

    Attributes:
        image_dir: folder with one folder of photos per class.
        architecture: network that computes the bottlenecks of the photos.
        report: path of the HTML report; None for no report.
        weights, model_dir, bottleneck_dir, percentages, head, recursive, rehash: as for `train`.
        folds: number of cross-validation folds, at least 2.
        group_by: which photos stay together in splits and folds, as for `train`.
        target: required accuracy of the predictions whose score reaches the suggested threshold, 0 to 1.
        orientation: whether to search for rotated photos, which requires three more inferences per photo in the first
            run.
    """

    image_dir: Location
    architecture: Architecture = field(default_factory=lambda: architecture(DEFAULT_ARCHITECTURE))
    report: Path | None = WORK / "audit.html"
    weights: str = IMAGENET
    model_dir: Path = MODELS
    bottleneck_dir: Path = BOTTLENECKS
    percentages: SplitConfig = SplitConfig()
    head: HeadOptions = HeadOptions()
    folds: int = DEFAULT_FOLDS
    group_by: str = ""
    target: float = 0.95
    recursive: bool = False
    rehash: bool = False
    orientation: bool = False

    def __post_init__(self) -> None:
        check_fields(self, image_dir=as_photo_path, architecture=as_architecture)
        if self.folds < 2:
            raise UsageError(f"folds must be 2 or more, not {self.folds}.")
        if not 0 < self.target < 1:
            raise UsageError(f"target must lie between 0 and 1, not {self.target:g}.")
        check_group_by(self.group_by)
        photos = Path(str(self.image_dir.resolve()))
        outputs = {"report": self.report, "bottleneck_dir": self.bottleneck_dir, "model_dir": self.model_dir}
        for name, path in outputs.items():
            if path is not None and is_scanned(path, photos):
                raise UsageError(
                    f"{name} {path} lies inside the photo folder {self.image_dir}, where it would become a class."
                    " Give a place outside."
                )
