"""Export frozen graphs to `.tflite` files and evaluate these, and export models to an Android app or a web page."""
