"""What runs on a Raspberry Pi: a photo in, labels with scores out; and how often they are right.

Needs numpy, Pillow and one TensorFlow Lite interpreter (ai-edge-litert or tflite-runtime).
"""
