"""Export of models for neural processing units."""
