"""Models on a device: labels, evaluation, paired comparison, and frames as they arrive."""
