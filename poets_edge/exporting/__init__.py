"""A frozen graph -> `.tflite` files that carry their labels and facts, each re-scored over the test photos."""
