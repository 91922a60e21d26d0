"""Benchmark of the unknown-photo detector in exported files, with frozen and with fine-tuned backbones.

    python -m benchmarks.unknown_files --shared ../shared --work DIR [--cases 0 1 ...]

For each case, a network is trained on known photos, which are flowers or surface defects: 100 photos of each class
(70 % of smaller classes). It is exported as float32, int8 and full-int8 files. These are tested with new photos of the
same classes, and with photos that belong to no class: everyday photos, and those of the other data set. The benchmark
measures what fraction of each the float32 file rejects as unknown and, after a second training with 200 everyday photos
as background photos (examples of unknown photos), what fraction of the photos that belong to no class. It also measures
for what fraction the other files agree with the float32 file on whether the photo is unknown. DIR contains caches, and
the results of cases from earlier runs, which are included in the output. Output: `results/unknown_files.md`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.tables import publish
from benchmarks.unknown import NEAR, OF_BACKGROUND, photo_files
from poets_edge.core.parallel import run_parallel
from poets_edge.device.classifier import Classifier
from poets_edge.device.scorer import is_unknown
from poets_edge.exporting.export import export
from poets_edge.exporting.options import ExportOptions
from poets_edge.nets.architectures import architecture
from poets_edge.photos.image import read_photo
from poets_edge.quantize.convert import Quantization
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.options import TrainOptions
from poets_edge.training.train import train

Verdicts = npt.NDArray[np.bool_]

QUANTIZATIONS: tuple[Quantization, ...] = ("float32", "int8", "full-int8")
PER_CLASS, SMALL = 125, 0.87
"""Maximum number of photos, and maximum fraction of the photos, of each class that are given to `train`. `train` uses
80 % of them for training, and the others for validation and testing."""

NOTES = (
    "Shares in %. The detector is to refuse 5 % of the known photos. The last four columns are the shares of new photos"
    " of the classes, and of everyday photos, for which the verdict of a file, known or unknown, is that of the float32"
    " file. Far strangers are everyday photos, and photos of the other data set.",
    "The rows of fine-tuned networks, of which `train` would not have written all, were measured at commit 3bd2791."
    " Their detectors also read an inner layer. With the fine-tuned bottleneck alone, 78.0 % of the far strangers were"
    " refused, as a mean over the three sets; with the convolution of block 3, 4, 5, 6, 7, 8, 9 or 10 in addition,"
    " 88.0, 86.6, 90.2, 94.0, 88.2, 85.7, 83.7 and 84.1 %. Of the known photos of flowers, two flowers and"
    " defects, 3.9, 2.3 and 14.5 % were refused with the bottleneck alone, and 4.4, 4.0 and 10.9 % with"
    " block 6 in addition.",
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network to train, the source of its weights, and the name of the set of known photos to train it on.

    The last `blocks` blocks of the network are fine-tuned, too; with 0, only a head is trained.
    """

    network: str
    weights: str
    known: str
    blocks: int = 0

    @property
    def name(self) -> str:
        """Name of the network in the results."""
        return f"{self.network}, {'fine-tuned' if self.blocks else self.weights}"


CASES = tuple(
    Case(network=network, weights=weights, known=known, blocks=blocks)
    for network, weights, blocks in (
        ("mobilenet_0.25_128", "embedded", 0),
        ("mobilenet_0.25_128", "imagenet", 0),
        ("mobilenet_0.50_224", "imagenet", 0),
        ("mobilenet_0.50_224", "imagenet", 3),
        ("mobilenet_1.0_224", "imagenet", 0),
    )
    for known in ("flowers", "two flowers", "defects")
)


