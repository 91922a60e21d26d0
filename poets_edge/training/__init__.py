"""Training: bottlenecks, heads, temperature scaling, cross-validation, fine-tuning, and the training record."""
