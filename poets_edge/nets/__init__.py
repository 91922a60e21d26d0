"""Definition of architectures, and reading, writing and inspection of weights files and frozen graphs."""
