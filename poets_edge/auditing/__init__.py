"""Checks of a dataset for label errors, near-duplicates, leaks and outliers, and a learning curve (`audit`)."""
