"""`poets-edge train`: every flag of `retrain.py`, under its own name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from poets_edge.architectures import DEFAULT_ARCHITECTURE, architecture
from poets_edge.cli.terminal import (
    FILE,
    Terminal,
    accuracy_text,
    json_option,
    option,
    print_json,
    quiet_option,
)
from poets_edge.photos.split import Percentages
from poets_edge.training.distort import Distortions
from poets_edge.training.head import HeadOptions
from poets_edge.training.options import TrainOptions

_DEFAULT = TrainOptions(Path("photos"))
_HEAD = HeadOptions()
_SPLIT = Percentages()
_DISTORTIONS = Distortions()


@click.command("train")
@option("--image_dir", type=FILE, required=True, help="Folder with one folder of photos for each class.")
@option(
    "--architecture",
    default=DEFAULT_ARCHITECTURE,
    help="mobilenet_<0.25|0.50|0.75|1.0>_<128|160|192|224>, with _quantized behind it for int8, or inception_v3.",
)
@option(
    "--weights",
    default=_DEFAULT.weights,
    metavar="imagenet|embedded|FILE",
    help="What the backbone knows: Google's weights (fetched once), those that come with poets_edge (no network,"
    " mobilenet_0.25_128 only, less accurate), or a .h5, .npz, .tgz or .pb file.",
)
@option("--output_graph", type=FILE, default=_DEFAULT.output_graph, help="Where the trained graph goes.")
@option("--output_labels", type=FILE, default=_DEFAULT.output_labels, help="Where its labels go.")
@option(
    "--bottleneck_dir",
    type=FILE,
    default=_DEFAULT.bottleneck_dir,
    help="Where computed bottlenecks are kept.",
)
@option("--model_dir", type=FILE, default=_DEFAULT.model_dir, help="Where weights files are looked for first.")
@option(
    "--summaries_dir",
    type=FILE,
    show_default="tf_files/training_summaries/<architecture>",
    help="Where TensorBoard's files go.",
)
@option("--how_many_training_steps", type=int, default=_HEAD.steps, help="Batches to train on.")
@option("--learning_rate", type=float, default=_HEAD.learning_rate, help="Step size of gradient descent.")
@option(
    "--testing_percentage",
    type=int,
    default=_SPLIT.testing,
    help="Share of the photos that judges the result.",
)
@option(
    "--validation_percentage",
    type=int,
    default=_SPLIT.validation,
    help="Share of the photos that watches training.",
)
@option("--eval_step_interval", type=int, default=_HEAD.eval_step_interval, help="Steps between two evaluations.")
@option(
    "--train_batch_size",
    type=int,
    default=_HEAD.train_batch_size,
    help="Photos in a training batch; each class is drawn equally often.",
)
@option(
    "--validation_batch_size",
    type=int,
    default=_HEAD.validation_batch_size,
    help="Photos in a validation batch; -1 for all.",
)
@option(
    "--test_batch_size",
    type=int,
    default=_DEFAULT.test_batch_size,
    help="Photos in the final test; -1 for all.",
)
@option(
    "--folds",
    type=int,
    default=_DEFAULT.folds,
    help="Also judge every photo, by heads that learned from the other parts of so many; 0 for none.",
)
@option("--print_misclassified_test_images", is_flag=True, help="List the test photos that were answered wrongly.")
@option("--final_tensor_name", default=_DEFAULT.final_tensor_name, help="Name of the graph's output.")
@option(
    "--intermediate_store_frequency",
    type=int,
    default=0,
    help="Also write the graph every so many steps; 0 never.",
)
@option(
    "--intermediate_output_graphs_dir",
    type=FILE,
    default=_DEFAULT.intermediate_output_graphs_dir,
    help="Where those graphs go.",
)
@option("--flip_left_right", is_flag=True, help="Train on photos of which half are mirrored.")
@option("--random_crop", type=int, default=0, help="Percent of margin to cut off at random from training photos.")
@option("--random_scale", type=int, default=0, help="Percent by which to enlarge training photos at random.")
@option("--random_brightness", type=int, default=0, help="Percent by which to lighten or darken training photos.")
@option(
    "--distorted_variants",
    type=int,
    default=_DISTORTIONS.variants,
    help="Distorted copies of each photo, with the four above.",
)
@option("--recursive", is_flag=True, help="Also take photos from folders inside a class folder.")
@option("--strict", is_flag=True, help="Stop at a photo that cannot be read, instead of leaving it out.")
@option("--seed", type=int, default=_HEAD.seed, help="Same seed, same result.")
@json_option
@quiet_option
def command(image_dir: Path, as_json: bool, quiet: bool, print_misclassified_test_images: bool, **flags: Any) -> None:
    """Retrain the last layer of a MobileNet on a folder of photos.

    Each folder in --image_dir is a class and gives its label. The photos are divided into training, validation and
    test sets by their names, so a photo never changes its set. What the network sees in each photo (its bottleneck)
    is computed once and kept; a second run takes a second.

    \b
    Example:
      poets-edge train --image_dir flower_photos
      poets-edge export --quantize
      poets-edge label --graph tf_files/retrained_graph_int8.tflite photo.jpg
    """
    from poets_edge.training.train import train

    options = TrainOptions(
        image_dir,
        architecture(flags.pop("architecture")),
        percentages=Percentages(flags.pop("testing_percentage"), flags.pop("validation_percentage")),
        head=HeadOptions(
            flags.pop("how_many_training_steps"),
            *(
                flags.pop(name)
                for name in (
                    "learning_rate",
                    "train_batch_size",
                    "validation_batch_size",
                    "eval_step_interval",
                    "seed",
                )
            ),
        ),
        distortions=Distortions(
            *(
                flags.pop(name)
                for name in (
                    "flip_left_right",
                    "random_crop",
                    "random_scale",
                    "random_brightness",
                    "distorted_variants",
                )
            )
        ),
        **flags,
    )
    result = train(options, Terminal(quiet))
    if as_json:
        print_json(
            {
                "graph": str(result.graph),
                "labels_file": str(result.labels_file),
                "record": str(result.record),
                "labels": list(result.labels),
                "classes": result.table,
                "unreadable": list(result.unreadable),
                "validation": result.validation.as_dict(),
                "test": result.test.as_dict(),
                "cross_validation": result.cross_validation.as_dict() if result.cross_validation else None,
                "misclassified": [
                    {"photo": name, "answer": answer, "score": score} for name, answer, score in result.misclassified
                ],
            }
        )
        return
    click.echo(f"test accuracy {accuracy_text(result.test)}")
    if result.cross_validation:
        click.echo(f"cross-validated accuracy {accuracy_text(result.cross_validation)}")
    if print_misclassified_test_images:
        for name, answer, score in result.misclassified:
            click.echo(f"  {name}  answered {answer} (score = {score:.5f})")
    click.echo(f"graph   {result.graph}\nlabels  {result.labels_file}\nrecord  {result.record}")
