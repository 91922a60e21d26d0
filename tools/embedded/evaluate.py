"""What the student is worth: last-layer accuracy on photos that it has never seen.

In: a folder of photos, one sub-folder a class, and weights in the order of the Keras model's `get_weights()`.
The photos are split in half by a fixed draw; a softmax layer is trained on one half and tested on the other, then
the other way round, so every photo is tested once. Features are standardized and the penalty is fixed beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 128


def flowers(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Every photo in `folder`, uint8 [N, 128, 128, 3], and the number of its class, int [N]."""
    images, labels = [], []
    for number, part in enumerate(sorted(p for p in folder.iterdir() if p.is_dir())):
        for path in sorted(part.glob("*.jpg")):
            with Image.open(path) as image:
                images.append(np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)))
            labels.append(number)
    return np.stack(images), np.array(labels)


def keras_features(weights: list[np.ndarray] | Path | None) -> Callable[[np.ndarray], np.ndarray]:
    """The features of Keras's MobileNet V1 0.25 at 128 px: with these weights, that file, or random ones."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNet(
        input_shape=(SIZE, SIZE, 3), alpha=0.25, include_top=False, pooling="avg", weights=None
    )
    if isinstance(weights, Path):
        model.load_weights(weights)
    elif weights is not None:
        model.set_weights(weights)
    return lambda images: np.asarray(model.predict(images / np.float32(127.5) - 1, batch_size=50, verbose=0))


def last_layer_accuracy(features: np.ndarray, labels: np.ndarray, seed: int = 0) -> float:
    """Share of photos that a softmax layer trained on the other half names rightly."""
    order = np.random.default_rng(seed).permutation(len(labels))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    right = 0
    for train, test in (halves, halves[::-1]):
        mean, spread = features[train].mean(0), features[train].std(0) + 1e-3
        x, y = (features - mean) / spread, np.eye(labels.max() + 1)[labels]
        layer = _softmax_layer(x[train], y[train])
        right += int((np.argmax(x[test] @ layer[:-1] + layer[-1], 1) == labels[test]).sum())
    return right / len(labels)


def _softmax_layer(x: np.ndarray, y: np.ndarray, steps: int = 600, rate: float = 0.05) -> np.ndarray:
    """Weights [features + 1, classes] after full-batch descent with momentum and a small L2 penalty."""
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    layer, speed = np.zeros((x.shape[1], y.shape[1])), 0.0
    for _ in range(steps):
        scores = x @ layer
        chances = np.exp(scores - scores.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        speed = 0.9 * speed - rate * (x.T @ (chances - y) / len(x) + 0.01 * layer)
        layer = layer + speed
    return layer
