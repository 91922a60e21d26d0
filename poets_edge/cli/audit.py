"""`poets-edge audit`: which photos hurt, and whether more would help."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.audit.audit import audit
from poets_edge.audit.options import AuditOptions
from poets_edge.audit.results import AuditResult, Judgement
from poets_edge.cli.options import (
    FILE,
    PHOTOS,
    bottleneck_dir_option,
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
from poets_edge.cli.terminal import Terminal, give, open_page, table
from poets_edge.core.wording import percent
from poets_edge.nets.architectures import DEFAULT_ARCHITECTURE
from poets_edge.nets.architectures import architecture as find_architecture
from poets_edge.photos.exclude import write_exclusions

_DEFAULT = AuditOptions(image_dir=Path("photos"))
_LISTED = 10
EXCLUDE_FILE = "exclude.json"


@subcommand("audit")
@click.argument("folders", metavar="[FOLDER]", nargs=-1, type=PHOTOS)
@image_dir_option
@option("--architecture", default=DEFAULT_ARCHITECTURE, help="The network whose features are used, as for train.")
@option(
    "--weights",
    default=_DEFAULT.weights,
    metavar="imagenet|embedded|FILE",
    help="The backbone's weights, as for train.",
)
@option("--report", type=FILE, default=_DEFAULT.report, help="Where the page with the findings goes.")
@option("--open", "opened", is_flag=True, help="Show the page in a browser.", show_default=False)
@option(
    "--move-suspects",
    type=FILE,
    metavar="DIR",
    help=f"Write the photos whose labels are probably wrong to DIR/{EXCLUDE_FILE}, for train --exclude."
    " No photo is moved, copied or deleted.",
)
@option(
    "--target",
    type=float,
    default=100 * _DEFAULT.target,
    help="Percent of the answers given that should be right; decides the suggested threshold.",
)
@option(
    "--folds", type=int, default=_DEFAULT.folds, help="Number of parts; each is judged by heads trained on the others."
)
@option(
    "--orientation",
    is_flag=True,
    help="Also look for photos that lie on their side: three more inferences for each photo the first time.",
    show_default=False,
)
@bottleneck_dir_option
@model_dir_option
@recursive_option
@rehash_option
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
    rehash: bool,
    as_json: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """Say which photos hurt, which are there twice, and whether more of them would help.

    Finds labels that are probably wrong, near-duplicates, odd photos, and classes that are confused; says what twice
    as many photos would bring, and which --threshold to use. The page shows the photos, and saves a list of those to
    leave out.

    \b
    Example:
      poets-edge audit --image_dir flower_photos
      poets-edge train --image_dir flower_photos --exclude exclude.json
    """
    options = AuditOptions(
        image_dir=one_folder(folders, image_dir),
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
    )
    with Terminal(quiet) as terminal:
        result = audit(options, terminal)
    if move_suspects is not None:
        write_exclusions(move_suspects / EXCLUDE_FILE, result.held_to_be_wrong())
    # Not made where nobody asks for it: of 100,000 photos it takes 30 MB.
    if not give(result.to_json, as_json=as_json, output=output):
        click.echo("\n".join(_lines(result)))
        if move_suspects is not None:
            click.echo(f"exclude {move_suspects / EXCLUDE_FILE}")
        click.echo(f"page    {report}")
    if opened:
        open_page(report)


def _lines(result: AuditResult) -> list[str]:
    photos, judged = result.photos, result.judgement
    lines = [f"{len(photos)} photos of {len(photos.labels)} classes in {result.options.image_dir}"]
    if judged:
        lines += ["", *_suspects(result, judged)]
    pairs = len(list(result.near_duplicates.pairs()))
    lines += ["", f"near-duplicates: {pairs} pairs" if pairs else "near-duplicates: none"]
    if result.leak:
        leak = result.leak
        lines.append(
            f"  {len(leak.rows)} of {leak.tested} test photos have one in training: test accuracy"
            f" {percent(leak.accuracy)}, without them {percent(leak.accuracy_without)}"
        )
    lines += [f"{one.reason}: {len(one.names)}, first {one.names[0]}" for one in result.oddities]
    return lines + (["", *_judged(judged)] if judged else [])


def _suspects(result: AuditResult, judged: Judgement) -> list[str]:
    rows = [["suspect", "label", "looks like", "by"]]
    for _, one in zip(range(_LISTED), result.suspects(), strict=False):
        rows.append([one["photo"], one["label"], one["likely"], percent(one["score"])])
    return [f"{judged.wrong} labels are probably wrong; the most suspect:", table(rows, left=3)]


def _judged(judged: Judgement) -> list[str]:
    classes = [["class", "photos", "recall", "precision"]]
    for row in judged.balance:
        classes.append([row.label, str(row.photos), percent(row.recall), percent(row.precision)])
    low, high = judged.cross_validation.interval
    doubled = judged.curve.doubled
    calibration, suggested = judged.calibration, judged.calibration.suggested
    lines = [
        table(classes),
        f"accuracy {percent(judged.cross_validation.accuracy)} on photos not learned from, 95 % interval"
        f" {100 * low:.1f} to {100 * high:.1f}; balanced {percent(judged.balanced_accuracy)}",
    ]
    for pair in judged.confusions[:1]:
        lines.append(f"most confused: {pair.labels[0]} and {pair.labels[1]}, {len(pair.rows)} photos")
    lines += [
        f"twice as many photos: {100 * doubled.interval[0]:.0f} to {100 * doubled.interval[1]:.0f} %;"
        f" a hundred more help most in {judged.curve.next_hundred[0][0]}",
        f"threshold {suggested.threshold:.2f}: {percent(suggested.accuracy)} of the answers given are right,"
        f" {percent(suggested.right_kept)} of the right ones are kept",
        f"calibration error {percent(calibration.before)} as trained, {percent(calibration.after)} at temperature"
        f" {calibration.temperature:.2f}",
    ]
    return lines
