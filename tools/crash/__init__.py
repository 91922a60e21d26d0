"""Crash tests: commands are killed at random moments, and at file renames and database commits.

See `python -m tools.crash`.
"""
