"""The command `grid`: compare architectures by accuracy and latency, and choose the model to use."""
