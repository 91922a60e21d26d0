"""Networks written as float and int8 `.tflite` files."""
