"""Convert frozen graphs to `.tflite` files and evaluate them; put models into an Android app or a web page."""
