"""How good each point of a grid is: cross-validated on every photo, float32 and int8 on the same ones.

float32 is judged from the bottlenecks that training has cached. int8 is judged as well from features of its own, those
of the exported int8 network up to its last layer, computed once for each photo and cached. The heads are those that
were fitted to float32's bottlenecks, as the head of the exported file was; for int8 their weights and logits are
rounded to 8 bits as the converter rounds that file's. What this estimates is in
`poets_edge.train.cross_validation`; for int8 one thing more is not in it: the photos that have set the ranges of its
integers (without their classes) are among those judged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from poets_edge.core.files import sha256_of, write_text
from poets_edge.core.helper_pool import HelperPool
from poets_edge.core.processes import Helper
from poets_edge.errors import ModelError
from poets_edge.grid.checkpoints import JUDGED, Answer, read_note
from poets_edge.grid.options import GridOptions
from poets_edge.grid.validation_worker import do, int8_key
from poets_edge.nets.architectures import Architecture
from poets_edge.nets.weights import find_weights
from poets_edge.photos.folder import scan
from poets_edge.photos.image import Pixels
from poets_edge.photos.table import HashedPhotos
from poets_edge.progress import Reporter
from poets_edge.tflite.session import Session
from poets_edge.train.backbone import prepare_backbone
from poets_edge.train.bottleneck_cache import BottleneckCache, Vector, open_cache
from poets_edge.train.bottlenecks import HashedPhoto, Place, bottleneck_blocks, bottlenecks, hash_photos

FEATURES = "int8_features.tflite"
"""The int8 network up to its last layer, in an architecture's folder."""

_JUDGED = "judged.json"
_FORMAT = 2
_CACHE = "int8_features.sqlite"


@dataclass(frozen=True)
class Int8Place:
    """The int8 network of one architecture up to its last layer, and the cache that keeps its features."""

    model: Path
    digest: str
    name: str
    size: tuple[int, int]
    cache: BottleneckCache

    def key(self, digest: bytes, variant: str) -> bytes:
        """Of this very file: another calibration gives another network."""
        return int8_key(digest, self.digest)

    def extractor(self) -> Callable[[Pixels], Vector]:
        """For one thread: pixels (uint8 [height, width, 3]) -> features (float32 [bottleneck_size])."""
        session = Session(self.model)
        pixels, features = session.inputs[0], session.outputs[0]
        if pixels.dtype != np.uint8:
            raise ModelError(f"{self.model}: takes {pixels.dtype}, where pixels were expected.")
        return lambda picture: features.dequantize(session.run(picture[None])[0])


def judge_all(
    options: GridOptions, done: Mapping[Architecture, Answer], reporter: Reporter
) -> dict[Architecture, Answer]:
    """Judge float32 and int8 of each architecture on all photos, now or, of the same files, before.

    Args:
        done: what `poets_edge.grid.training.retrain_all` gave.

    Returns:
        For each what `poets_edge.grid.validation_worker` answered.

    Raises:
        OutputError: a file cannot be written; what is judged stays judged.
    """
    keys = {architecture: _key(options, answer) for architecture, answer in done.items()}
    judged = {
        architecture: read_note(options.folder(architecture) / _JUDGED, JUDGED, key, reporter)
        for architecture, key in keys.items()
    }
    todo = [architecture for architecture, answer in judged.items() if answer is None]
    if todo:
        hashed = hash_photos(scan(options.image_dir, recursive=options.recursive).photos, options.bottleneck_dir)
        photos = hashed.readable
        with HelperPool(do) as helpers:
            helpers.start(len(todo))
            digests = _fill_caches(options, todo, photos, reporter)
            floats = {architecture: _float_cache(options, architecture, photos, reporter) for architecture in todo}
            files = [[str(item.photo.path), item.photo.name, item.photo.label, item.digest.hex()] for item in photos]

            def work(architecture: Architecture, helper: Helper[Answer, Answer]) -> Answer:
                question = {
                    "photos": files,
                    "float_cache": str(floats[architecture]),
                    "int8_cache": str(options.folder(architecture) / _CACHE),
                    "int8_digest": digests[architecture],
                    "head": asdict(options.head),
                    "folds": options.folds,
                }
                return _write(options.folder(architecture), keys[architecture], helper.ask(question, architecture.name))

            with reporter.progress("judging on all photos", len(todo), "architecture") as advance:
                for architecture, answer in helpers.share(todo, work):
                    judged[architecture] = answer
                    advance(1)
    return {architecture: answer for architecture, answer in judged.items() if answer is not None}


def _fill_caches(
    options: GridOptions, architectures: Sequence[Architecture], photos: Sequence[HashedPhoto], reporter: Reporter
) -> dict[Architecture, str]:
    """Compute the int8 features of all architectures, each photo decoded once; gives the networks' checksums."""
    digests = {architecture: sha256_of(options.folder(architecture) / FEATURES) for architecture in architectures}
    with ExitStack() as stack:
        places = []
        for architecture, digest in digests.items():
            folder = options.folder(architecture)
            cache, damaged = stack.enter_context(open_cache(folder / _CACHE))
            if damaged:
                reporter.warn(f"{folder / _CACHE} was damaged; it was moved to {damaged} and is made again.")
            name = f"{architecture.backbone} int8"
            places.append(Int8Place(folder / FEATURES, digest, name, architecture.size, cache))
        for _ in bottlenecks(photos, places, reporter, what="int8 features"):
            pass  # each is in its cache before it is given; unreadable photos were reported when training
    return digests


def _float_cache(
    options: GridOptions, architecture: Architecture, photos: Sequence[HashedPhoto], reporter: Reporter
) -> Path:
    """Where float32's bottlenecks are; those that somebody has deleted since training are computed again."""
    weights = find_weights(architecture, options.model_dir, reporter=reporter)
    backbone = prepare_backbone(architecture, weights, options.bottleneck_dir)
    with open_cache(backbone.cache_file) as (cache, damaged):
        if damaged:
            reporter.warn(f"the bottleneck cache was damaged; it was moved to {damaged} and is made again.")
        for _ in bottleneck_blocks(HashedPhotos.of(photos), [Place(backbone, cache)], reporter):
            pass
    return backbone.cache_file


def _key(options: GridOptions, answer: Answer) -> str:
    """Names everything that a judgment follows from: the retrained files' own key, and the folds."""
    inputs = [_FORMAT, answer["key"], answer["features_sha256"], options.folds]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def _write(folder: Path, key: str, answer: Answer) -> Answer:
    noted = {**answer, "key": key}
    write_text(folder / _JUDGED, json.dumps(noted, ensure_ascii=False, allow_nan=False) + "\n")
    return noted
