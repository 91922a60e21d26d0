"""Questions about a dataset: label errors, near-duplicates, outliers, and whether more photos would help."""
