"""The tests. As on the command line numpy computes with one thread: the last digits of a sum depend on it."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
