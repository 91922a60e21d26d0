"""Reading, verification, metadata and interpreters of `.tflite` files."""
