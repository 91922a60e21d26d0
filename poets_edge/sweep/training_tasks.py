"""Requests to the helper processes that train architectures.

This module is separate from the worker module, which imports the packages `training` and `exporting` entirely; a run
of `grid` with saved results for all architectures does not need to load these packages.
"""

from __future__ import annotations

from dataclasses import dataclass

from poets_edge.nets.architecture import Architecture
from poets_edge.training.look_alikes import PhotoGroups


@dataclass(frozen=True)
class BackboneTask:
    """Request to a helper process to build the backbone of an architecture."""

    architecture: Architecture


@dataclass(frozen=True)
class TrainingTask:
    """Request to a helper process to train and export an architecture.

    Attributes:
        key: SHA-256 of the inputs to training and export, hexadecimal; it is copied to the result.
        groups: groups of the readable photos, shared by all architectures.
    """

    architecture: Architecture
    key: str
    groups: PhotoGroups
