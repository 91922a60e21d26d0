"""Run models on a device: classification, evaluation, paired comparison, and labeling of live frames."""
