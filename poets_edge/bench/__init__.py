"""Measure the latency and accuracy of models, on this machine or on another device."""
