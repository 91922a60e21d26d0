"""`poets-edge audit`: find label errors, near-duplicates and outliers in a folder of photos."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.auditing.audit import audit
from poets_edge.auditing.options import AuditOptions
from poets_edge.auditing.report import most_helped
from poets_edge.auditing.results import AuditResult, LabelEvaluation
from poets_edge.auditing.thresholds import ScoreCalibration
from poets_edge.cli.command import OUTPUT, option, subcommand
from poets_edge.cli.options import (
    FILE,
    NETWORK_SECTION,
    NUMBER,
    bottleneck_dir_option,
    model_dir_option,
    open_option,
    quiet_option,
    result_options,
)
from poets_edge.cli.photo_options import (
    folder_argument,
    group_by_option,
    image_dir_option,
    one_folder,
    recursive_option,
    rehash_option,
    zip_encoding_option,
)
from poets_edge.cli.terminal import Terminal, open_page, output_json, table
from poets_edge.core.wording import counted, percent
from poets_edge.exporting.generated_files import check_generated, write_generated
from poets_edge.nets.architectures import DEFAULT_ARCHITECTURE
from poets_edge.nets.architectures import architecture as find_architecture
from poets_edge.photos.exclude import exclusions_json

_DEFAULT = AuditOptions(image_dir=Path("photos"))
_LISTED = 10
EXCLUDE_FILE = "exclude.json"
_CHECKS = "Checks"


@subcommand(
    "audit",
    """
    poets-edge audit flower_photos
    poets-edge train flower_photos --exclude exclude.json
    """,
)
@folder_argument
@image_dir_option
@recursive_option
@zip_encoding_option
@rehash_option
@group_by_option
@option(
    "--architecture",
    default=DEFAULT_ARCHITECTURE,
    metavar="NAME",
    section=NETWORK_SECTION,
    help="Network whose features are used, as for train.",
)
@option(
    "--weights",
    default=_DEFAULT.weights,
    metavar="NAME|FILE",
    section=NETWORK_SECTION,
    help="Backbone weights, as for train.",
)
@bottleneck_dir_option
@model_dir_option
@option("--folds", type=int, default=_DEFAULT.folds, section=_CHECKS, help="Number of cross-validation folds.")
@option(
    "--target",
    type=NUMBER,
    default=100 * _DEFAULT.target,
    metavar="PERCENT",
    section=_CHECKS,
    help="Required accuracy of predictions above the suggested threshold.",
)
@option(
    "--orientation",
    is_flag=True,
    section=_CHECKS,
    help="Also look for photos that lie on their side; the first time this takes three more inferences a photo.",
)
@option(
    "--move-suspects",
    type=FILE,
    metavar="DIR",
    section=OUTPUT,
    help=f"Write the photos with probable label errors to DIR/{EXCLUDE_FILE}, for train --exclude. No photo is moved,"
    " copied or deleted.",
)
@option("--report", type=FILE, metavar="FILE", default=_DEFAULT.report, section=OUTPUT, help="Page with the findings.")
@open_option("page")
@result_options
@quiet_option
def command(
    folders: tuple[Path, ...],
    image_dir: Path | None,
    architecture: str,
    weights: str,
    report: Path,
    opened: bool,
    move_suspects: Path | None,
    target: float,
    folds: int,
    orientation: bool,
    bottleneck_dir: Path,
    model_dir: Path,
    recursive: bool,
    zip_encoding: str | None,
    rehash: bool,
    group_by: str,
    as_json: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """Find photos that hurt training, and estimate whether more photos would help.

    Lists probable label errors, near-duplicates, outliers and confused classes, extrapolates the accuracy to twice as
    many photos, and suggests a --threshold. It also writes a page that shows
    these photos, and on which photos can be selected for exclusion.
    """
    options = AuditOptions(
        image_dir=one_folder(folders, image_dir, zip_encoding),
        architecture=find_architecture(architecture),
        report=report,
        weights=weights,
        model_dir=model_dir,
        bottleneck_dir=bottleneck_dir,
        folds=folds,
        target=target / 100,
        recursive=recursive,
        orientation=orientation,
        rehash=rehash,
        group_by=group_by,
    )
    if move_suspects is not None:
        check_generated(move_suspects, [EXCLUDE_FILE])
    with Terminal(quiet) as terminal:
        result = audit(options, terminal)
    if move_suspects is not None:
        write_generated(move_suspects, {EXCLUDE_FILE: exclusions_json(result.mislabeled)})
    # Passed as a function, since the JSON of 100,000 photos takes 30 MB.
    if not output_json(result.to_json, as_json=as_json, output=output):
        click.echo("\n".join(_lines(result)))
        if move_suspects is not None:
            click.echo(f"exclude {move_suspects / EXCLUDE_FILE}")
        click.echo(f"page    {report}")
    if opened:
        open_page(report)


def _lines(result: AuditResult) -> list[str]:
    photos, evaluation = result.photos, result.evaluation
    lines = [f"{len(photos)} photos of {len(photos.labels)} classes in {result.options.image_dir}"]
    if evaluation:
        lines += ["", *_suspects(result, evaluation)]
    pairs = len(list(result.near_duplicates.pairs()))
    lines += ["", f"near-duplicates: {pairs} pairs" if pairs else "near-duplicates: none"]
    if result.leak:
        leak = result.leak
        lines.append(
            f"  {len(leak.rows)} of {leak.tested} test photos {'has' if len(leak.rows) == 1 else 'have'} one in"
            " training: test accuracy"
            f" {percent(leak.accuracy)}, without them {percent(leak.accuracy_without)}"
        )
    lines += [f"{group.reason}: {len(group.names)}, first {group.names[0]}" for group in result.outliers]
    return lines + (["", *_evaluation(result, evaluation)] if evaluation else [])


def _suspects(result: AuditResult, evaluation: LabelEvaluation) -> list[str]:
    rows = [["suspect", "label", "looks like", "by"]]
    for suspect in result.suspects[:_LISTED]:
        rows.append([suspect.photo, suspect.label, suspect.likely, percent(suspect.score)])
    count = evaluation.mislabeled_count
    if not count:
        return ["no label is probably wrong; the labels that fit the predictions least:", table(rows, left=3)]
    return [f"{counted(count, 'label')} {'is' if count == 1 else 'are'} probably wrong; the most probable:",
            table(rows, left=3)]  # fmt: skip


def _threshold(calibration: ScoreCalibration) -> str:
    suggested = calibration.suggested
    if not calibration.is_needed:
        return f"threshold: none needed, {percent(suggested.accuracy)} of all answers are right"
    return (
        f"threshold {suggested.threshold:.2f}: {percent(suggested.accuracy)} of the answers given are right,"
        f" {percent(suggested.correct_kept)} of the right ones are kept"
    )


def _evaluation(result: AuditResult, evaluation: LabelEvaluation) -> list[str]:
    classes = [["class", "photos", "recall", "precision"]]
    for row in evaluation.classes:
        classes.append([row.label, str(row.photos), percent(row.recall), percent(row.precision)])
    low, high = evaluation.cross_validation.interval
    where = (
        f"the {evaluation.cross_validation.count} photos of your test set"
        if result.photos.has_own_test
        else "photos outside training"
    )
    doubled = evaluation.curve.doubled
    calibration = evaluation.calibration
    lines = [
        table(classes),
        f"accuracy {percent(evaluation.cross_validation.accuracy)} on {where}, 95 % interval"
        f" {100 * low:.1f} to {100 * high:.1f}; balanced {percent(evaluation.balanced_accuracy)}",
    ]
    for pair in evaluation.confused_classes[:1]:
        lines.append(f"most confused: {pair.labels[0]} and {pair.labels[1]}, {len(pair.rows)} photos")
    lines += [
        f"twice as many photos: {100 * doubled.interval[0]:.0f} to {100 * doubled.interval[1]:.0f} %;"
        f" a hundred more help most in {most_helped(evaluation.curve)}",
        _threshold(calibration),
        f"calibration error {percent(calibration.before)} as trained"
        + (
            ""
            if calibration.temperature == 1
            else f", {percent(calibration.after)} at temperature {calibration.temperature:.2f}"
        ),
    ]
    return lines
