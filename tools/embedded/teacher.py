"""First stage of the distillation: crop the photos, and write the teacher's features for each crop.

Input: a folder of photos and the teacher's weights. Output: for each round, two arrays with one row per photo:

    crops-RR.npy    uint8   [photos, 128, 128, 3]    the crop at the student's input size
    answers-RR.npy  float16 [photos, 4, 4, 256]      the teacher's last feature map for the crop

The teacher gets the crop at its own input size. Its features are standardized with the mean and standard deviation of
pooled features from a sample of photos, and projected onto their 256 principal axes (`axes.npz`), which nearly
preserves distances and saves disk space. The pooled features are the mean over a map, so they need no separate array.
"""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from poets_edge.core.files import replacing

STUDENT_SIZE = 128
MAP_SIZE = 4
AXES = 256
_SAMPLE = 2000  # number of photos for computing the axes


@dataclass(frozen=True)
class Teacher:
    """Teacher network of the distillation, a MobileNet V1.

    Attributes:
        alpha: width multiplier.
        size: height and width of its input in pixels.
        weights: Keras weights file without the classification layer (`..._tf_no_top.h5`).
    """

    alpha: float
    size: int
    weights: Path


def write_rounds(photos: Path, teacher: Teacher, out: Path, rounds: int, workers: int = 2) -> None:
    """Write rounds, numbered from 0, into the folder `out`; existing rounds are kept.

    A round consists of one random crop of each photo and the teacher's features for the crops.

    Args:
        photos: folder of JPEG photos.
        teacher: the teacher network.
        out: output folder.
        rounds: number of rounds, including existing ones.
        workers: number of processes.
    """
    paths = sorted(photos.rglob("*.jpg"))
    model = _converted(teacher, out)
    with multiprocessing.get_context("spawn").Pool(workers, _start, (model, teacher.size)) as pool:
        axes = _axes(pool, paths, out)
        for number in range(rounds):
            if (out / f"answers-{number:02d}.npy").exists():
                continue
            crops = np.empty((len(paths), STUDENT_SIZE, STUDENT_SIZE, 3), np.uint8)
            answers = np.empty((len(paths), MAP_SIZE, MAP_SIZE, AXES), np.float16)
            jobs = ((path, (number, index)) for index, path in enumerate(paths))
            seen = pool.imap(_crop_and_features, jobs, chunksize=32)
            for index, (crop, features) in enumerate(
                tqdm(seen, total=len(paths), desc=f"round {number}", mininterval=2)
            ):
                crops[index] = crop
                answers[index] = (features - axes["mean"]) / axes["spread"] @ axes["axes"]
            for name, array in (("crops", crops), ("answers", answers)):
                with replacing(out / f"{name}-{number:02d}.npy") as path, path.open("wb") as file:
                    np.save(file, array)


def crop_box(rng: np.random.Generator, width: int, height: int) -> tuple[float, float, float, float]:
    """Return a random box (left, top, right, bottom) with 30 to 100 % of a picture's area.

    The aspect ratio of the box is between 3:4 and 4:3.
    """
    while True:
        area = width * height * rng.uniform(0.3, 1.0)
        ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = np.sqrt(area * ratio), np.sqrt(area / ratio)
        if w <= width and h <= height:
            left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
            return left, top, left + w, top + h


def area_weights(inputs: int, outputs: int) -> np.ndarray:
    """Return the matrix [outputs, inputs] that divides a row of `inputs` cells into equal intervals and averages each.

    Cells that lie in several intervals contribute to each in proportion to their overlap.
    """
    edges = np.linspace(0, inputs, outputs + 1)
    cells = np.arange(inputs)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return np.asarray(np.clip(overlap, 0, None) * outputs / inputs, np.float32)


def _converted(teacher: Teacher, out: Path) -> Path:
    """Convert the teacher network to a `.tflite` file whose output is the last feature map; return the file's path."""
    path = out / f"teacher_{teacher.alpha:g}_{teacher.size}.tflite"
    if not path.exists():
        import keras
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        shape = (teacher.size, teacher.size, 3)
        model = keras.applications.MobileNet(input_shape=shape, alpha=teacher.alpha, include_top=False, weights=None)
        model.load_weights(teacher.weights)
        function = tf.function(
            lambda x: model(x, training=False), input_signature=[tf.TensorSpec((1, *shape), tf.float32)]
        )
        # Frozen first, since the direct conversion gives NaN (TensorFlow 2.21).
        frozen = convert_variables_to_constants_v2(function.get_concrete_function())
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
        with replacing(path) as temporary:
            temporary.write_bytes(converter.convert())
    return path


def _axes(pool: Any, paths: list[Path], out: Path) -> dict[str, np.ndarray]:
    """Return the mean, standard deviation and principal axes of the teacher's pooled features.

    The keys are "mean", "spread" and "axes". The values are computed from a sample of uncropped photos, and saved as
    `axes.npz`.
    """
    path = out / "axes.npz"
    if not path.exists():
        jobs = [(photo, None) for photo in paths[:_SAMPLE]]
        maps = [
            features
            for _, features in tqdm(pool.imap(_crop_and_features, jobs, chunksize=32), total=len(jobs), desc="axes")
        ]
        pooled = np.stack(maps).mean((1, 2))
        mean, spread = pooled.mean(0), pooled.std(0) + 1e-3
        _, strength, axes = np.linalg.svd((pooled - mean) / spread, full_matrices=False)
        kept = (strength[:AXES] ** 2).sum() / (strength**2).sum()
        print(f"{AXES} axes keep {kept:.1%} of the variance of the pooled features")
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, mean=mean, spread=spread, axes=axes[:AXES].T)
    return dict(np.load(path))


_interpreter: Any = None
_size = 0


def _start(model: Path, size: int) -> None:
    global _interpreter, _size
    from ai_edge_litert.interpreter import Interpreter

    _interpreter, _size = Interpreter(str(model), num_threads=1), size
    _interpreter.allocate_tensors()


def _crop_and_features(job: tuple[Path, tuple[int, int] | None]) -> tuple[np.ndarray, np.ndarray]:
    """Return a crop of a photo for the student, and the teacher's feature map for the same crop.

    Args:
        job: path of the photo, and a seed for the crop; None for the whole photo.

    Returns:
        The crop, uint8 [128, 128, 3], and the feature map, float32 [4, 4, channels].
    """
    path, seed = job
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    box: tuple[float, float, float, float] = (0.0, 0.0, float(image.width), float(image.height))
    if seed is not None:
        rng = np.random.default_rng(seed)
        box = crop_box(rng, image.width, image.height)
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    sizes = (STUDENT_SIZE, _size)
    small, large = (np.asarray(image.resize((s, s), Image.Resampling.BILINEAR, box=box)) for s in sizes)
    _interpreter.set_tensor(_interpreter.get_input_details()[0]["index"], (large.astype(np.float32) / 127.5 - 1)[None])
    _interpreter.invoke()
    features = _interpreter.get_tensor(_interpreter.get_output_details()[0]["index"])[0]
    shrink = area_weights(features.shape[0], MAP_SIZE)
    return small, np.einsum("yh,hwc,xw->yxc", shrink, features, shrink, optimize=True)
