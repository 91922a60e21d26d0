"""A folder of photos -> which of them hurt, which are there twice, and whether more of them would help."""
