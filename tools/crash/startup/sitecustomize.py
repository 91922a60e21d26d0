"""Install `tools.crash.points` in Python processes with this folder in PYTHONPATH, which import this module first."""

from tools.crash.points import install

install()
