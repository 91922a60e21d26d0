"""Benchmark of what `audit` finds and estimates: python -m benchmarks.audit FOLDER [--architecture NAME].

For each random seed, on real photos, to some of which errors are added:

- wrong labels: 5 % of the photos get a wrong class; recall among the 10 % most suspicious photos, compared with that
  of cleanlab on the same out-of-fold scores if cleanlab is installed (its license, the AGPL, rules out a dependency);
- near-duplicates: number of pairs found after 50 photos are added that were resized, recompressed, cropped by 5 % or
  brightened;
- learning curve: accuracy for 1,000 photos as forecast from 500 photos, compared with the measured accuracy;
- calibration: expected calibration error of a head before and after calibration; the head is trained on 70 % of the
  photos and tested on the rest;
- exported: expected calibration error of exported files; the head is trained by `train` on 70 % of the photos, and the
  files are tested on the rest.

Bottlenecks are cached in --bottleneck_dir, as by `train`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

from poets_edge.auditing.image_stats import compute_stats
from poets_edge.auditing.learning_curve import learning_curve
from poets_edge.auditing.mislabeled import out_of_fold_logits, score_labels
from poets_edge.auditing.near_duplicates import find_near_duplicates
from poets_edge.auditing.options import AuditOptions
from poets_edge.auditing.photos import AuditPhotos, read_photos
from poets_edge.device.predictions import score_model
from poets_edge.device.temperature import expected_calibration_error
from poets_edge.exporting.export import export
from poets_edge.exporting.options import ExportOptions
from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import find_weights
from poets_edge.photos.folder import scan
from poets_edge.photos.folds import assign_folds
from poets_edge.photos.image import fit, read_photo
from poets_edge.photos.table import HashedPhotos, PhotoTable
from poets_edge.progress import Silent
from poets_edge.training.backbone import prepare_backbone
from poets_edge.training.bottlenecks import Extractor
from poets_edge.training.cross_validation import evaluate_folds, fit_folds
from poets_edge.training.data import TrainingData
from poets_edge.training.head import HeadOptions, Indices, LabeledVectors, train_head
from poets_edge.training.options import TrainOptions
from poets_edge.training.projection import pca_projection
from poets_edge.training.temperature_scaling import calibrate_head, predict_held_out
from poets_edge.training.train import train

SEEDS = range(10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--architecture", default="mobilenet_0.50_224")
    parser.add_argument("--weights", default=AuditOptions.weights)
    parser.add_argument("--bottleneck_dir", type=Path, default=Path("tf_files/bottlenecks"))
    parser.add_argument("--draws", type=int, default=len(SEEDS), help="of 500 photos, for the learning curve")
    parser.add_argument("--only", choices=("labels", "copies", "curve", "calibration", "exported"))
    arguments = parser.parse_args()
    options = AuditOptions(
        image_dir=arguments.folder,
        architecture=architecture(arguments.architecture),
        weights=arguments.weights,
        bottleneck_dir=arguments.bottleneck_dir,
    )
    photos = read_photos(options, Silent())
    steps: dict[str, Any] = {
        "labels": lambda: wrong_labels(photos),
        "copies": lambda: near_duplicates(photos, options),
        "curve": lambda: curve(photos, arguments.draws),
        "calibration": lambda: calibration(photos),
        "exported": lambda: exported(photos, options),
    }
    for name, step in steps.items():
        if arguments.only in (None, name):
            step()


def wrong_labels(photos: AuditPhotos) -> None:
    count, classes = len(photos), len(photos.labels)
    print("| seed | audit | cleanlab, self-confidence | normalized margin |\n|--:|--:|--:|--:|")
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        wrong = rng.choice(count, round(0.05 * count), replace=False)
        labels = photos.classes.copy()
        labels[wrong] = (labels[wrong] + rng.integers(1, classes, len(wrong))) % classes
        fold = folds_of(photos, labels)
        data = LabeledVectors(photos.vectors, labels)
        top = round(0.1 * count)
        found = np.isin(wrong, score_labels(data, fold, classes).order[:top]).mean()
        logits = out_of_fold_logits(data, fold, classes, np.ones(count, np.bool_))
        others = [f"{np.isin(wrong, order[:top]).mean():.0%}" for order in cleanlab_orders(labels, logits)]
        print(f"| {seed} | {found:.0%} | {' | '.join(others) or '- | -'} |", flush=True)


def folds_of(photos: AuditPhotos, labels: Indices) -> Indices:
    """Assign photos to cross-validation folds as if they had the given labels; return the fold number of each photo."""
    named = [replace(item.photo, label=photos.labels[label]) for item, label in zip(photos.photos, labels, strict=True)]
    [folds] = assign_folds(HashedPhotos(PhotoTable.of(named), photos.photos.digests))
    return folds.assignment


def cleanlab_orders(labels: Indices, logits: npt.NDArray[np.float32]) -> list[Indices]:
    """Return rankings of the photos, most suspicious first, by two scores of cleanlab; [] if it is not installed."""
    try:
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        return []
    scores = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    return [
        np.argsort(get_label_quality_scores(labels, scores, method=method), kind="stable")
        for method in ("self_confidence", "normalized_margin")
    ]


def near_duplicates(photos: AuditPhotos, options: AuditOptions) -> None:
    backbone = prepare_backbone(
        options.architecture, find_weights(options.architecture, options.model_dir), options.bottleneck_dir
    )
    extractor = Extractor(backbone.model)
    digests = photos.photos.byte_digests
    before = set(find_near_duplicates(photos.projections, photos.thumbnails, digests, options.bottleneck_dir).pairs())
    print(f"pairs among the photos themselves: {len(before)}")
    print("| seed | found of 50 | other pairs |\n|--:|--:|--:|")
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(photos), 50, replace=False)
        vectors, thumbnails, more = [], [], []
        for row in chosen:
            image = altered(read_photo(photos.photos[row].photo.file), rng)
            vectors.append(extractor(fit(image, options.architecture.size)))
            thumbnails.append(compute_stats(image, *image.size).thumbnail)
            more.append(hashlib.sha256(image.tobytes()).digest())
        pairs = set(
            find_near_duplicates(
                pca_projection(np.concatenate([photos.vectors[:], vectors]), options.bottleneck_dir),
                np.concatenate([photos.thumbnails[:], thumbnails]),
                np.array([*digests, *more], digests.dtype),
                options.bottleneck_dir,
            ).pairs()
        )
        wanted = {(int(row), len(photos) + place) for place, row in enumerate(chosen)}
        print(f"| {seed} | {len(pairs & wanted)} | {len(pairs - wanted - before)} |", flush=True)


def altered(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a near-duplicate of a photo, made by one or two changes that are chosen at random from four kinds."""
    for way in rng.choice(4, rng.integers(1, 3), replace=False):
        width, height = image.size
        if way == 0:
            share = rng.uniform(0.4, 1.3)
            image = image.resize((round(width * share), round(height * share)))
        elif way == 1:
            image = compressed(image, int(rng.integers(25, 80)))
        elif way == 2:
            left, top = round(0.05 * width), round(0.05 * height)
            image = image.crop((left, top, width - left, height - top))
        else:
            image = ImageEnhance.Brightness(image).enhance(rng.uniform(1.15, 1.5))
    return compressed(image, 90)


