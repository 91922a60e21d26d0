"""Comparison of what two revisions of the program write: cases, rules, running, differences.

`cases` lists the command lines, `volatile` what no two runs agree in, `intended` what was changed on purpose. These
three are data and are edited often; `running`, `outputs` and `differences` are the code that works on them.
"""
