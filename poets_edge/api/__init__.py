"""The library's entry points: text and paths in, result objects out.

Each function fills in an options object and makes one call to the package in charge. `poets_edge/__init__.py` names the
public ones.
"""
