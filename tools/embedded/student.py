"""Student network of the distillation: Keras's MobileNet V1 0.25 without its classification layer, in PyTorch.

The layers are those of `keras.applications.MobileNet(alpha=0.25, include_top=False, pooling="avg")`: `keras_weights`
returns the weights in the order of that model's `get_weights()`. Batch norms are computed by C++ code that is fast on
CPUs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.cpp_extension import load

WIDTHS = (8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)  # alpha 0.25
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
EPSILON = 1e-3  # Keras's MobileNet

_fused = load(
    name="poets_edge_norm_relu",
    sources=[str(Path(__file__).with_name("norm_relu.cpp"))],
    extra_cflags=["-O3", "-march=native", "-ffast-math", "-fopenmp"],
)


class _NormRelu(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> Any:
        y, mean, variance = _fused.forward(x, gamma, beta, EPSILON)
        ctx.save_for_backward(x, gamma, beta, mean, variance)
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor, *_: Any) -> Any:
        return tuple(_fused.backward(grad.contiguous(), *ctx.saved_tensors, EPSILON))


class NormRelu(nn.Module):  # type: ignore[misc]
    """Batch normalization with moving averages as in Keras, followed by ReLU6."""

    mean: torch.Tensor
    variance: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.momentum = 0.01

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count, channels, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(-1, channels)  # no copy: the memory is channels-last
        if self.training:
            y, mean, variance = _NormRelu.apply(rows, self.gamma, self.beta)
            self.mean.lerp_(mean, self.momentum)
            self.variance.lerp_(variance, self.momentum)
        else:
            scale = self.gamma * torch.rsqrt(self.variance + EPSILON)
            y = (rows * scale + (self.beta - self.mean * scale)).clamp(0.0, 6.0)
        return y.view(count, height, width, channels).permute(0, 3, 1, 2)


class Convolution(nn.Module):  # type: ignore[misc]
    """Convolution without bias, padded as in Keras: for stride 2, one row at the bottom and one column on the right."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, depthwise: bool = False) -> None:
        super().__init__()
        self.stride, self.groups, self.padding = stride, inputs if depthwise else 1, size // 2
        self.weight = nn.Parameter(torch.empty(outputs, inputs // self.groups, size, size))
        nn.init.kaiming_normal_(self.weight, mode="fan_in", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padding = self.padding
        if self.stride == 2:
            x, padding = functional.pad(x, (0, 1, 0, 1)), 0
        return functional.conv2d(x, self.weight, stride=self.stride, padding=padding, groups=self.groups)


def student() -> nn.Sequential:
    """Return a student network with random weights, in PyTorch's channels-last memory format.

    The network converts pictures [N, 3, H, W] with values from -1 to 1 to feature maps [N, 256, H / 32, W / 32].
    """
    layers: list[nn.Module] = [Convolution(3, WIDTHS[0], 3, 2), NormRelu(WIDTHS[0])]
    for inputs, outputs, stride in zip(WIDTHS[:-1], WIDTHS[1:], STRIDES, strict=True):
        layers += [Convolution(inputs, inputs, 3, stride, depthwise=True), NormRelu(inputs)]
        layers += [Convolution(inputs, outputs, 1, 1), NormRelu(outputs)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def keras_weights(network: nn.Sequential) -> list[np.ndarray]:
    """Return the student's weights as float32 arrays, in the order and layout of `get_weights()` of the Keras model."""
    arrays = []
    for layer in network:
        if isinstance(layer, Convolution):
            kernel = layer.weight.detach().numpy()  # [out, in / groups, height, width]
            arrays.append(kernel.transpose(2, 3, 0, 1) if layer.groups > 1 else kernel.transpose(2, 3, 1, 0))
        elif isinstance(layer, NormRelu):
            arrays += [t.detach().numpy() for t in (layer.gamma, layer.beta, layer.mean, layer.variance)]
    return [np.ascontiguousarray(a, np.float32) for a in arrays]
