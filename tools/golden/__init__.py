"""Golden outputs: the outputs of commands on a small fixed project, stored as readable text in tests/golden.

`python -m tools.golden` (`make golden`) rewrites them; `tests/tools/test_golden.py` compares them.
"""
