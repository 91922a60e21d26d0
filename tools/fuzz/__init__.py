"""Fuzzer that runs the commands on hostile files of every kind that they read. See `python -m tools.fuzz --help`."""
