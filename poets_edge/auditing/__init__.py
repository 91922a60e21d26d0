"""Audit of a dataset (`audit`): label errors, near-duplicates, leaks, outliers, and a learning curve."""
