"""Registry of the architectures that can be retrained.

To add an architecture, add a module that describes its family, and add the family to FAMILIES.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from poets_edge.errors import UsageError
from poets_edge.nets.architecture import Architecture, Family
from poets_edge.nets.efficientnet_lite import EFFICIENTNET_LITE
from poets_edge.nets.inception_v3 import INCEPTION_V3
from poets_edge.nets.mobilenet_v1 import MOBILENET_V1

DEFAULT_ARCHITECTURE = "mobilenet_0.50_224"
RECOMMENDED = {
    "small": "mobilenet_0.25_224",
    "balanced": DEFAULT_ARCHITECTURE,
    "accurate": "efficientnet_lite0_224",
}
"""Recommended architectures for users who do not run `grid`, by keyword. The int8 models are about 0.3, 1 and 4 MB in
size, and classify 84, 86 and 89 % of flower photos correctly (`benchmarks/results/efficientnet_lite.md`)."""

FAMILIES: tuple[Family, ...] = (MOBILENET_V1, EFFICIENTNET_LITE, INCEPTION_V3)


def families() -> tuple[Family, ...]:
    """Return all families, in the order in which tables and charts show them."""
    return FAMILIES


def known_architectures() -> Iterator[Architecture]:
    """Yield all architectures, without their `_gray` and `_quantized` variants."""
    for family in FAMILIES:
        yield from family.architectures


def architecture(name: str) -> Architecture:
    """Return an architecture by its name, including variant spellings such as `mobilenet_0.5_224` (for `0.50`).

    Raises:
        UsageError: the name is unknown; the message suggests similar names.
    """
    wanted = name.strip().lower()
    base = wanted.removesuffix("_quantized")
    gray = base.endswith("_gray")
    base = base.removesuffix("_gray")
    for family in FAMILIES:
        base = family.standard_name(base)
    known = {entry.name: entry for entry in known_architectures()}
    found = known.get(base)
    if found is None:
        near = difflib.get_close_matches(base, known, n=3, cutoff=0.4) or [DEFAULT_ARCHITECTURE]
        raise UsageError(
            f"unknown architecture {name!r}. Nearest: {', '.join(near)}. There are {name_patterns()}; each also with"
            " _gray and _quantized."
        )
    found = found.in_gray() if gray else found
    return replace(found, name=f"{found.name}_quantized", quantized=True) if wanted.endswith("_quantized") else found


def name_patterns() -> str:
    """Describe all architecture names, for example as `mobilenet_<...>_<...> and inception_v3`, for messages."""
    *first, last = (family.pattern for family in FAMILIES)
    return f"{', '.join(first)} and {last}"


def as_architecture(value: Any) -> Any:
    """Convert a name to an architecture; return other values unchanged. Raises UsageError for an unknown name."""
    return architecture(value) if isinstance(value, str) else value


def as_architectures(values: Any) -> Any:
    """Convert a list or tuple of names to a tuple of architectures, or a single name to an architecture."""
    if isinstance(values, (list, tuple)):
        return tuple(map(as_architecture, values))
    return as_architecture(values)
