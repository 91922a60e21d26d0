"""Verify models before an interpreter loads them.

    bytes -> tables -> rules, graph_rules, shapes -> one inference in a separate process -> checksum recorded

The first two steps are pure Python and cannot crash. They check every offset, index, type, shape and size that an
interpreter will use, and reject features that image classifiers do not need. The inference finds faults in the
interpreter itself. A verified model is not verified again on this machine, and neither is a model that `export` wrote
and evaluated here.
"""

from __future__ import annotations
