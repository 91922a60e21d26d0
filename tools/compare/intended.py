"""Differences from the base revision that were made on purpose; `rules.Intended` says what an entry can express.

An entry is as narrow as possible: the case, the output and, in JSON, the path. For example:

    Intended(
        reason="`agreement` was renamed, since it is measured against float32",
        file="*-export.stdout",
        json="/files/*/agreement",
        renamed="agreement_with_float",
    )
"""

from __future__ import annotations

from tools.compare.rules import Intended

INTENDED: tuple[Intended, ...] = (
    Intended(
        reason="a graph is evaluated on the sets that its record names, as the help says; they were 10 % always",
        case="evaluate-graph",
    ),
)
