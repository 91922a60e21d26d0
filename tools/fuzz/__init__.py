"""Fuzzing of the commands with hostile files of every kind that they read. See `python -m tools.fuzz --help`."""
