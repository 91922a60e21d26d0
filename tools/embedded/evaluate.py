"""Evaluate a backbone by the accuracy of classification layers ("heads") that are trained on its features.

Input: a folder of photos with one subfolder per class, and weights. The photos are split into two random halves; a head
is trained on each half with default options and tested on the other, so every photo is tested once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poets_edge.nets.architectures import architecture
from poets_edge.photos.folder import scan
from poets_edge.photos.image import fit, normalizer, read_photo
from poets_edge.photos.normalization import BACKBONE
from poets_edge.training.head import HeadOptions, Indices, LabeledVectors, Matrix, train_head

ARCHITECTURE = architecture("mobilenet_0.25_128")


def read_photos(folder: Path) -> tuple[Matrix, Indices]:
    """Return the photos in a folder, float32 [N, 128, 128, 3] with values from -1 to 1, and their class numbers [N]."""
    found = scan(folder)
    normalize = normalizer(BACKBONE)
    images = np.empty((len(found.photos), *ARCHITECTURE.size, 3), np.float32)
    for photo, image in zip(found.photos, images, strict=True):
        normalize(fit(read_photo(photo.file), ARCHITECTURE.size), image)
    return images, np.array([found.classes.index(photo.label) for photo in found.photos])


def features(images: Matrix, weights: Path | None) -> Matrix:
    """Return pooled features of images, computed with Keras's MobileNet V1 0.25.

    Args:
        images: float32 [N, 128, 128, 3] with values from -1 to 1.
        weights: weights file, `.npz` or in a format of Keras; None for random weights.

    Returns:
        float32 [N, 256].
    """
    import keras

    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNet((*ARCHITECTURE.size, 3), alpha=0.25, include_top=False, weights=None)
    if weights is not None and weights.suffix == ".npz":
        with np.load(weights) as stored:
            model.set_weights([stored[f"arr_{index}"].astype(np.float32) for index in range(len(stored.files))])
    elif weights is not None:
        model.load_weights(weights)
    pooled: Matrix = np.asarray(model.predict(images, batch_size=50, verbose=0), np.float32).mean(axis=(1, 2))
    return pooled


def last_layer_accuracy(vectors: Matrix, classes: Indices, seed: int = 0) -> float:
    """Return the accuracy of a last layer that is trained on features, by two-fold cross-validation.

    The photos are divided at random into two halves. A layer is trained on each half and classifies the other half, so
    each photo is classified once, by a layer that was not trained on it.

    Args:
        vectors: features of the photos, float32 [N, 256].
        classes: class numbers of the photos, [N].
        seed: random seed for dividing the photos into halves.
    """
    order = np.random.default_rng(seed).permutation(len(classes))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    nothing = LabeledVectors(vectors[:0], classes[:0])
    right = 0
    for known, asked in (halves, halves[::-1]):
        training = LabeledVectors(vectors[known], classes[known])
        head = train_head(training, nothing, int(classes.max()) + 1, HeadOptions(), lambda step, head: None)
        right += int((head.scores(vectors[asked]).argmax(axis=1) == classes[asked]).sum())
    return right / len(classes)
