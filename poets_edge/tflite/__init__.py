"""Reading and verification of `.tflite` files, their metadata, and the interpreters that run them."""
