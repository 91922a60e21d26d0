"""Frozen graphs exported as `.tflite` files that were re-scored, and as an Android app or a web page."""
