"""Reference programs without poets_edge, with equal weights and photos."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from PIL import Image


def keras_recipe(photos: Path, model: Any, size: tuple[int, int]) -> Any:
    """Compute bottlenecks like Keras's tutorial: image_dataset_from_directory, batches of 32, model.predict."""
    import keras

    data = keras.utils.image_dataset_from_directory(
        photos, image_size=size, batch_size=32, shuffle=False, label_mode=None, verbose=False
    )
    return model.predict(data.map(keras.applications.mobilenet.preprocess_input), verbose=0)


def bare_loop(paths: Sequence[Path], model: Path, size: tuple[int, int], threads: int) -> dict[Path, Any]:
    """Compute bottlenecks with nothing but Pillow and one interpreter per thread; return them by photo."""
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

KERAS_SCRIPT = """
import sys
import keras
import numpy as np
import tensorflow as tf
photos, output = sys.argv[1:]
size, batch = (224, 224), 100
data = keras.utils.image_dataset_from_directory(
    photos, image_size=size, batch_size=32, validation_split=0.2, subset="training", shuffle=False, verbose=False)
classes = len(data.class_names)
labels = np.concatenate([some for _, some in data.map(lambda pictures, some: (0, some))])
base = keras.applications.MobileNet((*size, 3), alpha=0.5, include_top=False, pooling="avg", weights="imagenet")
prepare = keras.applications.mobilenet.preprocess_input
vectors = base.predict(data.map(lambda pictures, some: prepare(pictures)), verbose=0)
head = keras.Sequential([keras.layers.Input((vectors.shape[1],)), keras.layers.Dense(classes, activation="softmax")])
head.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
head.fit(vectors, labels, batch_size=batch, epochs=4000 // -(-len(vectors) // batch), verbose=0)
pictures = keras.Input((*size, 3))
model = keras.Model(pictures, head(base(pictures)))
with open(output, "wb") as file:
    file.write(tf.lite.TFLiteConverter.from_keras_model(model).convert())
"""
"""Fastest Keras program: bottlenecks computed once, 4,000 steps of a new last layer, one float file, no evaluation."""
