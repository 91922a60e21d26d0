"""MobileNet V2 1.0_224 (Sandler et al., 2018), defined here to test how an architecture is added.

If only the head is trained, it is no more accurate than MobileNet V1, which has half the cost. It is therefore not part
of the program.
"""

from __future__ import annotations

from poets_edge.nets.architecture import Architecture, Family, Published, TuningDefaults
from poets_edge.nets.keras_source import keras_source
from poets_edge.nets.layers import BOTTLENECK, INPUT, Activation, Kind, Layer

#          expansion, channels, blocks, stride: table 2 of the paper
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def _layers() -> tuple[Layer, ...]:
    layers: list[Layer] = []

    def add(name: str, kind: Kind, outputs: int, side: int = 1, stride: int = 1, act: Activation = "relu6") -> None:
        source = layers[-1].name if layers else INPUT
        layers.append(Layer(name, kind, (source,), outputs, (side, side), stride, "SAME", act, True, True))

    channels, number = 32, 0
    add("conv1", "convolution", channels, 3, 2)
    for expansion, outputs, blocks, first_stride in _STAGES:
        for repeat in range(blocks):
            start, stride = layers[-1].name, first_stride if repeat == 0 else 1
            if expansion > 1:
                add(f"expand_{number}", "convolution", channels * expansion)
            add(f"depthwise_{number}", "depthwise", channels * expansion, 3, stride)
            add(f"project_{number}", "convolution", outputs, act="none")
            if stride == 1 and channels == outputs:
                layers.append(Layer(f"add_{number}", "add", (start, layers[-1].name)))
            channels, number = outputs, number + 1
    add("conv_1", "convolution", 1280)
    return (*layers, Layer(BOTTLENECK, "mean", (layers[-1].name,)))


MOBILENET_V2 = Family(
    name="MobileNet V2",
    pattern="mobilenet_v2_1.0_224",
    architectures=(
        Architecture(
            name="mobilenet_v2_1.0_224",
            family="MobileNet V2",
            series="MobileNet V2",
            resolution=224,
            bottleneck_size=1280,
            mmacs=301,
            mparams=3.51,
            layers=_layers,
            weights=keras_source(
                "mobilenet_v2", "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5", codelab=False
            ),
            published=Published(top1=71.8, quantized_top1=70.8, source="tensorflow, lite/g3doc/guide/hosted_models.md"),
            tuning=TuningDefaults(learning_rate=3e-4, epochs=30, views=12),
        ),
    ),
)
