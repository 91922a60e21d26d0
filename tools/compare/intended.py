"""List of intended differences from the base revision; see `rules.Intended` for the fields.

The list applies to the base revision in the Makefile, and is emptied when a newer base revision is set. Each entry
should be as narrow as possible, with the case, the output and, in JSON, the path. For example:

    Intended(
        reason="`agreement` was renamed, since it is measured against float32",
        file="*-export.stdout",
        json="/files/*/agreement",
        renamed="agreement_with_float",
    )

To detect unintended changes of a value, at least one case must have no entry for the value.
"""

from __future__ import annotations

from tools.compare.rules import Intended

INTENDED: tuple[Intended, ...] = ()
