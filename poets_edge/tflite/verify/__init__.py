"""A model from anywhere is looked through before an interpreter sees it, and tried once where a crash hurts nobody.

    bytes -> tables -> rules, shapes -> one inference in a process of its own -> remembered by their checksum

The first two steps are Python and cannot crash; they know every offset, index, type, shape and size that an interpreter
will meet, and refuse what no network for pictures needs. The third is for what they do not know: an interpreter's own
faults. What has passed is not looked at again on this machine, and what `export` has written and re-scored passes by
that; so a model of one's own costs nothing.
"""

from __future__ import annotations
