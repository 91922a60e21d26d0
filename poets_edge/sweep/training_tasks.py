"""Requests to the helper processes that train architectures.

They are apart from the worker, which loads all of training and export: a grid whose results are saved needs neither.
"""

from __future__ import annotations

from dataclasses import dataclass

from poets_edge.nets.architectures import Architecture


@dataclass(frozen=True)
class BackboneTask:
    """Request to build the backbone of an architecture."""

    architecture: Architecture


@dataclass(frozen=True)
class TrainingTask:
    """Request to train and export an architecture.

    Attributes:
        key: checksum of the inputs, for the result.
    """

    architecture: Architecture
    key: str
