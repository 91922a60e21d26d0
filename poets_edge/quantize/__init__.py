"""Convert networks to float and int8 `.tflite` files."""
