"""Overhead of `watch`: frames per second from a folder of 320 x 240 JPEGs, with one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.side_by_side import side_by_side
from benchmarks.tables import load, publish
from poets_edge.device.classifier import Classifier
from poets_edge.device.watch.frames import folder_source
from poets_edge.device.watch.pipeline import predict_frames, show_predictions
from poets_edge.device.watch.prediction import LabelingOptions
from poets_edge.progress import Silent
from poets_edge.tflite.session import Session
from tests.conftest import Trained
from tests.frames import Nowhere, frame_folder, jpeg, photos_of

_FRAMES = 1000


def test_frames_through_watch(benchmark: Any, flowers: Path, trained: Trained, tmp_path: Path) -> None:
    """Time `watch` with the int8 mobilenet_0.50_224; one core reads and resizes frames, and another runs the model."""
    frames = [jpeg(photo) for photo in photos_of(flowers, _FRAMES // 5)]
    folder = frame_folder(tmp_path / "frames", frames)
    classifier = Classifier(trained.model("int8"), threads=1)
    interpreter = Session(trained.model("int8"), 1).interpreter
    details = interpreter.get_input_details()[0]
    interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))

    def ours() -> None:
        predictions = predict_frames(classifier, folder_source(folder), LabelingOptions(), reporter=Silent())
        assert show_predictions(predictions, Nowhere()).labeled == _FRAMES

    def bare() -> None:
        for _ in range(_FRAMES):
            interpreter.invoke()

    [timed] = side_by_side(benchmark, ours, {"bare interpreter": bare}, rounds=7).values()
    publish(
        "watch",
        "Frames through `watch`",
        "python -m pytest benchmarks/test_watch.py --benchmark-only -s",
        [
            ["what", "ratio", "poets-edge, frames/s", "bare interpreter, frames/s"],
            ["a folder of 320 x 240 JPEGs, 0.50_224 int8, one thread",
             f"**{timed.ratio:.2f}**", f"{_FRAMES / timed.ours:.0f}", f"{_FRAMES / timed.other:.0f}"],
        ],
        [
            "The bare interpreter does nothing but infer; `watch` reads, decodes and resizes beside it, on the other"
            f" core. Medians of contenders that ran in turn. Load average at the end: {load():.1f}."
        ],
    )  # fmt: skip
