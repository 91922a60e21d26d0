"""Read and verify `.tflite` files and their metadata, and run them in an interpreter."""
