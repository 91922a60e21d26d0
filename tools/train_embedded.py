"""Train the embedded backbone of the package: a MobileNet V1 0.25 at 128 px, distilled from a larger one.

    pip install -e '.[train]' torch ninja
    python -m tools.train_embedded answers PHOTOS --teacher mobilenet_7_5_192_tf_no_top.h5 --run RUN
    python -m tools.train_embedded distil --run RUN --minutes 75
    python -m tools.train_embedded package --run RUN
    python -m tools.train_embedded evaluate FLOWERS --beside mobilenet_2_5_128_tf_no_top.h5

The first two commands resume an interrupted run; RUN needs 0.8 GB per round. No weights of the teacher are copied.
"""

from __future__ import annotations

from pathlib import Path

import click


@click.group(help=__doc__)
def main() -> None:
    pass


_run = click.option("--run", type=click.Path(path_type=Path), required=True, help="Folder for all that is made.")


@main.command()
@click.argument("photos", type=click.Path(exists=True, path_type=Path))
@click.option("--teacher", type=click.Path(exists=True, path_type=Path), required=True, help="Weights file.")
@click.option("--alpha", default=0.75, show_default=True, help="Width of the teacher.")
@click.option("--size", default=192, show_default=True, help="Pixels a side that the teacher sees.")
@click.option("--rounds", default=10, show_default=True, help="Crops a photo.")
@_run
def answers(photos: Path, teacher: Path, alpha: float, size: int, rounds: int, run: Path) -> None:
    """Crop the photos, compute the features of the teacher network for the crops, and write both to a folder."""
    from tools.embedded.teacher import Teacher, write_rounds

    run.mkdir(parents=True, exist_ok=True)
    write_rounds(photos, Teacher(alpha, size, teacher), run, rounds)


@main.command()
@click.option("--minutes", default=75.0, show_default=True, help="Time to train, over all starts.")
@_run
def distil(minutes: float, run: Path) -> None:
    """Train the student network on the crops and features that `answers` has written."""
    from tools.embedded.distil import distil as train

    train(run, minutes)


@main.command()
@_run
def package(run: Path) -> None:
    """Write the current student's weights to the weights file of the package."""
    from poets_edge.nets.weights import EMBEDDED_FILE
    from tools.embedded.package import package as write

    click.echo(f"{EMBEDDED_FILE}: {write(run / 'student.npz', EMBEDDED_FILE):,} bytes")


@main.command()
@click.argument("photos", type=click.Path(exists=True, path_type=Path))
@click.option("--beside", type=click.Path(exists=True, path_type=Path), help="Google's weights, to compare with.")
@click.option("--draws", default=4, show_default=True, help="Ways of halving the photos.")
def evaluate(photos: Path, beside: Path | None, draws: int) -> None:
    """Evaluate the packaged weights on PHOTOS, compared with random weights."""
    from poets_edge.nets.weights import EMBEDDED_FILE
    from tools.embedded.evaluate import features, last_layer_accuracy, read_photos

    images, classes = read_photos(photos)
    for name, weights in {"random": None, "embedded": EMBEDDED_FILE, "genuine": beside}.items():
        if weights is not None or name == "random":
            vectors = features(images, weights)
            found = [last_layer_accuracy(vectors, classes, seed) for seed in range(draws)]
            click.echo(f"{name:<9} {sum(found) / draws:.3f}   {' '.join(f'{share:.3f}' for share in found)}")


if __name__ == "__main__":
    main()
