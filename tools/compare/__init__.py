"""Comparison of the outputs of two revisions of poets_edge.

The modules `cases` (command lines), `volatile` (differences between any two runs) and `intended` (intended changes)
contain data that is edited often. The modules `running`, `outputs` and `differences` run the cases and compare their
outputs.
"""
