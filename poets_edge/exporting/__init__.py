"""Export of frozen graphs as evaluated `.tflite` files, and of models as an Android app or a web page."""
