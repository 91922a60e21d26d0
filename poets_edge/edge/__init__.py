"""The part that runs on a Raspberry Pi: photos in, labels with scores out, and how often they are right.

Needs numpy, Pillow and one TensorFlow Lite interpreter (ai-edge-litert or tflite-runtime).
"""
