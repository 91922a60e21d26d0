"""Benchmark of the unknown-photo detector: how many known photos and how many unknown photos it rejects.

    python -m benchmarks.unknown --shared ../shared --work DIR [--draws 20]

There are two data sets, flowers and surface defects. Some or all classes of one of them are chosen as known.
In each draw, the detector is fitted to a random selection of photos of these classes, a given number per class; the
other photos of these classes show how many known photos it rejects. Two kinds of unknown photos are tested:

- Near strangers resemble the known photos: they show the remaining classes of the same data set.
- Far strangers do not: they are everyday photos, and photos of the other data set.

Detectors are fitted without and with background photos, which are examples of unknown photos. In the test with far
strangers, these are 200 everyday photos; in the test with near strangers, they are half of the near strangers (200 at
most), and the other half is tested. The feature vectors are cached in DIR. Output: `results/unknown.md`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.photo_sets import PhotoSet
from benchmarks.tables import publish
from poets_edge.nets.architectures import architecture
from poets_edge.nets.detector import Detector
from poets_edge.nets.weights import find_weights
from poets_edge.photos.image import fit, read_photo
from poets_edge.tflite.distance import LIMIT
from poets_edge.training.backbone import prepare_backbone
from poets_edge.training.bottlenecks import Extractor
from poets_edge.training.data import TrainingData
from poets_edge.training.head import Head, HeadOptions, Indices, LabeledVectors, Matrix, train_head
from poets_edge.training.unknown import detect_unknown

NETWORKS = (
    ("mobilenet_0.25_128", "embedded", (100, 20)),
    ("mobilenet_0.25_128", "imagenet", (100, 20)),
    ("mobilenet_0.50_224", "imagenet", (100, 20)),
    ("mobilenet_1.0_224", "imagenet", (100,)),
)
"""Networks to test, as (architecture, source of the weights, numbers of photos per class)."""
RATE = 0.05
WITH_BACKGROUND = 5
"""Number of random draws in which detectors are also fitted with background photos, which belong to no class."""
EVERYDAY, OF_BACKGROUND = 13, 200
"""Step for selecting everyday photos (every 13th is used), and number of photos in a background."""
NEAR = {"flowers": (), "defects": (1, 4), "two flowers": (1, 3, 4), "three flowers": (1, 3)}
"""For each set of known photos, the indices of the classes that the detector does not learn and is tested on."""


NOTES = (
    "Means over the draws (5 with a background), in %; the last column is the accuracy on photos that are not refused,"
    " minus that on all, in points. Classes with fewer photos give 70 % of them to the program.",
    "Far strangers are everyday photos, and photos of the other set. Near strangers are dandelions, sunflowers and"
    " tulips for a model of daisies and roses, dandelions and sunflowers for one of the other flowers, and two kinds of"
    " defects for one of the others. The range in brackets is for 20 photos a class.",
    "Chance limits the number of draws within the range, because few photos are tested. A detector that refuses exactly"
    ' 5 % of all known photos would be within the range in the number of draws under "exact limit". No limit is exact,'
    " because it is determined from the training photos: with the distance that an expected 5 % of the known photos"
    " exceed, whatever the distribution of their distances, a detector would be within the range in the number of draws"
    ' under "fitted limit".',
)


@dataclass(frozen=True)
class World:
    """Feature vectors of all photos, from one network.

    Those of flowers and of surface defects are stored with class numbers; everyday photos, float32 [photos, features],
    belong to no class.
    """

    flowers: PhotoSet
    defects: PhotoSet
    everyday: Matrix


@dataclass(frozen=True)
class Result:
    """Results of a detector that was fitted to one random selection of photos.

    A value is None if there are no photos of its kind, or no background photos were used.

    Attributes:
        lost: fraction of the new known photos (photos of the known classes that were not used for fitting) that the
            detector rejects.
        learned: number of known photos to which the detector was fitted.
        new: number of new known photos.
        far: fraction of the everyday photos and photos of the other data set (far strangers) that the detector rejects.
        near: fraction of the photos of other classes of the same data set (near strangers) that the detector rejects.
        near_at_rate: fraction of the near strangers whose distance exceeds that of 95 % of the new known photos. A
            detector whose limit loses exactly 5 % of the new known photos would reject them.
        far_with_background, near_with_background: fractions that detectors fitted with background photos reject.
        near_lost: fraction of the new known photos that the detector fitted with near strangers rejects.
        answered: accuracy on the accepted new known photos minus the accuracy on all new known photos.
    """

    lost: float
    learned: int
    new: int
    far: float
    near: float | None
    near_at_rate: float | None
    far_with_background: float | None
    near_with_background: float | None
    near_lost: float | None
    answered: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20)
    arguments = parser.parse_args()
    heading = [
        *("network, weights", "set", "photos a class", "known lost", "lost 3 to 7 % (2 to 9 %)"),
        *("exact limit", "fitted limit"),
        *(
            "far refused",
            "far, background",
            "near refused",
            "near, exactly 5 % lost",
            "near, background",
            "known lost, near background",
            "accuracy gained",
        ),
    ]
    rows = [heading]
    for name, weights, sizes in NETWORKS:
        world = read(name, weights, arguments.shared, arguments.work)
        for known, size in [(known, size) for size in sizes for known in NEAR]:
            rows.append([f"{name}, {weights}", *row(world, known, size, arguments.draws)])
            print(" | ".join(rows[-1]), flush=True)
    publish(
        "unknown", "Photos unlike the training photos",
        "python -m benchmarks.unknown --shared ../shared --work DIR", rows, NOTES,
    )  # fmt: skip


def row(world: World, known: str, size: int, draws: int) -> list[str]:
    """Return a table row for a set of known classes and a number of training photos per class.

    The row contains fractions of rejected photos, averaged over several random selections of the training photos.
    """
    found = [one_draw(world, known, size, seed) for seed in range(draws)]
    low, high = (0.02, 0.09) if size == 20 else (0.03, 0.07)
    within = sum(low <= one.lost <= high for one in found)

    def mean(values: Sequence[float]) -> str:
        return f"{100 * float(np.mean(values)):.1f}" if values else "-"

    names = ("far", "far_with_background", "near", "near_at_rate", "near_with_background", "near_lost", "answered")
    columns = [mean([value for one in found if (value := getattr(one, name)) is not None]) for name in names]
    exact = sum(chance_within(one.new, low, high) for one in found)
    fitted = sum(chance_within(one.new, low, high, one.learned) for one in found)
    lost = mean([one.lost for one in found])
    return [known, str(size), lost, f"{within} of {draws}", f"{exact:.1f}", f"{fitted:.1f}", *columns]


def chance_within(photos: int, low: float, high: float, learned: int | None = None) -> float:
    """Return the probability that the fraction of rejected photos among `photos` photos is from `low` to `high`.

    Args:
        learned: number of training photos. The detector's limit is then taken to be a quantile of their distances, so
            the number of rejected photos has a beta-binomial distribution with a mean of 5 % of the photos, whatever
            the distribution of the distances. If None, each photo is taken to be rejected with a probability of 5 %,
            independently of other photos (binomial distribution).
    """
    counts = [count for count in range(photos + 1) if low <= count / photos <= high]
    if learned is None:
        return sum(math.comb(photos, count) * RATE**count * (1 - RATE) ** (photos - count) for count in counts)
    above, below = RATE * (learned + 1), (1 - RATE) * (learned + 1)
    return sum(
        math.comb(photos, count) * math.exp(_log_beta(above + count, below + photos - count) - _log_beta(above, below))
        for count in counts
    )


def _log_beta(a: float, b: float) -> float:
    """Return the logarithm of the beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def one_draw(world: World, known: str, size: int, seed: int) -> Result:
    """Fit detectors to a random part of a set of known photos, and measure the fractions of photos that they reject."""
    rng = np.random.default_rng(seed)
    whole, other = (world.defects, world.flowers) if known == "defects" else (world.flowers, world.defects)
    is_near = np.isin(whole.classes, NEAR[known])
    classes = np.unique(whole.classes[~is_near], return_inverse=True)[1].astype(np.int64)
    photos, near = PhotoSet(whole.vectors[~is_near], classes, np.flatnonzero(~is_near)), whole.vectors[is_near]
    of_class = [np.flatnonzero(classes == number) for number in range(classes.max() + 1)]
    sizes = [min(size, round(0.7 * len(rows))) for rows in of_class]
    learned = np.sort(np.concatenate([rng.permutation(rows)[:n] for rows, n in zip(of_class, sizes, strict=True)]))
    new = np.setdiff1d(np.arange(len(classes)), learned)
    everyday, strangers = np.split(rng.permutation(world.everyday), [OF_BACKGROUND])
    shown, unseen = np.split(rng.permutation(near), [min(OF_BACKGROUND, len(near) // 2)])
    data = training_data(photos, learned)

    def detector(background: Matrix | None = None) -> Detector:
        return detect_unknown(data, RATE, seed, background=background).detector

    def refused(found: Detector, *parts: Matrix, limit: float = LIMIT) -> float:
        return float(np.mean([(found.distances(part) > limit).mean() for part in parts]))

    plain, known_new = detector(), photos.vectors[new]
    correct = head_of(photos, learned).scores(known_new).argmax(axis=1) == classes[new]
    distances = plain.distances(known_new)
    exact = float(np.quantile(distances, 1 - RATE))
    answered = float(correct[distances <= LIMIT].mean() - correct.mean())
    with_everyday = detector(everyday) if seed < WITH_BACKGROUND else None
    with_near = detector(shown) if seed < WITH_BACKGROUND and len(near) else None
    return Result(
        lost=float((distances > LIMIT).mean()),
        learned=len(learned),
        new=len(new),
        far=refused(plain, strangers, other.vectors),
        near=refused(plain, near) if len(near) else None,
        near_at_rate=refused(plain, near, limit=exact) if len(near) else None,
        far_with_background=refused(with_everyday, strangers, other.vectors) if with_everyday else None,
        near_with_background=refused(with_near, unseen) if with_near else None,
        near_lost=refused(with_near, known_new) if with_near else None,
        answered=answered,
    )


def head_of(photos: PhotoSet, learned: Indices) -> Head:
    """Return a head trained on the photos with the given indices."""
    training = LabeledVectors(photos.vectors[learned], photos.classes[learned])
    nobody = LabeledVectors(training.vectors[:0], training.classes[:0])
    options = HeadOptions(steps=1000, eval_step_interval=1000)
    return train_head(training, nobody, len(photos.labels), options, lambda step, head: None)


def training_data(photos: PhotoSet, rows: Indices) -> TrainingData:
    return TrainingData.of(photos.hashed(rows), photos.vectors[rows], np.zeros(len(rows), np.int8), photos.labels)


def read(name: str, weights: str, shared: Path, work: Path) -> World:
    """Return the feature vectors of all photos, computed with a network or read from the cache in `work`."""
    arrays = []
    for kind, files in photo_files(shared):
        path = work / f"{name}-{weights}-{kind}.npz"
        if not path.exists():
            found = architecture(name)
            backbone = prepare_backbone(found, find_weights(found, work, weights), work)
            extract = Extractor(backbone.model)
            vectors = np.stack([extract(fit(read_photo(file), found.size)) for file in files])
            work.mkdir(parents=True, exist_ok=True)
            np.savez(path, vectors=vectors, labels=[file.parent.name for file in files])
        with np.load(path) as saved:
            classes = np.unique(saved["labels"], return_inverse=True)[1].astype(np.int64)
            arrays.append(PhotoSet(saved["vectors"], classes, np.arange(len(classes))))
    return World(arrays[0], arrays[1], arrays[2].vectors)


def photo_files(shared: Path) -> Iterator[tuple[str, list[Path]]]:
    """Yield (name, list of photo paths) for each data set."""
    yield "flowers", sorted((shared / "data/flower_photos").glob("*/*.jpg"))
    yield "defects", sorted((shared / "data/surface_defects").glob("*/*"))
    yield "everyday", sorted((shared / "data/unlabelled_photos").glob("*.jpg"))[::EVERYDAY]


if __name__ == "__main__":
    main()
