"""Install `tools.crash_points` in every Python process with this folder in PYTHONPATH; Python imports this first."""

from tools.crash_points import install

install()