def compressed(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return read_photo(file.getvalue())


def curve(photos: AuditPhotos, draws: int) -> None:
    count, half = min(1000, len(photos)), min(1000, len(photos)) // 2
    truth = measured(photos, np.arange(count))[0]
    print(f"{count} photos give {100 * truth:.1f} %")
    print(
        f"| seed | {half} photos | predicted for {2 * half} | interval | off by | covered |\n|--:|--:|--:|--:|--:|--:|"
    )
    off, bare, covered = [], [], []
    for seed in range(draws):
        rows = np.sort(np.random.default_rng(seed).permutation(count)[:half])
        accuracy, right, fold = measured(photos, rows)
        data = LabeledVectors(photos.vectors[rows], photos.classes[rows])
        doubled = learning_curve(data, fold, photos.labels, right, HeadOptions()).doubled
        low, high = doubled.interval
        off.append(100 * (doubled.accuracy - truth))
        bare.append(100 * (accuracy - truth))
        covered.append(low <= truth <= high)
        print(
            f"| {seed} | {100 * accuracy:.1f} | {100 * doubled.accuracy:.1f} | {100 * low:.1f} to {100 * high:.1f} |"
            f" {off[-1]:+.1f} | {'yes' if covered[-1] else 'no'} |",
            flush=True,
        )
    print(
        f"off by {np.mean(off):+.1f} on average, standard deviation {np.std(off):.1f} ({half} photos by themselves:"
        f" {np.std(bare):.1f}); within 2 points in {np.sum(np.abs(off) <= 2)} of {draws}, covered in {np.sum(covered)}"
    )


def measured(photos: AuditPhotos, rows: Indices) -> tuple[float, npt.NDArray[np.float64], Indices]:
    """Cross-validate heads on the photos with the given row numbers.

    Returns:
        The accuracy; for each photo, the fraction of the repetitions of the cross-validation in which its class was
        predicted correctly; and the number of its fold in the first repetition.
    """
    some = [photos.photos[row] for row in rows]
    folds, assignments = fit_folds(some, photos.vectors[rows], photos.labels, HeadOptions())
    found = evaluate_folds(some, photos.vectors[rows], photos.labels, folds, assignments)
    return found.accuracy, found.right / len(found.scores), assignments[0].fold


def calibration(photos: AuditPhotos) -> None:
    print("| seed | temperature | as trained | calibrated | photos |\n|--:|--:|--:|--:|--:|")
    pooled: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], Indices]] = []
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(photos))
        known, unseen = np.sort(order[: round(0.7 * len(order))]), order[round(0.7 * len(order)) :]
        names = [photos.photos[row] for row in known]
        data = TrainingData.of(names, photos.vectors[known], np.zeros(len(names), np.int8), photos.labels)  # all train
        options = HeadOptions(eval_step_interval=4000)
        training = LabeledVectors(photos.vectors[known], photos.classes[known])
        nobody = LabeledVectors(photos.vectors[:0], photos.classes[:0])
        head = train_head(training, nobody, len(photos.labels), options, lambda step, head: None)
        better, how = calibrate_head(head, data, predict_held_out(data, options))
        truth = photos.classes[unseen]
        scores = [one.scores(photos.vectors[unseen]) for one in (head, better)]
        assert (scores[0].argmax(axis=1) == scores[1].argmax(axis=1)).all()
        pooled.append((scores[0], scores[1], truth))
        errors = [f"{expected_calibration_error(some, truth):.3f}" for some in scores]
        print(f"| {seed} | {how.temperature if how else 1:.2f} | {' | '.join(errors)} | {len(truth)} |", flush=True)
    before, after, truth = (np.concatenate(parts) for parts in zip(*pooled, strict=True))
    errors = [f"{expected_calibration_error(some, truth):.3f}" for some in (before, after)]
    print(f"| all | | {' | '.join(errors)} | {len(truth)} |")


