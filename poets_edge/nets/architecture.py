"""Description of an architecture: everything that the program knows about a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from poets_edge.nets.layers import BOTTLENECK, Layer, NetworkCost, cost

_IMAGENET_CLASSES = 1001
"""Number of classes in the published figures: the 1,000 of ImageNet, and a background class."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """Published figures of an ImageNet model.

    Attributes:
        top1, top5: ImageNet accuracy of the float model, percent.
        quantized_top1, quantized_top5: ImageNet accuracy of the 8-bit model, percent.
        pixel3_ms, quantized_pixel3_ms: latency on a Pixel 3 (Android 10, CPU, 4 threads), milliseconds.
        source: publication of the figures.

    Figures that were not published are None.
    """

    top1: float
    quantized_top1: float
    top5: float | None = None
    quantized_top5: float | None = None
    pixel3_ms: float | None = None
    quantized_pixel3_ms: float | None = None
    source: str


@dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """Origin and format of the ImageNet weights of an architecture.

    Attributes:
        file: name of the weights file.
        folder: function that returns the folder with `file`, which need not exist; None if a Python package that would
            contain it is not installed.
        suffixes: suffixes of the formats in which weights can be given; `read_weights` reads them.
        names: function that returns the names of a layer's convolution and norm in PyTorch's files; None if the
            weights are not PyTorch's.
        also: names of other files that may be in the folder of models.
        application: folder of `file` in Keras's store; empty if it is not downloaded from there.
        install: command that installs the package with `file`; empty if it is downloaded.
        md5, sha256: published checksum of `file`, hexadecimal; empty if there is none.
    """

    file: str
    folder: Callable[[], Path | None]
    suffixes: tuple[str, ...]
    names: Callable[[Layer], tuple[str, str]] | None = None
    also: tuple[str, ...] = ()
    application: str = ""
    install: str = ""
    md5: str = ""
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class TuningDefaults:
    """Options of fine-tuning that suit an architecture.

    Attributes:
        learning_rate: highest learning rate of AdamW.
        epochs: number of epochs.
        views: number of distorted copies of each photo.
    """

    learning_rate: float
    epochs: int
    views: int


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A backbone with the size of its input.

    Attributes:
        name: standard spelling of the name, as on the command line.
        family: name of the family, for example `MobileNet V1`.
        series: name of the architectures that differ from this one in the size of the input only.
        resolution: height and width of the input, pixels.
        bottleneck_size: length of the feature vector.
        mmacs: million multiply-accumulates per image with a classifier of ImageNet.
        mparams: million parameters with a classifier of ImageNet.
        layers: function that returns the layers from INPUT to BOTTLENECK, each after its sources.
        weights: origin and format of the ImageNet weights.
        published: published figures of the ImageNet model; None if there are none for this size.
        tuning: options of fine-tuning; None if the network cannot be fine-tuned.
        quantized: whether the name ends in `_quantized`, so that the default export is int8.
    """

    name: str
    family: str
    series: str
    resolution: int
    bottleneck_size: int
    mmacs: float
    mparams: float
    layers: Callable[[], tuple[Layer, ...]] = field(compare=False, repr=False)
    weights: WeightsSource = field(compare=False, repr=False)
    published: Published | None = None
    tuning: TuningDefaults | None = None
    quantized: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input, pixels."""
        return self.resolution, self.resolution

    @property
    def backbone(self) -> str:
        """The name without `_quantized`, which does not affect weights and bottlenecks."""
        return self.name.removesuffix("_quantized")

    def imagenet_cost(self) -> NetworkCost:
        """Return the cost of the backbone with a classifier of 1,001 classes, counted from the layers."""
        classifier = Layer("classifier", "dense", (BOTTLENECK,), _IMAGENET_CLASSES)
        return cost((*self.layers(), classifier), self.size)


@dataclass(frozen=True, kw_only=True)
class Family:
    """Architectures of one kind.

    Attributes:
        name: name in charts and messages.
        pattern: description of the architectures' names, for messages.
        architectures: all sizes.
        grid: architectures that `grid` compares by default.
        standard_name: function that returns the standard spelling of a name in lower case, or the name unchanged if it
            is not one of this family.
    """

    name: str
    pattern: str
    architectures: tuple[Architecture, ...]
    grid: tuple[Architecture, ...] = ()
    standard_name: Callable[[str], str] = str
