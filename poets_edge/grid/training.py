"""Retraining and exporting many architectures on the same photos, which are decoded once for all of them.

Each finished architecture is noted in its folder, with a checksum of all that its files follow from, so that the next
run takes it as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from poets_edge.core.files import sha256_of, write_text
from poets_edge.core.helper_pool import HelperPool
from poets_edge.core.processes import Helper
from poets_edge.errors import DatasetError, OutputError, PhotoError
from poets_edge.grid.checkpoints import RETRAINED, Answer, read_note
from poets_edge.grid.options import GridOptions
from poets_edge.grid.training_worker import do, pixel_cache
from poets_edge.grid.validation import FEATURES
from poets_edge.nets.architectures import Architecture
from poets_edge.nets.weights import Weights, find_weights
from poets_edge.photos.folder import scan
from poets_edge.photos.split import split
from poets_edge.photos.table import HashedPhotos
from poets_edge.progress import Reporter
from poets_edge.train.backbone import prepare_backbone
from poets_edge.train.bottleneck_cache import open_cache
from poets_edge.train.bottlenecks import HashedPhoto, Place, bottlenecks, hash_photos
from poets_edge.train.cluster import compute_on_cluster
from poets_edge.train.record import versions

_DONE = "done.json"
_FORMAT = 2
"""Raise when the note of a finished architecture, or a file beside it, changes."""


def retrain_all(options: GridOptions, reporter: Reporter) -> dict[Architecture, Answer]:
    """The exported files of each architecture, made now or before.

    Returns:
        For each what `poets_edge.grid.training_worker` answered, with the files' checksums.

    Raises:
        DatasetError: the folder cannot be trained on.
        WeightsError: weights of an architecture are missing; nothing has been done then.
        OutputError: a file cannot be written; finished architectures stay.
    """
    reporter.status(f"looking for photos in {options.image_dir}")
    folder = scan(options.image_dir, recursive=options.recursive)
    if "test" not in split(folder.photos, options.percentages).values():
        raise DatasetError(f"{options.image_dir}: no photo is in the test set, so nothing can be compared. Add photos.")
    weights = {
        architecture: find_weights(architecture, options.model_dir, reporter=reporter)
        for architecture in options.architectures
    }
    hashed = hash_photos(folder.photos, options.bottleneck_dir, rehash=options.rehash)
    keys = {architecture: _key(options, hashed, weights[architecture]) for architecture in options.architectures}
    done = {architecture: _read_done(options.folder(architecture), key, reporter) for architecture, key in keys.items()}
    todo = [architecture for architecture, answer in done.items() if answer is None]
    if len(todo) < len(done):
        reporter.note(f"{len(done) - len(todo)} of {len(done)} architectures were done before.")
    if todo:
        photos = hashed.readable
        with HelperPool(partial(do, pictures=pixel_cache())) as helpers, _saying_what_stays(options, keys):
            _build_backbones(options, todo, helpers, reporter)
            _fill_caches(options, todo, weights, photos, reporter)

            def work(architecture: Architecture, helper: Helper[Answer, Answer]) -> Answer:
                answer = helper.ask(_question(options, architecture), architecture.name)
                _check_unchanged(options, photos, answer.pop("photos"))
                # Noted at once: another architecture may fail before this one's turn comes.
                return _write_done(options.folder(architecture), keys[architecture], answer)

            with reporter.progress("retraining and exporting", len(todo), "architecture") as advance:
                for architecture, answer in helpers.share(todo, work):
                    done[architecture] = answer
                    advance(1)
    return {architecture: answer for architecture, answer in done.items() if answer is not None}


@contextmanager
def _saying_what_stays(options: GridOptions, keys: Mapping[Architecture, str]) -> Iterator[None]:
    try:
        yield
    except OutputError as error:
        finished = [name for name, key in keys.items() if _read_done(options.folder(name), key)]
        raise OutputError(
            f"{error} {len(finished)} of {len(keys)} architectures are done and stay; free some space and run again."
        ) from None


def _build_backbones(
    options: GridOptions, architectures: Sequence[Architecture], helpers: HelperPool[Answer, Answer], reporter: Reporter
) -> None:
    def work(architecture: Architecture, helper: Helper[Answer, Answer]) -> Answer:
        question = {
            "task": "backbone",
            "architecture": architecture.name,
            "model_dir": str(options.model_dir),
            "bottleneck_dir": str(options.bottleneck_dir),
        }
        return helper.ask(question, architecture.name)

    with reporter.progress("reading weights", len(architectures), "architecture") as advance:
        for _ in helpers.share(architectures, work):
            advance(1)


def _fill_caches(
    options: GridOptions,
    architectures: Sequence[Architecture],
    weights: Mapping[Architecture, Weights],
    photos: HashedPhotos,
    reporter: Reporter,
) -> None:
    """Compute the bottlenecks of all architectures; `train` finds them afterwards."""
    with ExitStack() as stack:
        places = []
        for architecture in architectures:
            backbone = prepare_backbone(architecture, weights[architecture], options.bottleneck_dir)
            cache, damaged = stack.enter_context(open_cache(backbone.cache_file))
            if damaged:
                reporter.warn(f"the bottleneck cache was damaged; it was moved to {damaged} and is made again.")
            places.append(Place(backbone, cache))
        if options.cluster:
            compute_on_cluster(options.cluster, photos, places, reporter)
        readable = sum(not isinstance(result, PhotoError) for _, result in bottlenecks(photos, places, reporter))
    if not readable:
        raise DatasetError(f"{options.image_dir}: none of its {len(photos)} photos can be read.")


def _check_unchanged(options: GridOptions, photos: Sequence[HashedPhoto], trained_on: Mapping[str, str]) -> None:
    """Check that the photos are still those of the checksums their results will be noted under."""
    for item in photos:
        if trained_on.get(item.photo.name, item.digest.hex()) != item.digest.hex():
            raise DatasetError(
                f"{options.image_dir}: {item.photo.name} changed while the grid was running. Run again; finished"
                " work is kept."
            )


def _question(options: GridOptions, architecture: Architecture) -> Answer:
    return {
        "task": "retrain",
        "architecture": architecture.name,
        "folder": str(options.folder(architecture)),
        "image_dir": str(options.image_dir),
        "model_dir": str(options.model_dir),
        "bottleneck_dir": str(options.bottleneck_dir),
        "percentages": asdict(options.percentages),
        "head": asdict(options.head),
        "fine_tuning": asdict(options.fine_tuning),
        "recursive": options.recursive,
        "calibration_count": options.calibration_count,
    }


def _key(options: GridOptions, hashed: Sequence[HashedPhoto | PhotoError], weights: Weights) -> str:
    """Names everything that the exported files of an architecture follow from."""
    photos = [(item.photo.name, item.digest.hex()) if isinstance(item, HashedPhoto) else str(item) for item in hashed]
    inputs = [
        _FORMAT,
        photos,
        weights.digest,
        versions(),
        asdict(options.percentages),
        asdict(options.head),
        options.calibration_count,
        *([asdict(options.fine_tuning)] if options.fine_tuning.blocks else []),
    ]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def _read_done(folder: Path, key: str, reporter: Reporter | None = None) -> Answer | None:
    """The note about a finished architecture, if it is this one and its files have not changed."""
    answer = read_note(folder / _DONE, RETRAINED, key, reporter)
    if answer is None:
        return None
    try:
        intact = all(sha256_of(folder / file["file"]) == file["sha256"] for file in answer["files"])
        return answer if intact and sha256_of(folder / FEATURES) == answer["features_sha256"] else None
    except OSError:
        return None


def _write_done(folder: Path, key: str, answer: Answer) -> Answer:
    files = [{**file, "sha256": sha256_of(folder / file["file"])} for file in answer["files"]]
    noted = {**answer, "files": files, "features_sha256": sha256_of(folder / FEATURES), "key": key}
    write_text(folder / _DONE, json.dumps(noted, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return noted
