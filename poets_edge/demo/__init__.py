"""Demonstrations: generated photos of flowers, the scripts of the codelab, and the command `quickstart`."""
