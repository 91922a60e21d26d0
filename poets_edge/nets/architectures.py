"""Architectures that can be retrained: 16 MobileNets V1 and Inception V3, with published figures."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from typing import Any

from poets_edge.errors import UsageError

DEFAULT_ARCHITECTURE = "mobilenet_0.50_224"


@dataclass(frozen=True)
class Published:
    """Published figures of an ImageNet model.

    Attributes:
        mmacs: million multiply-accumulates per image.
        mparams: million parameters.
        top1, top5: ImageNet accuracy of the float model, percent.
        quantized_top1, quantized_top5: ImageNet accuracy of the 8-bit model, percent.
        pixel3_ms, quantized_pixel3_ms: latency on a Pixel 3 (Android 10, CPU, 4 threads), milliseconds.

    Sources: MMACs, parameters and accuracies of the MobileNets: tensorflow/models,
    research/slim/nets/mobilenet_v1.md, revision of August 2018 (quantized ones measured on the TFLite models).
    Latencies, and all of Inception V3: tensorflow, lite/g3doc/guide/hosted_models.md.
    """

    mmacs: float
    mparams: float
    top1: float
    top5: float
    quantized_top1: float
    quantized_top5: float
    pixel3_ms: float
    quantized_pixel3_ms: float


@dataclass(frozen=True)
class Architecture:
    """A backbone with the size of its input.

    Attributes:
        name: standard spelling of the name, as on the command line.
        resolution: height and width of the input, pixels.
        alpha: width multiplier of a MobileNet; None for Inception V3.
        bottleneck_size: length of the feature vector.
        published: published figures of the ImageNet model.
        quantized: whether the name ends in `_quantized`, so that the default export is int8.
    """

    name: str
    resolution: int
    alpha: float | None
    bottleneck_size: int
    published: Published
    quantized: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input, pixels."""
        return self.resolution, self.resolution

    @property
    def backbone(self) -> str:
        """The name without `_quantized`, which does not affect weights and bottlenecks."""
        return self.name.removesuffix("_quantized")


def architecture(name: str) -> Architecture:
    """Return an architecture by its name; `mobilenet_0.5_224` means `mobilenet_0.50_224`, and `1` means `1.0`.

    Raises:
        UsageError: the name is unknown; the message suggests similar ones.
    """
    wanted = name.strip().lower()
    base = wanted.removesuffix("_quantized")
    match = re.fullmatch(r"mobilenet_(?:v1_)?(\d*\.?\d+)_(\d+)", base)
    if match:
        base = f"mobilenet_{_alpha_text(float(match[1]))}_{match[2]}"
    found = _BY_NAME.get(base)
    if found is None:
        near = difflib.get_close_matches(base, _BY_NAME, n=3, cutoff=0.4) or [DEFAULT_ARCHITECTURE]
        raise UsageError(
            f"unknown architecture {name!r}. Nearest: {', '.join(near)}. There are mobilenet_<0.25|0.50|0.75|1.0>_"
            "<128|160|192|224>, each also with _quantized, and inception_v3."
        )
    return replace(found, name=f"{base}_quantized", quantized=True) if wanted.endswith("_quantized") else found


def as_architecture(value: Any) -> Any:
    """Convert a name to an architecture; return other values unchanged. Raises UsageError for an unknown name."""
    return architecture(value) if isinstance(value, str) else value


def as_architectures(values: Any) -> Any:
    """Convert a list of names to a tuple of architectures, or a single name to an architecture."""
    if isinstance(values, (list, tuple)):
        return tuple(map(as_architecture, values))
    return as_architecture(values)


def _alpha_text(alpha: float) -> str:
    return "1.0" if alpha == 1 else f"{alpha:.2f}"


def _mobilenet(alpha: float, resolution: int, *figures: float) -> Architecture:
    # The last layer of MobileNet V1 with width 1 has 1,024 channels.
    name = f"mobilenet_{_alpha_text(alpha)}_{resolution}"
    return Architecture(name, resolution, alpha, int(1024 * alpha), Published(*figures))


MOBILENETS: tuple[Architecture, ...] = (
    _mobilenet(1.0, 224, 569, 4.24, 70.9, 89.9, 70.1, 88.9, 24.0, 13.0),
    _mobilenet(1.0, 192, 418, 4.24, 70.0, 89.2, 69.2, 88.3, 18.1, 9.9),
    _mobilenet(1.0, 160, 291, 4.24, 68.0, 87.7, 67.2, 86.7, 13.4, 7.3),
    _mobilenet(1.0, 128, 186, 4.24, 65.2, 85.8, 63.4, 84.2, 9.0, 4.8),
    _mobilenet(0.75, 224, 317, 2.59, 68.4, 88.2, 66.8, 87.0, 14.6, 8.5),
    _mobilenet(0.75, 192, 233, 2.59, 67.2, 87.3, 66.1, 86.4, 11.0, 6.4),
    _mobilenet(0.75, 160, 162, 2.59, 65.3, 86.0, 62.3, 83.8, 8.2, 4.7),
    _mobilenet(0.75, 128, 104, 2.59, 62.1, 83.9, 55.8, 78.8, 5.5, 3.1),
    _mobilenet(0.50, 224, 150, 1.34, 63.3, 84.9, 60.7, 83.2, 7.9, 4.7),
    _mobilenet(0.50, 192, 110, 1.34, 61.7, 83.6, 60.0, 82.2, 6.0, 3.6),
    _mobilenet(0.50, 160, 77, 1.34, 59.1, 81.9, 57.7, 80.4, 4.4, 2.6),
    _mobilenet(0.50, 128, 49, 1.34, 56.3, 79.4, 54.5, 77.7, 3.0, 1.7),
    _mobilenet(0.25, 224, 41, 0.47, 49.8, 74.2, 48.0, 72.8, 3.3, 2.3),
    _mobilenet(0.25, 192, 34, 0.47, 47.7, 72.3, 46.0, 71.2, 2.4, 1.8),
    _mobilenet(0.25, 160, 21, 0.47, 45.5, 70.3, 43.4, 68.5, 1.7, 1.3),
    _mobilenet(0.25, 128, 14, 0.47, 41.5, 66.3, 39.5, 64.4, 1.2, 0.8),
)

# MMACs and parameters: Szegedy et al., "Rethinking the Inception Architecture", 2015 (5 billion, under 25 million).
INCEPTION_V3 = Architecture(
    "inception_v3", 299, None, 2048, Published(5000, 23.8, 77.9, 93.8, 77.5, 93.7, 249.0, 148.0)
)

ARCHITECTURES: tuple[Architecture, ...] = (*MOBILENETS, INCEPTION_V3)

_BY_NAME = {entry.name: entry for entry in ARCHITECTURES}
