"""Install `tools.crash_points` in every Python process with this folder in PYTHONPATH, which imports this first."""

from tools.crash_points import install

install()
