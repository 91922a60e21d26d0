"""Python imports this before anything else where its folder is on PYTHONPATH: `tools.crash_points` asks for it."""

from tools.crash_points import install

install()
