"""Hostile files of every kind that the program reads, and what it makes of them. See `python -m tools.fuzz --help`."""
