"""Comparison of architectures by accuracy and latency, and choice of a model to ship (the `grid` command)."""
