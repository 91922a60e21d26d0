"""poets_edge: your photos -> a retrained MobileNet -> TensorFlow Lite on a Raspberry Pi or a phone."""

__version__ = "0.1.0"
