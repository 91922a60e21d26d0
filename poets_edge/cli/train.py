"""`poets-edge train`: retrain a network on a folder of photos.

The command also accepts the options of `retrain.py`, a script in the codelab "TensorFlow for Poets".
"""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.cli.command import OUTPUT, option, subcommand
from poets_edge.cli.options import (
    FILE,
    NETWORK_SECTION,
    NUMBER,
    PHOTOS_SECTION,
    TRAINING_SECTION,
    Number,
    bottleneck_dir_option,
    cluster_options,
    model_dir_option,
    open_option,
    quiet_option,
    result_options,
)
from poets_edge.cli.photo_options import (
    exclude_option,
    folder_argument,
    group_by_option,
    image_dir_option,
    one_folder,
    percentage_options,
    recursive_option,
    rehash_option,
    zip_encoding_option,
)
from poets_edge.cli.retrain_options import retrain_options
from poets_edge.cli.terminal import Terminal, open_page, output_json
from poets_edge.cli.train_results import print_result
from poets_edge.errors import UsageError
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import DEFAULT_ARCHITECTURE, RECOMMENDED
from poets_edge.nets.architectures import architecture as find_architecture
from poets_edge.photos.split import SplitConfig
from poets_edge.training.distort import DEFAULT_VARIANTS, Distortions
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.head import HeadOptions
from poets_edge.training.options import TrainOptions

_DEFAULT = TrainOptions(image_dir=Path("photos"))
_HEAD = _DEFAULT.head
_SPLIT = _DEFAULT.percentages


