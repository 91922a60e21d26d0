"""Comparison of the outputs of two revisions of the program.

`cases` lists the command lines, `volatile` the differences between any two runs, `intended` the intended changes. These
three are data and are edited often; `running`, `outputs` and `differences` are the code that works on them.
"""
