"""Demonstrations: generated photos of flowers, the codelab's scripts, and `quickstart`."""
