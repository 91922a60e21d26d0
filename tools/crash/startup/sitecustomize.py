"""Install `tools.crash.points` in every Python process that has this folder in PYTHONPATH.

Python imports a module named `sitecustomize` when it starts.
"""

from tools.crash.points import install

install()
