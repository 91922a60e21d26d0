"""TensorBoard curves of fine-tuning: one point per epoch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from poets_edge.reports.events import event_file, remove_event_files
from poets_edge.training.fine_tuning.trainer import Epoch
from poets_edge.training.head import Head

_FOLDERS = ("fine_tuning_train", "fine_tuning_validation")


def write_curves(summaries: Path, epochs: Sequence[Epoch], head: Head) -> None:
    """Write event files with the training and validation curves, and with histograms of the final head.

    Raises:
        OutputError: a file cannot be written.
    """
    with ExitStack() as stack:
        train, validation = (stack.enter_context(event_file(summaries / name)) for name in _FOLDERS)
        for epoch in epochs:
            last = {"head/weights": head.weights, "head/biases": head.biases} if epoch is epochs[-1] else None
            train.add(epoch.epoch, {"accuracy": epoch.train_accuracy, "cross_entropy": epoch.train_cross_entropy}, last)
            if epoch.validation_accuracy is not None and epoch.validation_cross_entropy is not None:
                scalars = {"accuracy": epoch.validation_accuracy, "cross_entropy": epoch.validation_cross_entropy}
                validation.add(epoch.epoch, scalars)


def remove_curves(summaries: Path) -> None:
    """Remove the curves of an earlier run, so that TensorBoard does not show them for a run without fine-tuning."""
    for name in _FOLDERS:
        remove_event_files(summaries / name)
