"""Entry points of the library, which accept strings and paths and return result objects.

Each function creates an options object and makes one call to another package. `poets_edge/__init__.py` lists the
public functions.
"""
