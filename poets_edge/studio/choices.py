"""Networks that the studio's web page offers: the presets "quick", "balanced" and "best", and every network by name."""

from __future__ import annotations

from pathlib import Path

from poets_edge.core.paths import cache_folder
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import RECOMMENDED, architecture
from poets_edge.nets.weights import EMBEDDED, EMBEDDED_ARCHITECTURE, IMAGENET, default_grid, local_weights
from poets_edge.studio.job_requests import Choice


def weights_folder() -> Path:
    """Return the folder that is searched first for ImageNet weights. It is shared by all of the user's projects."""
    return cache_folder() / "weights"


def chosen_network(choice: Choice, name: str) -> tuple[Architecture, str]:
    """Return the architecture to train, and the source of its weights: "embedded" (in this package) or "imagenet".

    "quick" selects the embedded weights, which need no download. "balanced" selects the architecture recommended as a
    balance of speed and accuracy. "best" selects the one recommended for accuracy if its weights are on this computer,
    and otherwise mobilenet_1.0_224.

    Args:
        choice: "quick", "balanced" or "best".
        name: name of an architecture, which overrides `choice`; empty to use `choice`.

    Raises:
        UsageError: there is no network with this name.
    """
    if name:
        return architecture(name), EMBEDDED if name == EMBEDDED_ARCHITECTURE and not _is_local(name) else IMAGENET
    if choice == "quick":
        return architecture(EMBEDDED_ARCHITECTURE), EMBEDDED
    if choice == "balanced":
        return architecture(RECOMMENDED["balanced"]), IMAGENET
    accurate = RECOMMENDED["accurate"]
    return architecture(accurate if _is_local(accurate) else "mobilenet_1.0_224"), IMAGENET


def compared_networks(name: str) -> tuple[tuple[Architecture, ...], str, tuple[Architecture, ...]]:
    """Return the networks for a comparison of accuracy and latency.

    Args:
        name: name of the only network to compare; empty to compare all whose weights are on this computer.

    Returns:
        The architectures to compare; the source of their weights, "imagenet" or "embedded" (in this package); and the
        architectures that are left out, because their weights are not on this computer. If no weights are on this
        computer, only the architecture with embedded weights is compared.

    Raises:
        UsageError: there is no network with this name.
    """
    if name:
        network, weights = chosen_network("quick", name)
        return (network,), weights, ()
    every = default_grid(weights_folder())
    local = tuple(network for network in every if _is_local(network.name))
    if not local:
        return (architecture(EMBEDDED_ARCHITECTURE),), EMBEDDED, every
    return local, IMAGENET, tuple(network for network in every if network not in local)


def offered_networks() -> tuple[str, ...]:
    """Return the names of the networks from which the user can choose."""
    return tuple(entry.name for entry in default_grid(weights_folder()))


def _is_local(name: str) -> bool:
    return local_weights(architecture(name), weights_folder()) is not None
