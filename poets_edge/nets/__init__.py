"""Architectures as lists of layers, weights files, and frozen graphs: read, written and inspected."""
