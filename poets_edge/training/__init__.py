"""Training: bottlenecks, the head, temperature scaling, cross-validation, fine-tuning, and their record."""
