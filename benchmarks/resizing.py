"""Compare three ways of resizing photos by the accuracy of models from other programs and by agreement with MediaPipe.

    python -m benchmarks.resizing MODELS_DIR PHOTOS_DIR

MODELS_DIR, such as ../shared/cases/models, contains .tflite files with an input size of 128 x 128 pixels and their
labels.txt. Accuracy is measured on all photos, and agreement with MediaPipe's ImageClassifier on every fifth photo.
Prints a Markdown table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import mediapipe
import numpy as np
import numpy.typing as npt
from PIL import Image

from poets_edge.core.files import scratch_folder
from poets_edge.device.classifier import Classifier
from poets_edge.exporting.annotate import annotate
from poets_edge.photos.folder import scan
from poets_edge.photos.image import fit, read_photo
from poets_edge.photos.interpolation import interpolate

_RANGES = {
    "tut_rescale_inside.tflite": None,
    "tut_rescale_inside_uint8.tflite": None,
    "frigate_uint8.tflite": None,
    "ei_int8.tflite": None,
    "f01.tflite": "0:1",
    "uint8_metadata_127.tflite": None,
    "uint8_metadata_255.tflite": None,
    "logits.tflite": "-1:1",
    "codelab.lite": "-1:1",
}
"""Input range of each model file, as passed to `Classifier`; None if `Classifier` can determine it."""
_SIZE = (128, 128)
_EVERY = 5

_Answers = npt.NDArray[np.int64]


def half_pixel(image: Image.Image, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resize without antialiasing, with samples at the centers of pixels, as TensorFlow 2's `tf.image.resize` does."""
    values = np.asarray(image, np.float32)
    for axis, length in enumerate(size):
        place = np.clip((np.arange(length) + 0.5) * values.shape[axis] / length - 0.5, 0, values.shape[axis] - 1)
        first = np.floor(place).astype(int)
        weight = (place - first).reshape([-1 if one == axis else 1 for one in range(3)]).astype(np.float32)
        second = np.minimum(first + 1, values.shape[axis] - 1)
        values = np.take(values, first, axis) * (1 - weight) + np.take(values, second, axis) * weight
    return np.rint(values).astype(np.uint8)


_RESIZES: dict[str, Callable[[Image.Image, tuple[int, int]], npt.NDArray[np.uint8]]] = {
    "antialiasing": fit,
    "half-pixel": half_pixel,
    "as MediaPipe": interpolate,
}


def mediapipe_answers(model: Path, labels: tuple[str, ...], images: list[npt.NDArray[np.uint8]]) -> _Answers:
    """Return, for each image, the index of the label to which MediaPipe gives the highest score."""
    vision = mediapipe.tasks.vision
    options = vision.ImageClassifierOptions(base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(model)))
    answers = []
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for pixels in images:
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
            categories = classifier.classify(image).classifications[0].categories
            answers.append(labels.index(max(categories, key=lambda one: one.score).category_name))
    return np.array(answers)


def main(models: Path, photos: Path) -> None:
    """Print a table with the accuracy of each model, and its agreement with MediaPipe, for each resizing method."""
    table = scan(photos).photos
    images = [read_photo(photo.file) for photo in table]
    pixels = {name: [resize(image, _SIZE) for image in images] for name, resize in _RESIZES.items()}
    shown = [np.ascontiguousarray(np.asarray(image)) for image in images[::_EVERY]]
    names = list(_RESIZES)
    heads = [f"{what}, {name}" for what in ("accuracy", "agrees") for name in names]
    print(f"| model | {' | '.join(heads)} |")
    print(f"|---|{'--:|' * 2 * len(names)}")
    for file, input_range in _RANGES.items():
        labels = models / "labels.txt"
        classifier = Classifier(models / file, labels=labels, input_range=input_range)
        truth = np.array([classifier.labels.index(photo.label) for photo in table])
        answers = {
            name: np.array([int(classifier.score_pixels(one).argmax()) for one in given])
            for name, given in pixels.items()
        }
        with scratch_folder() as folder:
            written = annotate(models / file, labels=labels, input_range=input_range, output=folder / "model.tflite")
            theirs = mediapipe_answers(written.path, classifier.labels, shown)
        accuracies = [f"{100 * (answers[name] == truth).mean():.1f} %" for name in names]
        agreements = [f"{(answers[name][::_EVERY] == theirs).sum()} of {len(theirs)}" for name in names]
        print(f"| `{file}` | {' | '.join(accuracies)} | {' | '.join(agreements)} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
