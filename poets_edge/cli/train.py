"""`poets-edge train`: every flag of `retrain.py`, under its own name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from poets_edge.cli.options import (
    FILE,
    PHOTOS,
    bottleneck_dir_option,
    cluster_options,
    image_dir_option,
    model_dir_option,
    one_folder,
    option,
    quiet_option,
    recursive_option,
    rehash_option,
    result_options,
    subcommand,
)
from poets_edge.cli.terminal import Terminal, accuracy_text, give, open_page, table
from poets_edge.core.paths import GRAPH
from poets_edge.core.wording import percent
from poets_edge.nets.architectures import DEFAULT_ARCHITECTURE
from poets_edge.nets.architectures import architecture as find_architecture
from poets_edge.photos.split import Percentages
from poets_edge.train.distort import Distortions
from poets_edge.train.fine_tuning.options import FineTuning
from poets_edge.train.head import HeadOptions
from poets_edge.train.options import TrainOptions

if TYPE_CHECKING:
    from poets_edge.train.results import TrainResult

_DEFAULT = TrainOptions(image_dir=Path("photos"))
_HEAD = _DEFAULT.head
_SPLIT = _DEFAULT.percentages


@subcommand("train")
@click.argument("folders", metavar="[FOLDER]", nargs=-1, type=PHOTOS)
@image_dir_option
@option(
    "--architecture",
    default=DEFAULT_ARCHITECTURE,
    help="mobilenet_<0.25|0.50|0.75|1.0>_<128|160|192|224>, with _quantized appended for int8, or inception_v3.",
)
@option(
    "--weights",
    default=_DEFAULT.weights,
    metavar="imagenet|embedded|FILE",
    help="The backbone's weights: Google's (fetched once), those that come with poets_edge (no network,"
    " mobilenet_0.25_128 only, less accurate), or a .h5, .npz, .tgz or .pb file.",
)
@option("--output_graph", type=FILE, default=_DEFAULT.output_graph, help="Where the trained graph goes.")
@option("--output_labels", type=FILE, default=_DEFAULT.output_labels, help="Where its labels go.")
@bottleneck_dir_option
@model_dir_option
@option(
    "--summaries_dir",
    type=FILE,
    show_default="tf_files/training_summaries/<architecture>",
    help="Where TensorBoard's files go.",
)
@option("--how_many_training_steps", "steps", type=int, default=_HEAD.steps, help="Batches to train on.")
@option("--learning_rate", type=float, default=_HEAD.learning_rate, help="Step size of gradient descent.")
@option(
    "--testing_percentage",
    "testing",
    type=int,
    default=_SPLIT.testing,
    help="Percent of the photos that judge the result.",
)
@option(
    "--validation_percentage",
    "validation",
    type=int,
    default=_SPLIT.validation,
    help="Percent of the photos that monitor training.",
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
    help="Also judge every photo, by heads trained on the other parts of this many; 0 for none.",
)
@option("--print_misclassified_test_images", is_flag=True, help="List the test photos that were answered wrongly.")
@option("--final_tensor_name", default=_DEFAULT.final_tensor_name, help="Name of the graph's output.")
@option(
    "--intermediate_store_frequency",
    type=int,
    default=0,
    help="Also write the graph each time after this many steps; 0 for never.",
)
@option(
    "--intermediate_output_graphs_dir",
    type=FILE,
    default=_DEFAULT.intermediate_output_graphs_dir,
    help="Where those graphs go.",
)
@option("--flip_left_right", is_flag=True, help="Mirror half of the training photos at random.")
@option("--random_crop", type=int, default=0, help="Percent of the margins to crop from training photos at random.")
@option("--random_scale", type=int, default=0, help="Percent by which to enlarge training photos at random.")
@option(
    "--random_brightness", type=int, default=0, help="Percent by which to brighten or darken training photos at random."
)
@option(
    "--distorted-variants",
    "variants",
    type=int,
    show_default="8, or 16 with --fine-tune",
    help="Distorted copies of each photo, for the four options above.",
)
@option(
    "--early-stop",
    is_flag=True,
    help="Keep the head with the lowest validation cross entropy, not the last one.",
    show_default=False,
)
@option("--runs-dir", type=FILE, default=_DEFAULT.runs_dir, help="Where a note of each run is kept, for runs.")
@option(
    "--fine-tune",
    type=int,
    default=0,
    metavar="N",
    help="Also train the last N blocks of the network, together with its last layer: more accurate, takes minutes."
    " 3 is a good number. Learns from cropped and mirrored copies, unless the four above ask for others.",
)
@option("--fine-tune-epochs", type=int, default=FineTuning.epochs, help="How often each photo is shown in doing so.")
@recursive_option
@rehash_option
@cluster_options
@option("--strict", is_flag=True, help="Stop at a photo that cannot be read, instead of leaving it out.")
@option(
    "--calibrated/--not-calibrated",
    default=_DEFAULT.calibrated,
    help="Calibrate the scores, so that 0.9 is right nine times in ten. Changes no answer.",
)
@option("--open", "opened", is_flag=True, help="Show the page about the run in a browser.", show_default=False)
@option(
    "--exclude",
    type=FILE,
    help="List of photos to leave out or to move to another class, as audit's page saves it.",
)
@option("--seed", type=int, default=_HEAD.seed, help="The same seed gives the same result.")
@result_options
@quiet_option
def command(
    folders: tuple[Path, ...],
    image_dir: Path | None,
    architecture: str,
    weights: str,
    output_graph: Path,
    output_labels: Path,
    bottleneck_dir: Path,
    model_dir: Path,
    summaries_dir: Path | None,
    steps: int,
    learning_rate: float,
    testing: int,
    validation: int,
    eval_step_interval: int,
    train_batch_size: int,
    validation_batch_size: int,
    test_batch_size: int,
    print_misclassified_test_images: bool,
    final_tensor_name: str,
    intermediate_store_frequency: int,
    intermediate_output_graphs_dir: Path,
    flip_left_right: bool,
    random_crop: int,
    random_scale: int,
    random_brightness: int,
    runs_dir: Path,
    variants: int | None,
    fine_tune: int,
    fine_tune_epochs: int,
    folds: int,
    early_stop: bool,
    recursive: bool,
    rehash: bool,
    cluster: str,
    insecure_cluster: bool,
    strict: bool,
    exclude: Path | None,
    calibrated: bool,
    opened: bool,
    seed: int,
    as_json: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """Retrain the last layer of a MobileNet on a folder of photos.

    Each folder in --image_dir is a class and gives its label. The photos are divided into training, validation and
    test sets by their names, so a photo never changes its set. What the network sees in each photo (its bottleneck)
    is computed once and kept; a second run takes a second.

    \b
    Example:
      poets-edge train --image_dir flower_photos
      poets-edge export --quantize
      poets-edge label tf_files/retrained_graph_int8.tflite photo.jpg
    """
    from poets_edge.train.train import train

    options = TrainOptions(
        image_dir=one_folder(folders, image_dir),
        architecture=find_architecture(architecture),
        weights=weights,
        output_graph=output_graph,
        output_labels=output_labels,
        bottleneck_dir=bottleneck_dir,
        model_dir=model_dir,
        summaries_dir=summaries_dir,
        intermediate_output_graphs_dir=intermediate_output_graphs_dir,
        intermediate_store_frequency=intermediate_store_frequency,
        percentages=Percentages(testing=testing, validation=validation),
        head=HeadOptions(
            steps=steps,
            learning_rate=learning_rate,
            train_batch_size=train_batch_size,
            validation_batch_size=validation_batch_size,
            eval_step_interval=eval_step_interval,
            seed=seed,
            early_stop=early_stop,
        ),
        test_batch_size=test_batch_size,
        distortions=Distortions(
            flip_left_right=flip_left_right,
            random_crop=random_crop,
            random_scale=random_scale,
            random_brightness=random_brightness,
            variants=variants,
        ),
        fine_tuning=FineTuning(blocks=fine_tune, epochs=fine_tune_epochs),
        final_tensor_name=final_tensor_name,
        folds=folds,
        recursive=recursive,
        rehash=rehash,
        cluster=cluster,
        insecure_cluster=insecure_cluster,
        runs_dir=runs_dir,
        strict=strict,
        exclude=exclude,
        calibrated=calibrated,
    )
    with Terminal(quiet) as terminal:
        result = train(options, terminal)
    if opened:
        open_page(options.report)
    if give(result.to_json(), as_json=as_json, output=output):
        return
    if result.fine_tuned:
        click.echo(result.fine_tuned.verdict)
    click.echo(_recall(result))
    click.echo(f"validation accuracy {accuracy_text(result.validation)}")
    click.echo(f"test accuracy {accuracy_text(result.test)}")
    if result.cross_validated:
        click.echo(f"cross-validated accuracy {accuracy_text(result.cross_validated)}")
    if print_misclassified_test_images:
        for mistake in result.misclassified:
            click.echo(f"  {mistake.photo.name}  answered {mistake.answer} (score = {mistake.score:.5f})")
    click.echo(
        f"graph   {result.graph}\nlabels  {result.labels_file}\nrecord  {result.record}\nreport  {result.report}"
    )
    named = "" if result.graph == GRAPH else f" {result.graph}"
    click.echo(f"next    poets-edge export{named} --quantize int8")


def _recall(result: TrainResult) -> str:
    """Photos and recall of each class, on the test photos and, where there is one, in cross-validation."""
    judged = {"test recall": result.test}
    if result.cross_validated:
        judged["cross-validated recall"] = result.cross_validated.scored.evaluation(result.labels)
    rows = [
        [label, str(sum(result.table[label].values())), *(percent(judge.recall(label)) for judge in judged.values())]
        for label in result.labels
    ]
    return table([["class", "photos", *judged], *rows])
