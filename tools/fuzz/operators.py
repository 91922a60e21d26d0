"""Small random classifiers with operators that models from other programs may contain; the fuzzer mutates them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.tflite.flatbuffer import add_constant, add_tensor, new_model, new_operator, pack_model, schema
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata

_SIDE, _CHANNELS, _LABELS = 8, 8, ("a", "b", "c")
_UNARY = {
    **dict.fromkeys(("ELU", "LOGISTIC", "RELU", "RELU6", "RELU_0_TO_1", "TANH", "FLOOR", "CEIL", "ROUND", "SIN"), ""),
    "ABS": "AbsOptions",
    "COS": "CosOptions",
    "EXP": "ExpOptions",
    "GELU": "GeluOptions",
    "NEG": "NegOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "LOG_SOFTMAX": "LogSoftmaxOptions",
    "SQUARE": "SquareOptions",
    "HARD_SWISH": "HardSwishOptions",
    "SIGN": "SignOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "ZEROS_LIKE": "ZerosLikeOptions",
    "CAST": "CastOptions",
}
_BINARY = {
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "SQUARED_DIFFERENCE": "SquaredDifferenceOptions",
    "MINIMUM": "MaximumMinimumOptions",
}


class _Builder:
    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.model = new_model("fuzz")
        self.graph = self.model.subgraphs[0]
        self.numbers = np.random.default_rng(rng.getrandbits(32))
        self.shape: tuple[int, ...] = (1, _SIDE, _SIDE, 3)
        self.last = self.tensor(self.shape)
        self.graph.inputs = [self.last]

    def tensor(self, shape: Sequence[int], dtype: str = "FLOAT32") -> int:
        name = f"t{len(self.graph.tensors)}".encode()
        return add_tensor(self.graph, name, shape, getattr(schema().TensorType, dtype))

    def constant(self, values: npt.ArrayLike, dtype: type = np.int32) -> int:
        return add_constant(self.model, f"c{len(self.graph.tensors)}".encode(), np.asarray(values, dtype))

    def floats(self, *shape: int) -> int:
        return self.constant(self.numbers.normal(0, 0.3, shape), np.float32)

    def add(self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: str = "", **fields: Any) -> None:
        code, version = getattr(schema().BuiltinOperator, name), 2 if name == "BROADCAST_TO" else 1
        self.graph.operators.append(new_operator(self.model, code, version, inputs, outputs, options, **fields))

    def then(
        self, name: str, shape: Sequence[int], *more: int, options: str = "", first: bool = True, **fields: Any
    ) -> None:
        """Append an operator that reads the last tensor as its first or last input; its output becomes the last tensor.

        Args:
            name: name of the operator in the TFLite schema.
            shape: shape of the output.
            more: further inputs.
            options: name of the operator's table of options; "" for none.
            first: whether the last tensor is the first input instead of the last one.
            fields: values of the options.
        """
        found = self.tensor(shape)
        self.add(name, [self.last, *more] if first else [*more, self.last], [found], options, **fields)
        self.last, self.shape = found, tuple(shape)

    def convolve(self) -> None:
        channels = self.shape[3]
        self.then(
            "CONV_2D", (*self.shape[:3], _CHANNELS), self.floats(_CHANNELS, 3, 3, channels), self.floats(_CHANNELS),
            options="Conv2DOptions", padding=0, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1,
        )  # fmt: skip

    def grow(self) -> None:
        """Append a random operator or group of operators that reads the last tensor, which must be an image."""
        _, height, width, channels = self.shape
        kind = self.rng.choice(
            ("unary", "binary", "split", "split_v", "strided_slice", "slice", "resize", "depth", "pad", "mirror",
             "prelu", "pack", "unpack", "gather", "tile", "reverse", "matmul", "select", "broadcast", "batch")
        )  # fmt: skip
        if kind == "unary":
            name = self.rng.choice(sorted(_UNARY))
            self.then(name, self.shape, options=_UNARY[name])
        elif kind == "binary":
            name = self.rng.choice(sorted(_BINARY))
            self.then(name, self.shape, self.floats(1, 1, 1, channels), options=_BINARY[name])
        elif kind == "prelu":
            self.then("PRELU", self.shape, self.floats(1, 1, channels))
        elif kind in ("split", "split_v") and channels % 2 == 0:
            half = (1, height, width, channels // 2)
            parts, axis = [self.tensor(half), self.tensor(half)], self.constant(3)
            if kind == "split":
                self.add("SPLIT", [axis, self.last], parts, "SplitOptions", numSplits=2)
            else:
                sizes = self.constant([channels // 2] * 2)
                self.add("SPLIT_V", [self.last, sizes, axis], parts, "SplitVOptions", numSplits=2)
            found = self.tensor(self.shape)
            self.add("CONCATENATION", parts[::-1], [found], "ConcatenationOptions", axis=3)
            self.last = found
        elif kind == "strided_slice" and height > 2:
            ends = self.constant([0, 0, 0, 0]), self.constant([1, height, width, channels]), self.constant([1, 2, 2, 1])
            shape = (1, (height + 1) // 2, (width + 1) // 2, channels)
            self.then("STRIDED_SLICE", shape, *ends, options="StridedSliceOptions", beginMask=9, endMask=9)
        elif kind == "slice" and height > 2:
            size = (1, height - 1, width, channels)
            self.then("SLICE", size, self.constant([0, 1, 0, 0]), self.constant(size), options="SliceOptions")
        elif kind == "resize":
            name, option = self.rng.choice(
                (
                    ("RESIZE_BILINEAR", "ResizeBilinearOptions"),
                    ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
                )
            )
            self.then(name, (1, 6, 10, channels), self.constant([6, 10]), options=option, halfPixelCenters=True)
        elif kind == "depth" and height % 2 == width % 2 == 0:
            shape = (1, height // 2, width // 2, channels * 4)
            self.then("SPACE_TO_DEPTH", shape, options="SpaceToDepthOptions", blockSize=2)
            self.then("DEPTH_TO_SPACE", (1, height, width, channels), options="DepthToSpaceOptions", blockSize=2)
        elif kind in ("pad", "mirror"):
            edges, shape = self.constant([[0, 0], [1, 1], [0, 1], [0, 0]]), (1, height + 2, width + 1, channels)
            if kind == "pad":
                self.then("PADV2", shape, edges, self.constant(0.5, np.float32), options="PadV2Options")
            else:
                self.then("MIRROR_PAD", shape, edges, options="MirrorPadOptions", mode=1)
        elif kind == "batch" and height % 2 == width % 2 == 0:
            block, none = self.constant([2, 2]), self.constant([[0, 0], [0, 0]])
            shape = (4, height // 2, width // 2, channels)
            self.then("SPACE_TO_BATCH_ND", shape, block, none, options="SpaceToBatchNDOptions")
            self.then("BATCH_TO_SPACE_ND", (1, height, width, channels), block, none, options="BatchToSpaceNDOptions")
        elif kind == "pack":
            found = self.tensor((1, 2, height, width, channels))
            self.add("PACK", [self.last, self.last], [found], "PackOptions", valuesCount=2, axis=1)
            self.last = found
            self.then("SUM", (1, height, width, channels), self.constant([1]), options="ReducerOptions")
        elif kind == "unpack" and height <= 8:
            rows = [self.tensor((1, width, channels)) for _ in range(height)]
            self.add("UNPACK", [self.last], rows, "UnpackOptions", num=height, axis=1)
            found = self.tensor(self.shape)
            self.add("PACK", rows, [found], "PackOptions", valuesCount=height, axis=1)
            self.last = found
        elif kind == "gather":
            order = list(range(channels))
            self.rng.shuffle(order)
            self.then("GATHER", self.shape, self.constant(order), options="GatherOptions", axis=3)
        elif kind == "tile" and width <= 16:
            self.then("TILE", (1, height, width * 2, channels), self.constant([1, 1, 2, 1]), options="TileOptions")
        elif kind == "reverse":
            self.then("REVERSE_V2", self.shape, self.constant([3]), options="ReverseV2Options")
        elif kind == "broadcast":
            self.then(
                "REDUCE_MAX", (1, 1, width, channels), self.constant([1]), options="ReducerOptions", keepDims=True
            )
            self.then("BROADCAST_TO", (1, height, width, channels), self.constant([1, height, width, channels]),
                      options="BroadcastToOptions")  # fmt: skip
        elif kind == "matmul":
            self.then("BATCH_MATMUL", (1, height, width, _CHANNELS), self.floats(1, 1, channels, _CHANNELS),
                      options="BatchMatMulOptions")  # fmt: skip
        elif kind == "select":
            larger, found = self.tensor(self.shape, "BOOL"), self.tensor(self.shape)
            self.add("GREATER", [self.last, self.constant(0.0, np.float32)], [larger], "GreaterOptions")
            self.add("SELECT_V2", [larger, self.last, self.last], [found], "SelectV2Options")
            self.last = found

    def end(self) -> None:
        """Append either a mean over pixels or a Flatten layer as in Keras, then a fully connected softmax layer."""
        channels = self.shape[3]
        if self.rng.random() < 0.5:
            size = int(np.prod(self.shape))
            lengths, batch, wanted = self.tensor((4,), "INT32"), self.tensor((), "INT32"), self.tensor((2,), "INT32")
            self.add("SHAPE", [self.last], [lengths], "ShapeOptions", outType=schema().TensorType.INT32)
            ends = [self.constant([0]), self.constant([1]), self.constant([1])]
            self.add("STRIDED_SLICE", [lengths, *ends], [batch], "StridedSliceOptions", shrinkAxisMask=1)
            self.add("PACK", [batch, self.constant(-1)], [wanted], "PackOptions", valuesCount=2, axis=0)
            self.then("RESHAPE", (1, size), wanted, options="ReshapeOptions")
            self.graph.tensors[self.last].shapeSignature = [-1, size]
            channels = size
        else:
            self.then("MEAN", (1, channels), self.constant([1, 2]), options="ReducerOptions")
        weights, bias = self.floats(len(_LABELS), channels), self.floats(len(_LABELS))
        self.then("FULLY_CONNECTED", (1, len(_LABELS)), weights, bias, options="FullyConnectedOptions")
        self.then("SOFTMAX", self.shape, options="SoftmaxOptions", beta=1.0)
        self.graph.outputs = [self.last]


def make(rng: Random, operators: int = 4) -> bytes:
    """Return a `.tflite` classifier for images of 8 x 8 pixels with random operators, and with labels and metadata."""
    builder = _Builder(rng)
    builder.convolve()
    for _ in range(operators):
        builder.grow()
    builder.end()
    info = ModelInfo("fuzz", "random operators", _LABELS)
    return with_files(with_metadata(pack_model(builder.model), info), info, {})
