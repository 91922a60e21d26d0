"""Demonstrations: generated photos, scripts of the TensorFlow for Poets codelab, and the command `quickstart`."""
