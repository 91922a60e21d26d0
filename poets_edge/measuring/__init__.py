"""How fast and how good: latency on this device, several devices side by side, and the whole grid of architectures.

`benchmark`, `worker`, `operators`, `machine`, `samples` and `compare` run on a Raspberry Pi and import no TensorFlow.
"""
