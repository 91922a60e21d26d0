"""Train the head of a run; meanwhile, write its accuracies for TensorBoard, and intermediate graphs if requested."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from poets_edge.core.files import write_bytes
from poets_edge.nets.graphdef import serialize, with_labels
from poets_edge.nets.tensorboard_graph import training_picture
from poets_edge.progress import Reporter
from poets_edge.reports.events import event_file
from poets_edge.training.head import Head, LabeledVectors, Step, train_head
from poets_edge.training.messages import EvaluatedHead, better_step, step_line
from poets_edge.training.options import TrainOptions

_EVALUATIONS_PER_HISTOGRAM = 8
"""Number of evaluations from one histogram to the next. By default, a run has 401 evaluations, and TensorBoard shows at
most 50 histograms per tag."""


def train_monitored_head(
    options: TrainOptions,
    training: LabeledVectors,
    validation: LabeledVectors,
    labels: Sequence[str],
    graph_of: Callable[[Head], Any],
    reporter: Reporter,
) -> tuple[Head, list[Step], str | None]:
    """Train the head, and write TensorBoard event files and intermediate graphs as the options request.

    Args:
        graph_of: function that returns the graph for a head.

    Returns:
        The head; the results of its evaluations during training; and a message if the head was clearly better at an
        earlier step, else None.
    """
    steps: list[Step] = []
    evaluated: list[EvaluatedHead] = []  # the best one and the last one
    lowest = math.inf
    with ExitStack() as stack:
        train_events = stack.enter_context(event_file(options.summaries / "train"))
        validation_events = stack.enter_context(event_file(options.summaries / "validation"))

        def on_step(step: Step, head: Head) -> None:
            nonlocal lowest
            steps.append(step)
            if step.validation_cross_entropy is not None:
                best = evaluated[:1]
                if step.validation_cross_entropy < lowest:
                    lowest, best = step.validation_cross_entropy, [EvaluatedHead(step.step, head)]
                evaluated[:] = [*best, EvaluatedHead(step.step, head)]
            reporter.status(step_line(step))
            histograms = {"head/weights": head.weights, "head/biases": head.biases}
            if (len(steps) - 1) % _EVALUATIONS_PER_HISTOGRAM and step.step + 1 < options.head.steps:
                histograms = {}
            scalars = {"accuracy": step.train_accuracy, "cross_entropy": step.train_cross_entropy}
            train_events.add(step.step, scalars, histograms)
            if step.validation_accuracy is not None and step.validation_cross_entropy is not None:
                scalars = {
                    "accuracy": step.validation_accuracy,
                    "cross_entropy": step.validation_cross_entropy,
                }
                validation_events.add(step.step, scalars)

        def on_update(updates: int, head: Head) -> None:
            every = options.intermediate_store_frequency
            if every and updates % every == 0:
                path = options.intermediate_output_graphs_dir / f"intermediate_{updates}.pb"
                write_bytes(path, serialize(with_labels(graph_of(head), labels)))

        head = train_head(training, validation, len(labels), options.head, on_step, on_update)
        train_events.add_graph(training_picture(graph_of(head)))
    if len(evaluated) < 2:
        return head, steps, None
    best, last = evaluated
    return head, steps, better_step(best, last, validation, early_stop=options.head.early_stop)
