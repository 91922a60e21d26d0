"""Description of the current model, with the information that the page needs to run it."""

from __future__ import annotations

from typing import Any

from poets_edge.device.classifier import Classifier
from poets_edge.studio.trained_model import TrainedModel


def model_card(model: TrainedModel) -> dict[str, Any]:
    """Return the labels, input size, input range and exported files of a model as a JSON-compatible dictionary.

    Raises:
        ModelError: a file of the model is damaged.
    """
    with Classifier(model.file("float32")) as classifier:
        height, width = classifier.size
        return {
            "labels": list(classifier.labels),
            "input": {"width": width, "height": height},
            "input_range": str(classifier.input_range),
            "forms": [listed["form"] for listed in model.shown["files"]],
            "unknown": classifier.has_detector,
        }
