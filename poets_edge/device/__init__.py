"""Run models on a device: classification, evaluation, paired comparison, and labelling of live frames."""
