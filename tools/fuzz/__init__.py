"""Fuzzer that runs the commands of poets_edge on hostile (damaged or malicious) files of every kind that they read.

See `python -m tools.fuzz --help`.
"""
