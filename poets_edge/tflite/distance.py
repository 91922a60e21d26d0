"""Name and limit of a model output that measures how far a photo is from the training photos."""

from __future__ import annotations

DISTANCE = "distance"
"""Name of the output that holds a photo's distance from the training photos, in frozen graphs, `.tflite` files and
metadata."""
LIMIT = 1.0
"""Distance from the training photos above which a photo is classified as unknown."""
