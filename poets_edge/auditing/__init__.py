"""Checks of a dataset: label errors, near-duplicates, outliers, and the value of more photos."""
