"""Install `tools.crash_points` in Python processes with this folder in PYTHONPATH, which import this module first."""

from tools.crash_points import install

install()
