"""Tests of poets_edge.

As on the command line, numpy uses one thread, since the last digits of sums depend on the number of threads.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