@subcommand(
    "train",
    """
    poets-edge train flower_photos
    poets-edge export --quantize
    poets-edge label tf_files/retrained_graph_int8.tflite photo.jpg
    """,
)
@folder_argument
@image_dir_option
@exclude_option
@option(
    "--background",
    type=FILE,
    metavar="DIR",
    section=PHOTOS_SECTION,
    help="Photos that belong to no class: unknown.",
)
@option(
    "--strangers",
    type=FILE,
    metavar="DIR",
    section=PHOTOS_SECTION,
    advanced=True,
    help="Other photos that belong to no class: tell how many are unknown. The model does not learn from them.",
)
@recursive_option
@zip_encoding_option
@rehash_option
@group_by_option
@option("--strict", is_flag=True, section=PHOTOS_SECTION, advanced=True, help="Stop at an unreadable photo.")
@percentage_options(_SPLIT)
@option(
    "--network",
    type=click.Choice(list(RECOMMENDED)),
    metavar="NAME",
    section=NETWORK_SECTION,
    help="Architecture: small, balanced or accurate.",
    show_default=False,
)
@option(
    "--architecture",
    metavar="NAME",
    section=NETWORK_SECTION,
    help="mobilenet_<0.25|0.50|0.75|1.0>_<128|160|192|224>, efficientnet_lite<0_160|0_192|0_224|2_260>"
    " or inception_v3.",
    show_default=DEFAULT_ARCHITECTURE,
)
@option(
    "--weights",
    default=_DEFAULT.weights,
    metavar="NAME|FILE",
    section=NETWORK_SECTION,
    help="imagenet (downloaded), embedded (mobilenet_0.25_128 only), or a file.",
)
@option(
    "--fine-tune",
    type=int,
    default=0,
    show_default=False,
    section=NETWORK_SECTION,
    help="Also train the last N blocks; takes minutes.",
)
@option(
    "--fine-tune-epochs",
    type=int,
    section=NETWORK_SECTION,
    advanced=True,
    help="Epochs of fine-tuning.",
    show_default="60 or 30",
)
@option(
    "--fine-tune-folds",
    type=int,
    section=NETWORK_SECTION,
    advanced=True,
    help="Compare with the frozen network in N folds of the photos.",
    show_default="2 if validation and test photos are too few",
)
@bottleneck_dir_option
@model_dir_option
@cluster_options
@option(
    "--steps",
    type=int,
    default=_HEAD.steps,
    old=("--how-many-training-steps",),
    section=TRAINING_SECTION,
    help="Number of batches.",
)
@option("--learning-rate", type=NUMBER, default=_HEAD.learning_rate, section=TRAINING_SECTION, help="Step size.")
@option("--flip-left-right", is_flag=True, section=TRAINING_SECTION, help="Also train on mirrored copies.")
@option(
    "--random-crop",
    type=int,
    default=0,
    show_default=False,
    metavar="PERCENT",
    section=TRAINING_SECTION,
    help="Also train on copies cropped at random.",
)
@option(
    "--random-scale",
    type=int,
    default=0,
    show_default=False,
    metavar="PERCENT",
    section=TRAINING_SECTION,
    help="Also train on copies enlarged at random.",
)
@option(
    "--random-brightness",
    type=int,
    default=0,
    show_default=False,
    metavar="PERCENT",
    section=TRAINING_SECTION,
    help="Also train on brighter and darker copies.",
)
@option(
    "--distorted-variants",
    "variants",
    type=int,
    section=TRAINING_SECTION,
    show_default=f"{DEFAULT_VARIANTS}; 30 or 12 with --fine-tune",
    help="Number of variants of a photo.",
)
@option("--early-stop", is_flag=True, section=TRAINING_SECTION, help="Keep the step of lowest validation loss.")
@option(
    "--unknown-rate",
    type=Number(0, 50),
    default=_DEFAULT.unknown_rate,
    metavar="PERCENT",
    section=TRAINING_SECTION,
    advanced=True,
    help="Percentage of known photos that may be called unknown; 0 for a model without a detector.",
)
@option("--folds", type=int, default=_DEFAULT.folds, section=TRAINING_SECTION, help="Cross-validation folds, or 0.")
@option(
    "--calibrated/--not-calibrated",
    default=_DEFAULT.calibrated,
    section=TRAINING_SECTION,
    help="Make 90 % of predictions with score 0.9 correct.",
)
@option("--seed", type=int, default=_HEAD.seed, section=TRAINING_SECTION, help="Random seed.")
@open_option("report")
@result_options
@quiet_option
@option(
    "--runs-dir",
    type=FILE,
    metavar="DIR",
    default=_DEFAULT.runs_dir,
    section=OUTPUT,
    advanced=True,
    help="Folder for a summary of each run, which the command runs lists.",
)
@retrain_options
def command(
    folders: tuple[Path, ...],
    image_dir: Path | None,
    network: str | None,
    architecture: str | None,
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
    fine_tune_epochs: int | None,
    fine_tune_folds: int | None,
    unknown_rate: float,
    background: Path | None,
    strangers: Path | None,
    folds: int,
    early_stop: bool,
    recursive: bool,
    zip_encoding: str | None,
    rehash: bool,
    group_by: str,
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
    """Retrain the last layer of an ImageNet network on a folder of photos.

    Photos are split into training, validation and test sets by a hash of their names. The network's features of each
    photo, its bottleneck, are computed once and cached.
    """
    from poets_edge.training.train import train

    options = TrainOptions(
        image_dir=one_folder(folders, image_dir, zip_encoding),
        architecture=_architecture(network, architecture),
        weights=weights,
        output_graph=output_graph,
        output_labels=output_labels,
        bottleneck_dir=bottleneck_dir,
        model_dir=model_dir,
        summaries_dir=summaries_dir,
        intermediate_output_graphs_dir=intermediate_output_graphs_dir,
        intermediate_store_frequency=intermediate_store_frequency,
        percentages=SplitConfig(testing=testing, validation=validation),
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
        fine_tuning=FineTuning(blocks=fine_tune, epochs=fine_tune_epochs, folds=fine_tune_folds),
        final_tensor_name=final_tensor_name,
        folds=folds,
        unknown_rate=unknown_rate,
        background=background,
        strangers=strangers,
        recursive=recursive,
        rehash=rehash,
        group_by=group_by,
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
    if not output_json(result.to_json(), as_json=as_json, output=output):
        print_result(result, misclassified=print_misclassified_test_images)


def _architecture(network: str | None, name: str | None) -> Architecture:
    """Return the architecture that `--network` or `--architecture` selects. Raises UsageError if they conflict."""
    recommended = find_architecture(RECOMMENDED[network]) if network else None
    chosen = find_architecture(name) if name else None
    if recommended and chosen and recommended != chosen:
        raise UsageError(f"`network` {network} is {recommended.name}, and `architecture` is {chosen.name}: give one.")
    return chosen or recommended or find_architecture(DEFAULT_ARCHITECTURE)
