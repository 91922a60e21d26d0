"""8-bit encodings of the activations that fine-tuning reads from its cache."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from poets_edge.nets.layers import Layer

Array = npt.NDArray[np.float32]
Shape = tuple[int, ...]

RELU6_STEP = 6 / 255
"""Difference between successive values of an encoded relu6 output."""


class Encoding(Protocol):
    """Conversion of activations, float32 [height, width, channels], to bytes and back.

    Attributes:
        name: name with a version number, which is part of the keys in the cache; raise the number when the encoding
            changes.
    """

    name: str

    def size(self, shape: Shape) -> int:
        """Return the number of bytes into which activations of a given shape are encoded."""

    def encode(self, values: Array) -> bytes:
        """Encode activations as bytes."""

    def decode(self, data: bytes, shape: Shape) -> Array:
        """Decode `size(shape)` bytes to activations, float32 of the given shape."""


class Relu6Encoding:
    """Encoding for outputs of relu6, from 0 to 6, in steps of 6 / 255.

    It needs a quarter of the space of float32 (50 kB per image for MobileNet 0.50_224 with 3 fine-tuned blocks) without
    loss of accuracy (`benchmarks/results/fine_tuning.md`).
    """

    name = "uint8-1"

    def size(self, shape: Shape) -> int:
        """Return the size of encoded activations in bytes: one byte per value."""
        return int(np.prod(shape))

    def encode(self, values: Array) -> bytes:
        """Encode each activation as one byte: its value divided by RELU6_STEP and rounded."""
        return np.asarray(np.rint(values * np.float32(1 / RELU6_STEP)), np.uint8).tobytes()

    def decode(self, data: bytes, shape: Shape) -> Array:
        """Decode bytes to activations, float32 of the given shape."""
        steps = np.frombuffer(data, np.uint8).reshape(shape)
        return np.asarray(steps.astype(np.float32) * np.float32(RELU6_STEP), np.float32)


class ChannelEncoding:
    """Encoding for signed outputs of any range: each channel of an image has its own range, divided into 255 steps.

    The ranges of a linear layer's channels differ by a factor of ten or more. With one range for all channels, most
    channels would have only a few steps.
    """

    name = "channels-1"

    def size(self, shape: Shape) -> int:
        """Return the size of encoded activations in bytes: one per value, and eight for the range of each channel."""
        return int(np.prod(shape)) + 2 * 4 * shape[-1]

    def encode(self, values: Array) -> bytes:
        """Encode activations as the smallest value and the step of each channel, float32, and one byte per value."""
        low = values.min(axis=(0, 1))
        step = (values.max(axis=(0, 1)) - low) / np.float32(255)
        step = np.where(step > 0, step, np.float32(1))
        steps = np.clip(np.rint((values - low) / step), 0, 255).astype(np.uint8)
        return bytes(low.astype("<f4").tobytes() + step.astype("<f4").tobytes() + steps.tobytes())

    def decode(self, data: bytes, shape: Shape) -> Array:
        """Decode bytes to activations, float32 of the given shape."""
        channels = shape[-1]
        low, step = np.frombuffer(data, "<f4", 2 * channels).reshape(2, channels)
        steps = np.frombuffer(data, np.uint8, offset=2 * 4 * channels).reshape(shape)
        return np.asarray(steps * step + low, np.float32)


def encoding_of(layer: Layer) -> Encoding:
    """Return the encoding for the outputs of a layer: Relu6Encoding if they are relu6 outputs, else ChannelEncoding."""
    return Relu6Encoding() if layer.activation == "relu6" else ChannelEncoding()