def exported(photos: AuditPhotos, options: AuditOptions) -> None:
    """Print the expected calibration error of each exported file on the held-out photos of three random splits."""
    pooled: dict[str, list[tuple[npt.NDArray[np.float32], Indices]]] = {}
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(photos))
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            for place, row in enumerate(order):
                photo = photos.photos[int(row)].photo
                to = work / "photos" / ("train" if place < 0.7 * len(order) else "test") / photo.label
                to.mkdir(parents=True, exist_ok=True)
                (to / photo.file.name).symlink_to(photo.file.resolve())
            training = TrainOptions(
                image_dir=work / "photos",
                architecture=options.architecture,
                bottleneck_dir=options.bottleneck_dir,
                model_dir=options.model_dir,
                output_graph=work / "graph.pb",
                output_labels=work / "labels.txt",
                summaries_dir=work / "summaries",
                runs_dir=None,
                folds=0,
            )
            train(training)
            files = export(ExportOptions(graph=work / "graph.pb", quantizations=("float32", "int8"))).files
            unseen = [photo for photo in scan(work / "photos").photos if photo.given_split == "test"]
            for file in files:
                scored = score_model(unseen, file.path)
                truth = np.array([photos.labels.index(photo.label) for photo in scored.photos], np.int64)
                pooled.setdefault(file.quantization, []).append((scored.scores, truth))
    print("| quantization | expected calibration error | photos |\n|---|--:|--:|")
    for quantization, parts in pooled.items():
        scores, truth = (np.concatenate(of) for of in zip(*parts, strict=True))
        print(f"| {quantization} | {expected_calibration_error(scores, truth):.3f} | {len(truth)} |")


if __name__ == "__main__":
    main()
