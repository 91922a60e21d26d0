"""Options that `train` accepts for compatibility with `retrain.py`, a script in the codelab "TensorFlow for Poets".

The help lists them with `--help-all` only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from poets_edge.cli.command import CODELAB, option
from poets_edge.cli.options import FILE
from poets_edge.training.options import TrainOptions

_DEFAULT = TrainOptions(image_dir=Path("photos"))
_HEAD = _DEFAULT.head

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OPTIONS = (
    option(
        "--output-graph",
        type=FILE,
        metavar="FILE",
        default=_DEFAULT.output_graph,
        section=CODELAB,
        help="The trained graph.",
    ),
    option(
        "--output-labels",
        type=FILE,
        metavar="FILE",
        default=_DEFAULT.output_labels,
        section=CODELAB,
        help="Its labels.",
    ),
    option(
        "--summaries-dir",
        type=FILE,
        metavar="DIR",
        section=CODELAB,
        show_default="tf_files/training_summaries/ARCHITECTURE",
        help="Folder for TensorBoard's files.",
    ),
    option(
        "--eval-step-interval",
        type=int,
        default=_HEAD.eval_step_interval,
        section=CODELAB,
        help="Number of steps between two evaluations.",
    ),
    option(
        "--train-batch-size",
        type=int,
        default=_HEAD.train_batch_size,
        section=CODELAB,
        help="Photos in a training batch; all classes are drawn equally often.",
    ),
    option(
        "--validation-batch-size",
        type=int,
        default=_HEAD.validation_batch_size,
        section=CODELAB,
        help="Photos in a validation batch; -1 for all.",
    ),
    option(
        "--test-batch-size",
        type=int,
        default=_DEFAULT.test_batch_size,
        section=CODELAB,
        help="Photos in the final test; -1 for all.",
    ),
    option(
        "--print-misclassified-test-images",
        is_flag=True,
        section=CODELAB,
        help="List the misclassified test photos.",
    ),
    option(
        "--final-tensor-name", default=_DEFAULT.final_tensor_name, section=CODELAB, help="Name of the graph's output."
    ),
    option(
        "--intermediate-store-frequency",
        type=int,
        default=0,
        section=CODELAB,
        help="Number of steps between two intermediate graphs; 0 for none.",
    ),
    option(
        "--intermediate-output-graphs-dir",
        type=FILE,
        metavar="DIR",
        default=_DEFAULT.intermediate_output_graphs_dir,
        section=CODELAB,
        help="Folder for intermediate graphs.",
    ),
)


def retrain_options(function: _Function) -> _Function:
    """Decorator that adds the options of `retrain.py`, a script in the codelab "TensorFlow for Poets", to a command."""
    for add_option in reversed(_OPTIONS):
        function = add_option(function)
    return function
