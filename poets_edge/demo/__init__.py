"""Demonstrations: generated photos of flowers, scripts for the codelab, and the command `quickstart`."""
