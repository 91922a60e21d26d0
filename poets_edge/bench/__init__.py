"""Latency and accuracy of models, on this machine or on another."""
