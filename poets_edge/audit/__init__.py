"""A folder of photos -> which of them hurt, which are duplicates, and whether more would help."""
