"""Define architectures; read, write and inspect weights files and frozen graphs."""
