"""Fuzzing with hostile files of every kind that the program reads. See `python -m tools.fuzz --help`."""
