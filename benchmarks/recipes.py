"""Reference programs without poets_edge, which benchmarks run with the same weights and photos."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from PIL import Image


def keras_recipe(photos: Path, model: Any, size: tuple[int, int]) -> Any:
    """Return bottlenecks computed as in Keras tutorials, by `model.predict` on batches of 32 photos.

    The batches are read by `image_dataset_from_directory`.
    """
    import keras

    data = keras.utils.image_dataset_from_directory(
        photos, image_size=size, batch_size=32, shuffle=False, label_mode=None, verbose=False
    )
    return model.predict(data.map(keras.applications.mobilenet.preprocess_input), verbose=0)


def bare_loop(paths: Sequence[Path], model: Path, size: tuple[int, int], threads: int) -> dict[Path, Any]:
    """Return the bottleneck of each photo, computed with only Pillow and one interpreter per thread."""
    from ai_edge_litert.interpreter import Interpreter

    todo: SimpleQueue[Path] = SimpleQueue()
    for path in paths:
        todo.put(path)
    vectors: dict[Path, Any] = {}

    def work() -> None:
        interpreter = Interpreter(str(model), num_threads=1)
        interpreter.allocate_tensors()
        start = interpreter.get_input_details()[0]["index"]
        end = interpreter.get_output_details()[0]["index"]
        while True:
            try:
                path = todo.get_nowait()
            except Empty:
                return
            image = Image.open(path).convert("RGB").resize(size, Image.Resampling.BILINEAR)
            interpreter.set_tensor(start, (np.asarray(image, np.float32) / 127.5 - 1)[None])
            interpreter.invoke()
            vectors[path] = interpreter.get_tensor(end)[0]

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return vectors


BARE_LABEL_SCRIPT = """
import sys
import numpy as np
from PIL import Image
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1])
interpreter.allocate_tensors()
start, end = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
height, width = start["shape"][1:3]
image = Image.open(sys.argv[2]).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
interpreter.set_tensor(start["index"], (np.asarray(image, np.float32) / 127.5 - 1)[None])
interpreter.invoke()
scores = interpreter.get_tensor(end["index"])[0]
labels = open(sys.argv[3]).read().split()
for index in scores.argsort()[::-1]:
    print(f"{labels[index]} (score = {scores[index]:.5f})")
"""

KERAS_HEAD_SCRIPT = """
import sys
import keras
import numpy as np
photos, backbone = sys.argv[1:3]
batch = 100
base = keras.saving.load_model(backbone)
size = base.input_shape[1:3]
data = keras.utils.image_dataset_from_directory(
    photos, image_size=size, batch_size=32, validation_split=0.2, subset="training", shuffle=False, verbose=False)
classes = len(data.class_names)
labels = np.concatenate([some for _, some in data.map(lambda pictures, some: (0, some))])
vectors = base.predict(data.map(lambda pictures, some: pictures / 127.5 - 1), verbose=0)
head = keras.Sequential([keras.layers.Input((vectors.shape[1],)), keras.layers.Dense(classes, activation="softmax")])
head.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
head.fit(vectors, labels, batch_size=batch, epochs=4000 // -(-len(vectors) // batch), verbose=0)
"""
"""Fastest Keras program that trains a last layer: it computes bottlenecks once, runs 4,000 steps, and writes no file.

Arguments: folder of photos, `.keras` file of the backbone."""

KERAS_SCRIPT = (
    KERAS_HEAD_SCRIPT
    + """
import tensorflow as tf
pictures = keras.Input((*size, 3))
model = keras.Model(pictures, head(base(pictures)))
with open(sys.argv[3], "wb") as file:
    file.write(tf.lite.TFLiteConverter.from_keras_model(model).convert())
"""
)
"""KERAS_HEAD_SCRIPT, followed by the conversion to a float `.tflite`, whose path is the third argument."""

KERAS_TUNING_SCRIPT = """
import sys
import keras
folder, backbone, first, rate, epochs = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5])
backbone = keras.saving.load_model(backbone)
data = keras.utils.image_dataset_from_directory(
    folder, image_size=backbone.input_shape[1:3], batch_size=32, label_mode="categorical", seed=0, verbose=False
)
classes = len(data.class_names)
steps = int(data.cardinality())
data = data.cache().prefetch(2)
trainable = False
for layer in backbone.layers:
    trainable = trainable or layer.name == first
    layer.trainable = trainable and not isinstance(layer, keras.layers.BatchNormalization)
model = keras.Sequential([
    keras.layers.RandomFlip("horizontal"),
    keras.layers.RandomZoom((-0.4, 0.0), (-0.4, 0.0)),
    keras.layers.Rescaling(1 / 127.5, -1),
    backbone,
    keras.layers.Dense(classes, activation="softmax"),
])
model.compile(
    keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(rate, epochs * steps)),
    keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
    metrics=["accuracy"],
)
model.fit(data, epochs=epochs, verbose=0)
"""
"""Fine-tuning program as a Keras user would write it: photos cached in memory, random crops and flips as layers.

Arguments: folder of photos, `.keras` file of the backbone, name of the first trained layer, learning rate, epochs."""
