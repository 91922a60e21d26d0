"""Description of an architecture: its layers, input size, cost, weights and published figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from poets_edge.nets.layers import BOTTLENECK, Layer, NetworkCost, cost

_IMAGENET_CLASSES = 1001
"""Number of classes in the models with published figures: the 1,000 classes of ImageNet and a background class."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """Published accuracies and latencies of a model trained on ImageNet.

    Attributes:
        top1, top5: ImageNet accuracy of the float model, percent.
        quantized_top1, quantized_top5: ImageNet accuracy of the 8-bit model, percent.
        pixel3_ms, quantized_pixel3_ms: latency on a Pixel 3 (Android 10, CPU, 4 threads), milliseconds.
        source: publication that contains the figures.

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
        folder: function that returns the folder for `file`, even if the file does not exist yet, or None if `file`
            belongs to a Python package that is not installed.
        suffixes: file name suffixes of the supported weights formats (see `poets_edge.nets.read_weights`).
        names: function that returns the names of a layer's convolution and batch norm in PyTorch weights files; None
            for other formats.
        also: alternative file names that are accepted in the user's folder of models.
        application: folder that contains `file` on Keras's download server; empty if the file is not downloaded.
        install: command that installs the package that contains `file`; empty if the file is downloaded.
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
    """Default fine-tuning options for an architecture.

    Attributes:
        learning_rate: peak learning rate of the AdamW optimizer.
        epochs: number of epochs.
        views: number of randomly distorted variants of each training photo.
    """

    learning_rate: float
    epochs: int
    views: int


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A backbone with a fixed input size.

    Attributes:
        name: standard spelling of the name, as on the command line.
        family: name of the family, for example `MobileNet V1`.
        series: name shared by all architectures that differ only in their input size.
        resolution: height and width of the input, pixels.
        bottleneck_size: length of the feature vector.
        mmacs: million multiply-accumulates per image, including an ImageNet classifier.
        mparams: million parameters, including an ImageNet classifier.
        layers: function that returns all layers, each listed after its sources; the last one is named BOTTLENECK.
        weights: origin and format of the ImageNet weights.
        published: published figures of the ImageNet model; None if there are none for this input size.
        tuning: default fine-tuning options; None if the network cannot be fine-tuned.
        gray: whether the name ends in `_gray`: the network converts its input to gray, as a full-int8 model with gray
            input requires.
        quantized: whether the name ends in `_quantized`, which makes int8 the default export.
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
    gray: bool = False
    quantized: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input, pixels."""
        return self.resolution, self.resolution

    @property
    def backbone(self) -> str:
        """Name of the architecture without `_quantized`, a suffix that does not affect weights and bottlenecks."""
        return self.name.removesuffix("_quantized")

    def in_gray(self) -> Architecture:
        """Return the variant of the architecture that converts its input to gray."""
        return replace(self, name=f"{self.name}_gray", gray=True, published=None)

    def imagenet_cost(self) -> NetworkCost:
        """Return the cost of the backbone with a classifier of 1,001 classes, computed from the layers."""
        classifier = Layer("classifier", "dense", (BOTTLENECK,), _IMAGENET_CLASSES)
        return cost((*self.layers(), classifier), self.size)


@dataclass(frozen=True, kw_only=True)
class Family:
    """Family of architectures, such as MobileNet V1.

    Attributes:
        name: name in charts and messages.
        pattern: description of the architectures' names, for messages.
        architectures: all architectures of the family.
        grid: architectures of the family that `grid` compares by default.
        standard_name: function that returns the standard spelling of a lower-case name, or the name unchanged if it
            does not belong to this family.
    """

    name: str
    pattern: str
    architectures: tuple[Architecture, ...]
    grid: tuple[Architecture, ...] = ()
    standard_name: Callable[[str], str] = str
