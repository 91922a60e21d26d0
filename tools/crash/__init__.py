"""Kill commands at random moments and at renames and commits, and check their files. See `python -m tools.crash`."""
