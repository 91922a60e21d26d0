"""Golden outputs: outputs of commands on a small fixed project, stored as text in tests/golden to detect changes.

`python -m tools.golden` (`make golden`) rewrites the stored text; `tests/tools/test_golden.py` compares it with new
outputs.
"""
