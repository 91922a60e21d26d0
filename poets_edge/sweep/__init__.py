"""Comparison of architectures by accuracy and latency, and choice of the model to ship (the `grid` command)."""
