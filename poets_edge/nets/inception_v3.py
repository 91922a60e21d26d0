"""Inception V3: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2015.

The layers are the same as in Keras (`keras/src/applications/inception_v3.py`), without the classifier.
"""

from __future__ import annotations

from poets_edge.nets.architecture import Architecture, Family, Published
from poets_edge.nets.keras_source import keras_source
from poets_edge.nets.layers import BOTTLENECK, INPUT, Layer, Padding


class _Builder:
    """Builder of the list of layers of Inception V3.

    Convolutions are named `conv2d_1`, `conv2d_2` and so on, in the order of Keras's source code.
    """

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self._convolutions = 0

    def conv(
        self, source: str, outputs: int, height: int, width: int, stride: int = 1, padding: Padding = "SAME"
    ) -> str:
        self._convolutions += 1
        return self._add(
            Layer(
                f"conv2d_{self._convolutions}", "convolution", (source,), outputs, (height, width), stride, padding,
                activation="relu", normalized=True,
            )
        )  # fmt: skip

    def chain(self, source: str, *steps: tuple[int, int, int]) -> str:
        """Add consecutive convolutions, each given as (channels, height, width); return the name of the last one."""
        for step in steps:
            source = self.conv(source, *step)
        return source

    def average(self, source: str, outputs: int) -> str:
        """Add a 3 x 3 average pool followed by a 1 x 1 convolution, and return the name of the convolution."""
        pooled = self._add(Layer(f"average_{len(self.layers)}", "average_pool", (source,), 0, (3, 3), 1, "SAME"))
        return self.conv(pooled, outputs, 1, 1)

    def largest(self, source: str) -> str:
        return self._add(Layer(f"largest_{len(self.layers)}", "max_pool", (source,), 0, (3, 3), 2, "VALID"))

    def concatenate(self, name: str, *sources: str) -> str:
        return self._add(Layer(name, "concatenate", sources))

    def _add(self, layer: Layer) -> str:
        self.layers.append(layer)
        return layer.name


def _layers() -> tuple[Layer, ...]:
    net = _Builder()
    x = net.conv(INPUT, 32, 3, 3, 2, "VALID")
    x = net.conv(x, 32, 3, 3, 1, "VALID")
    x = net.largest(net.conv(x, 64, 3, 3))
    x = net.conv(x, 80, 1, 1, 1, "VALID")
    x = net.largest(net.conv(x, 192, 3, 3, 1, "VALID"))
    for number, pooled in enumerate((32, 64, 64)):  # 35 x 35
        one = net.conv(x, 64, 1, 1)
        five = net.chain(x, (48, 1, 1), (64, 5, 5))
        three = net.chain(x, (64, 1, 1), (96, 3, 3), (96, 3, 3))
        x = net.concatenate(f"mixed{number}", one, five, three, net.average(x, pooled))
    single = net.conv(x, 384, 3, 3, 2, "VALID")
    double = net.conv(net.chain(x, (64, 1, 1), (96, 3, 3)), 96, 3, 3, 2, "VALID")
    x = net.concatenate("mixed3", single, double, net.largest(x))
    for number, inner in enumerate((128, 160, 160, 192), 4):  # 17 x 17
        one = net.conv(x, 192, 1, 1)
        seven = net.chain(x, (inner, 1, 1), (inner, 1, 7), (192, 7, 1))
        twice = net.chain(x, (inner, 1, 1), (inner, 7, 1), (inner, 1, 7), (inner, 7, 1), (192, 1, 7))
        x = net.concatenate(f"mixed{number}", one, seven, twice, net.average(x, 192))
    three = net.conv(net.conv(x, 192, 1, 1), 320, 3, 3, 2, "VALID")
    seven = net.conv(net.chain(x, (192, 1, 1), (192, 1, 7), (192, 7, 1)), 192, 3, 3, 2, "VALID")
    x = net.concatenate("mixed8", three, seven, net.largest(x))
    for number in (9, 10):  # 8 x 8
        one = net.conv(x, 320, 1, 1)
        three = net.conv(x, 384, 1, 1)
        pair = net.concatenate(f"mixed{number}_pair", net.conv(three, 384, 1, 3), net.conv(three, 384, 3, 1))
        double = net.chain(x, (448, 1, 1), (384, 3, 3))
        second = net.concatenate(f"mixed{number}_second", net.conv(double, 384, 1, 3), net.conv(double, 384, 3, 1))
        x = net.concatenate(f"mixed{number}", one, pair, second, net.average(x, 192))
    return (*net.layers, Layer(BOTTLENECK, "mean", (x,)))


INCEPTION_V3 = Family(
    name="Inception V3",
    pattern="inception_v3",
    architectures=(
        Architecture(
            name="inception_v3",
            family="Inception V3",
            series="Inception V3",
            resolution=299,
            bottleneck_size=2048,
            # Szegedy et al.: 5 billion, under 25 million.
            mmacs=5000,
            mparams=23.8,
            layers=_layers,
            weights=keras_source(
                "inception_v3",
                "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
                # file_hash in keras/src/applications/inception_v3.py of Keras 3.15.
                md5="bcbd6486424b2319ff4ef7d526e38f63",
            ),
            published=Published(
                top1=77.9,
                top5=93.8,
                quantized_top1=77.5,
                quantized_top5=93.7,
                pixel3_ms=249.0,
                quantized_pixel3_ms=148.0,
                source="tensorflow, lite/g3doc/guide/hosted_models.md",
            ),
        ),
    ),
)
