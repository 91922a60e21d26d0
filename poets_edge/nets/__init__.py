"""Architectures, weights files and frozen graphs: definition, reading, writing and inspection."""
