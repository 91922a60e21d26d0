"""The second output of a model that detects photos unlike its training photos."""

from __future__ import annotations

DISTANCE = "distance"
"""Name of the output with the distance from the training photos, in frozen graphs, `.tflite` files and metadata."""
LIMIT = 1.0
"""Distance above which a photo is unknown."""