@dataclass(frozen=True)
class Strangers:
    """Photos that belong to no class.

    Attributes:
        background: everyday photos to train with.
        far: photos to test with that resemble no class, one list for each kind, such as everyday photos or animals.
    """

    background: list[Path]
    far: tuple[list[Path], ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--cases", type=int, nargs="+", default=range(len(CASES)), help="indices into CASES")
    arguments = parser.parse_args()
    rows = [
        [
            *("network, weights", "set", "known lost", "far refused", "far, background"),
            *("int8: known", "int8: everyday", "full-int8: known", "full-int8: everyday"),
        ]
    ]
    for index in arguments.cases:
        values = measure(CASES[index], arguments.shared, arguments.work)
        (arguments.work / f"{index}.json").write_text(json.dumps(values))
        print(CASES[index].name, CASES[index].known, *values, flush=True)
    for index, case in enumerate(CASES):
        if (saved := arguments.work / f"{index}.json").exists():
            rows.append([case.name, case.known, *json.loads(saved.read_text())])
    publish(
        "unknown_files", "Unknown photos in exported files",
        "python -m benchmarks.unknown_files --shared ../shared --work DIR", rows, NOTES,
    )  # fmt: skip


def measure(case: Case, shared: Path, work: Path) -> list[str]:
    """Train and export a network, and return the values of a table row."""
    given, new, strangers = select_photos(case.known, shared)
    folder = work / case.known
    link(given, folder / "photos", by_class=True)
    link(strangers.background, folder / "background")
    options = TrainOptions(
        image_dir=folder / "photos",
        architecture=architecture(case.network),
        weights=case.weights,
        output_graph=folder / "retrained_graph.pb",
        output_labels=folder / "retrained_labels.txt",
        bottleneck_dir=work / "bottlenecks",
        model_dir=work,
        runs_dir=None,
        summaries_dir=folder / "summaries",
        folds=0,
        fine_tuning=FineTuning(blocks=case.blocks),
    )
    train(options)
    files = export(ExportOptions(graph=options.output_graph, quantizations=QUANTIZATIONS)).files
    paths = [file.path for file in files]
    known, far = verdicts(paths, new), [verdicts(paths, kind) for kind in strangers.far]
    train(replace(options, background=folder / "background"))
    export(ExportOptions(graph=options.output_graph))
    with_background = [verdicts(paths[:1], kind) for kind in strangers.far]
    shares = [known[0].mean(), share_refused(far), share_refused(with_background)]
    for index in range(1, len(paths)):
        shares += [np.mean(one[index] == one[0]) for one in (known, far[0])]
    return [f"{100 * float(share):.1f}" for share in shares]


def verdicts(models: Sequence[Path], photos: Sequence[Path]) -> Verdicts:
    """Return whether each model rejects each photo, bool [models, photos]."""

    def classifiers() -> list[Classifier]:
        return [Classifier(model) for model in models]

    def reject(photo: Path, loaded: list[Classifier]) -> list[bool]:
        picture = loaded[0].resize(read_photo(photo))
        return [is_unknown(model.predict_pixels(picture).distance) for model in loaded]

    found = [verdict for _, verdict in run_parallel(photos, classifiers, reject)]
    return np.transpose(np.array(found, np.bool_))


def share_refused(kinds: Sequence[Verdicts]) -> float:
    """Return the fraction of photos that the first model rejects, averaged over kinds of photos.

    Args:
        kinds: results of `verdicts` for each kind of photo.
    """
    return float(np.mean([kind[0].mean() for kind in kinds]))


def select_photos(known: str, shared: Path) -> tuple[list[Path], list[Path], Strangers]:
    """Return the photos for `train`, the remaining photos of its classes, and photos that belong to no class."""
    rng = np.random.default_rng(0)
    files = dict(photo_files(shared))
    whole, other = ("defects", "flowers") if known == "defects" else ("flowers", "defects")
    classes: dict[str, list[Path]] = {}
    for file in files[whole]:
        classes.setdefault(file.parent.name, []).append(file)
    given, new = [], []
    for number, name in enumerate(sorted(classes)):
        photos = [classes[name][row] for row in rng.permutation(len(classes[name]))]
        count = min(PER_CLASS, round(SMALL * len(photos)))
        if number not in NEAR[known]:
            given += photos[:count]
            new += photos[count:]
    everyday = [files["everyday"][row] for row in rng.permutation(len(files["everyday"]))]
    return given, new, Strangers(everyday[:OF_BACKGROUND], (everyday[OF_BACKGROUND:], files[other]))


def link(files: Sequence[Path], folder: Path, *, by_class: bool = False) -> None:
    """Replace a folder with one that contains symbolic links to files, in one subfolder per class if `by_class`."""
    shutil.rmtree(folder, ignore_errors=True)
    for file in files:
        place = folder / file.parent.name / file.name if by_class else folder / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(file.resolve())


if __name__ == "__main__":
    main()
