"""Options of fine-tuning. `benchmarks/results/fine_tuning.md` documents the choice of the defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace

from poets_edge.core.arguments import check_fields
from poets_edge.errors import UsageError
from poets_edge.nets.architecture import Architecture
from poets_edge.training.fine_tuning.tail import check_blocks

_WHOLE_SHARE = 1 / 8


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Options of fine-tuning.

    Attributes:
        blocks: number of final blocks of the backbone to train; 0 for no fine-tuning.
        epochs: number of epochs, which is also the length of the cosine schedule. By default, the number in the
            architecture's `TuningDefaults`.
        batch_size: number of photos per step.
        learning_rate: peak learning rate of AdamW. The rate rises during the first epoch and falls to 0 along a cosine.
            By default, the rate in the architecture's `TuningDefaults`.
        weight_decay: weight decay of AdamW, for kernels only.
        label_smoothing: fraction of the target probability that is spread over all classes.
        averaging: decay per step of the exponential moving average of the weights, which is validated and saved instead
            of the weights.
        folds: number of folds for comparing fine-tuned networks with the frozen backbone on all training and validation
            photos; for each fold, a network is fine-tuned for a third of the epochs. With 0, the networks are compared
            on the validation and test photos only. By default, 2 folds are used if the difference on the validation and
            test photos is not significant.
    """

    blocks: int = 0
    epochs: int | None = None
    batch_size: int = 32
    learning_rate: float | None = None
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    averaging: float = 0.99
    folds: int | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        for name, least in {"blocks": 0, "epochs": 1, "batch_size": 1}.items():
            value = getattr(self, name)
            if value is not None and value < least:
                parameter = {"blocks": "fine_tune", "epochs": "fine_tune_epochs"}.get(name, name)
                raise UsageError(f"`{parameter}` must be {least} or more, not {value}.")
        if self.folds and self.folds < 2:
            raise UsageError(f"`fine_tune_folds` must be 2 or more, or 0, not {self.folds}.")
        if self.learning_rate is not None and not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"`learning_rate` must be above 0, not {self.learning_rate}.")
        for name in ("weight_decay", "label_smoothing", "averaging"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"`{name}` must be from 0 to below 1, not {getattr(self, name)}.")

    @property
    def whole_epochs(self) -> int:
        """Number of final epochs in which the training photos are shown whole, as at inference.

        A network that has learned from crops alone expects objects to be larger than they are in a whole photo (Touvron
        et al., "Fixing the train-test resolution discrepancy", 2019).
        """
        assert self.epochs is not None, "resolve the options first"
        return round(_WHOLE_SHARE * self.epochs)

    def resolved(self, architecture: Architecture) -> FineTuning:
        """Return the options with the defaults of an architecture filled in."""
        if (defaults := architecture.tuning) is None:
            return self
        rate = defaults.learning_rate if self.learning_rate is None else self.learning_rate
        return replace(self, learning_rate=rate, epochs=self.epochs or defaults.epochs)

    def check(self, architecture: Architecture) -> None:
        """Raise UsageError if more blocks are to be fine-tuned than an architecture has."""
        if self.blocks:
            check_blocks(architecture.layers(), self.blocks, architecture.name)
