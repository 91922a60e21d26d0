"""Convert neural networks to `.tflite` files with float or integer arithmetic."""
