"""Comparison of many models: accuracy, latency, and the model to ship."""
