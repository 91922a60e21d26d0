"""Comparison of the outputs of two revisions of the program.

The modules `cases` (command lines), `volatile` (differences between any two runs) and `intended` (intended changes)
contain data that is edited often. The modules `running`, `outputs` and `differences` run and compare the cases.
"""
