"""Functions of the public library, which accept strings and paths and return result objects.

A function converts its arguments to an options object, and passes it to the package that does the work.
`poets_edge/__init__.py` lists the public functions.
"""
