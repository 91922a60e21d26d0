"""Options of fine-tuning. `benchmarks/results/fine_tuning.md` documents the choice of the defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace

from poets_edge.core.arguments import check_fields
from poets_edge.errors import UsageError
from poets_edge.nets.architecture import Architecture

_WHOLE_SHARE = 1 / 8
_MOBILENET_BLOCKS = 13
"""Number of blocks of a MobileNet V1 (Howard et al., "MobileNets", 2017, table 1)."""


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Options of fine-tuning.

    Attributes:
        blocks: number of last blocks to train; 0 for none.
        epochs: number of epochs, which is also the length of the cosine schedule.
        batch_size: photos per step.
        learning_rate: highest learning rate of AdamW: it rises during the first epoch and falls to 0 along a cosine. By
            default 2.5e-4 over the width of the network: 5e-4 at 0.50, 1e-3 at 0.25 (Yang and Hu, "Tensor Programs V",
            2021: Adam's rate is inverse to the width).
        weight_decay: weight decay of AdamW, for kernels only.
        label_smoothing: fraction of the target probability that is spread over all classes.
        averaging: decay per step of the moving average of the weights, which is validated and saved.
    """

    blocks: int = 0
    epochs: int = 60
    batch_size: int = 32
    learning_rate: float | None = None
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    averaging: float = 0.99

    def __post_init__(self) -> None:
        check_fields(self)
        for name, least in {"blocks": 0, "epochs": 1, "batch_size": 1}.items():
            if getattr(self, name) < least:
                parameter = {"blocks": "fine_tune", "epochs": "fine_tune_epochs"}.get(name, name)
                raise UsageError(f"`{parameter}` must be {least} or more, not {getattr(self, name)}.")
        if self.learning_rate is not None and not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"`learning_rate` must be above 0, not {self.learning_rate}.")
        for name in ("weight_decay", "label_smoothing", "averaging"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"`{name}` must be from 0 to below 1, not {getattr(self, name)}.")

    @property
    def whole_epochs(self) -> int:
        """Number of final epochs on whole photos, like the photos at inference.

        A network that has learned from crops alone expects objects to be larger than they are in a whole photo (Touvron
        et al., "Fixing the train-test resolution discrepancy", 2019).
        """
        return round(_WHOLE_SHARE * self.epochs)

    def resolved(self, architecture: Architecture) -> FineTuning:
        """Return the options with the default learning rate of an architecture filled in."""
        if self.learning_rate is not None or architecture.tuning is None:
            return self
        return replace(self, learning_rate=architecture.tuning.learning_rate)

    def check(self, architecture: Architecture) -> None:
        """Raise UsageError if an architecture does not have that many blocks."""
        if self.blocks and architecture.tuning is None:
            raise UsageError(
                f"`fine_tune`: {architecture.name} is no chain of depthwise and pointwise convolutions, as MobileNets"
                " are, so its last blocks cannot be trained. Take a MobileNet, or leave `fine_tune` at 0."
            )
        if self.blocks > _MOBILENET_BLOCKS:
            raise UsageError(
                f"`fine_tune` must be {_MOBILENET_BLOCKS} or less, for {architecture.name} has so many blocks;"
                f" not {self.blocks}."
            )
