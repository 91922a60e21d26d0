"""Name of the model output with a photo's distance from the training photos, and the limit for unknown photos."""

from __future__ import annotations

DISTANCE = "distance"
"""Name of the output that holds a photo's distance from the training photos, in frozen graphs, `.tflite` files and
metadata."""
LIMIT = 1.0
"""Distance from the training photos above which a photo is classified as unknown."""
