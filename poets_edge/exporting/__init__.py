"""Export of frozen graphs to `.tflite` files that are evaluated, and of models to an Android app or a web page."""
