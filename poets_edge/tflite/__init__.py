"""A `.tflite` as data: reading, verifying, metadata, and the interpreters that run it."""
