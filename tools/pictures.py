"""Generate the pictures in the README and in docs/: a chart and a terminal.

    python -m tools.pictures chart              docs/images/grid.png, from the figures in benchmarks/results
    python -m tools.pictures terminal PHOTOS    docs/images/terminal.svg, with the output of `label` and `watch`

PHOTOS is the folder of flower photos. The second command trains a model; set KERAS_HOME to the folder of the weights to
avoid a download.
"""

from __future__ import annotations

import html
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from PIL import Image

from poets_edge.bench.samples import describe
from poets_edge.nets.architectures import architecture
from poets_edge.quantize.convert import Quantization
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.chart.figure import draw_chart
from poets_edge.sweep.choice import choose
from poets_edge.sweep.points import GridPoint, pareto_front
from poets_edge.sweep.results import GridResult

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs/images"
RESULTS = ROOT / "benchmarks/results"
LABELS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
TEST_PHOTOS = 500
"""Number of test photos from which the accuracies in benchmarks/results/quantization_accuracy.md were computed."""

_PHOTO = "daisy/21652746_cc379e0eea_m.jpg"
_ROW, _LETTER, _MARGIN = 19, 8.4, 18


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
def chart() -> None:
    """Draw the chart of accuracy against latency from the figures in benchmarks/results."""
    points = tuple(recorded_points())
    machine = {
        "cpu": "x86-64 with AVX-512",
        "cores": 2,
        "interpreter": "ai_edge_litert",
        "interpreter_version": "2.3.0",
    }
    budget = Budget(latency=2, size=1.5e6)
    result = GridResult(
        points=points,
        labels=LABELS,
        front=tuple(pareto_front(points)),
        choice=choose(points, budget),
        machine=machine,
        threads=1,
        folds=0,
        budget=budget,
    )
    draw_chart(result, IMAGES / "grid.png")
    with Image.open(IMAGES / "grid.png") as image:
        save_small(image, IMAGES / "grid.png", 0.8)


@main.command()
@click.argument("photos", type=click.Path(exists=True, path_type=Path))
def terminal(photos: Path) -> None:
    """Draw an SVG of a terminal session in which poets_edge labels a photo and then watches a folder of frames."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "flower_photos").symlink_to(photos.resolve())
        frames = work / "camera"
        frames.mkdir()
        chosen = [path for label in ("roses", "tulips") for path in sorted((photos / label).glob("*.jpg"))[:12]]
        for number, path in enumerate(chosen):
            (frames / f"{number:03}.jpg").symlink_to(path.resolve())
        run(work, "train", "flower_photos", "--quiet", "--folds", "0")
        run(work, "export", "--quantize", "--quiet")
        model = "tf_files/retrained_graph_int8.tflite"
        lines = []
        for shown in (f"label {model} flower_photos/{_PHOTO}", f"watch {model} --source camera --quiet"):
            printed = run(work, *shown.split()).splitlines()[:9]
            # Without the times at the ends of lines, which depend on the load of this machine.
            lines += [f"$ poets-edge {shown}", *(re.sub(r"(\(score = [\d.]+\)).*", r"\1", line) for line in printed)]
        (IMAGES / "terminal.svg").write_text(drawn_terminal(lines), encoding="utf-8")


def save_small(image: Image.Image, path: Path, scale: float) -> None:
    """Resize an image by a factor, and save it as a PNG with a palette of 256 colors."""
    size = (round(image.width * scale), round(image.height * scale))
    image.convert("RGB").resize(size, Image.Resampling.LANCZOS).quantize(256, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


def recorded_points() -> Iterator[GridPoint]:
    """Yield a `GridPoint` for the float32 and the int8 model of each architecture.

    Accuracies, sizes and latencies are read from tables in benchmarks/results; architectures without accuracy are
    omitted.
    """
    accuracies = dict(table(RESULTS / "quantization_accuracy.md"))
    for name, cells in table(RESULTS / "quantization_cost.md"):
        if accuracies[name][0] == "-":
            continue
        float_accuracy, int8_points, agreement, megabytes, int8_size = (
            float(accuracies[name][column]) for column in (0, 3, 6, 7, 10)
        )
        milliseconds, int8_time = (float(cells[column]) for column in (0, 3))
        rows: tuple[tuple[Quantization, float, float, float, float], ...] = (
            ("float32", float_accuracy, milliseconds, megabytes, 100.0),
            ("int8", float_accuracy + int8_points, milliseconds * int8_time, megabytes * int8_size, agreement),
        )
        for quantization, accuracy, ms, mb, agreed in rows:
            yield GridPoint(
                architecture=architecture(name),
                quantization=quantization,
                model=Path(f"{name}_{quantization}.tflite"),
                size=round(mb * 1e6),
                classes=len(LABELS),
                # The misclassified photos are not recorded: assume that all models misclassify similar photos.
                correct=tuple(int(photo < round(accuracy / 100 * TEST_PHOTOS)) for photo in range(TEST_PHOTOS)),
                repeats=1,
                agreement=agreed / 100,
                latency=describe([ms]),
                photos_per_second=0.0,
                process_medians=(ms, ms),
            )


def table(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield (architecture name, other cells) for each row of a Markdown table that begins with a MobileNet's name.

    Args:
        page: path of the Markdown file.
    """
    for line in page.read_text(encoding="utf-8").splitlines():
        if re.match(r"\| mobilenet_", line):
            name, *cells = (cell.strip() for cell in line.strip("| ").split("|"))
            yield name, cells


def run(folder: Path, *arguments: str) -> str:
    """Run a `poets-edge` command in a folder and return its stdout."""
    command = [sys.executable, "-m", "poets_edge", *arguments]
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def drawn_terminal(lines: Sequence[str]) -> str:
    """Return an SVG of a dark terminal that shows lines of text. Lines that begin with a dollar sign are colored."""
    width = round(max(map(len, lines)) * _LETTER) + 2 * _MARGIN
    height = len(lines) * _ROW + 2 * _MARGIN
    rows = "\n".join(
        f'<text x="{_MARGIN}" y="{_MARGIN + _ROW * (number + 0.75):.0f}" xml:space="preserve"'
        f' fill="{"#ffcb6b" if line.startswith("$") else "#e6e6e6"}">{html.escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#1e1b26"/>\n{rows}\n</svg>\n'
    )


if __name__ == "__main__":
    main()
