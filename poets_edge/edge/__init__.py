"""What runs on a Raspberry Pi: a photo in, labels with scores out. Never imports TensorFlow.

Needs numpy, Pillow and one TensorFlow Lite interpreter (ai-edge-litert or tflite-runtime).
"""
