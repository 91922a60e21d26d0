"""Kill commands at random moments and at every rename and commit, and check their files. See `python -m tools.crash`."""
