"""Export models for neural processing units."""
