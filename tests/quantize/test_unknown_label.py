"""Tests of the additional label "unknown" in a `.tflite` model."""

from __future__ import annotations

import numpy as np
import pytest

from poets_edge.errors import ModelError
from poets_edge.quantize.activation_statistics import calibrate
from poets_edge.quantize.unknown_label import with_unknown_label
from poets_edge.quantize.write_full_int8 import write_full_int8_model
from poets_edge.quantize.write_int8 import write_int8_model
from poets_edge.quantize.write_model import FloatQuantization, write_float_model
from poets_edge.tflite.distance import DISTANCE
from poets_edge.tflite.flatbuffer import (
    add_tensor,
    new_model,
    new_operator,
    pack_model,
    quant_params,
    schema,
    unpack_model,
)
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session
from tests.conftest import ROOT
from tests.quantize.test_detector import CLASSES, detector, network, normalized, outputs, pictures


@pytest.mark.parametrize("kind", ["float32", "float16", "uint8", "float_io", "full-int8", "full-uint8"])
def test_score_of_the_unknown_label_is_0_or_1(kind: str) -> None:
    # Offset such that half of the images are unknown.
    found, images = detector(), pictures(40)
    found = type(found)(**{**vars(found), "biases": found.biases + np.float32(0.57)})
    net = network(found)
    if kind in ("float32", "float16"):
        content, inputs = write_float_model(net, kind), normalized(images)  # type: ignore[arg-type]
    elif kind.startswith("full"):
        calibration = calibrate(net, images, workers=1)
        content = write_full_int8_model(
            net,
            calibration.ranges,
            bottlenecks=calibration.bottlenecks,
            input_type="int8" if kind == "full-int8" else "uint8",
        )
        inputs = (
            images if kind == "full-uint8" else [(image.astype(np.int16) - 128).astype(np.int8) for image in images]
        )
    else:
        ranges = calibrate(net, images, workers=1).ranges
        content = write_int8_model(net, ranges, float_io=kind == "float_io")
        inputs = normalized(images) if kind == "float_io" else images
    scores, distances = outputs(content, inputs)
    unknown = distances > 1
    assert 5 < unknown.sum() < 35
    session = Session(ModelFile(ROOT / "model", with_unknown_label(content)))
    [info] = session.outputs
    assert info.shape == (1, CLASSES + 1) and info.dtype == {
        "uint8": np.uint8,
        "full-uint8": np.uint8,
        "full-int8": np.int8,
    }.get(kind, np.float32)
    labeled = np.array([info.dequantize(session.run(one[None]))[0] for one in inputs])
    top = 1 if info.dtype == np.float32 else 255 / 256
    assert np.array_equal(labeled[:, -1], unknown * np.float32(top))
    assert np.array_equal(labeled[:, :-1], np.where(unknown[:, None], 0, scores))


def test_unknown_label_requires_a_detector() -> None:
    with pytest.raises(ModelError, match="has no detector of unknown photos"):
        with_unknown_label(write_float_model(network(None)))


def test_signatures_of_the_replaced_outputs_are_removed() -> None:
    model = unpack_model(write_float_model(network(detector())))
    model.signatureDefs = [schema().SignatureDefT()]
    assert not unpack_model(with_unknown_label(pack_model(model))).signatureDefs


@pytest.mark.parametrize("quantization", ["float16", "dynamic"])
def test_projection_of_the_detector_has_half_precision_in_quantized_files(quantization: FloatQuantization) -> None:
    graphs = [
        unpack_model(write_float_model(network(detector()), one)).subgraphs[0] for one in ("float32", quantization)
    ]
    half, single = schema().TensorType.FLOAT16, schema().TensorType.FLOAT32
    types = [{bytes(one.name): one.type for one in graph.tensors if b"projection" in one.name} for graph in graphs]
    assert types == [
        {b"detector/projection": single}, {b"detector/projection16": half, b"detector/projection": single}
    ]  # fmt: skip


def test_model_whose_uint8_scores_are_not_rounded_by_a_last_operator_is_refused() -> None:
    """Its scores are computed in 8 bits, so there is no tensor to which the score of another label can be joined."""
    model = new_model("8 bits")
    graph, types = model.subgraphs[0], schema().TensorType
    names = (b"scores", DISTANCE.encode(), b"input")
    ends = [
        add_tensor(graph, name, (1, size), types.UINT8, quant_params(1 / 256))
        for name, size in zip(names, (3, 1, 3), strict=True)
    ]
    graph.inputs, graph.outputs = ends[2:], ends[:2]
    for output in ends[:2]:
        graph.operators.append(new_operator(model, schema().BuiltinOperator.RELU, 1, ends[2:], [output]))
    with pytest.raises(ModelError, match="scores are computed in 8 bits"):
        with_unknown_label(pack_model(model))
