"""Export a frozen graph to ONNX with tf2onnx, or to a zipped Core ML package with coremltools.

tf2onnx and coremltools need TensorFlow. Before an ONNX file is written, its outputs in ONNX Runtime are compared with
those of the float32 `.tflite`. Core ML models run on macOS only, so their outputs are not compared.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from poets_edge.core.files import scratch_folder, write_bytes
from poets_edge.device.classifier import Classifier
from poets_edge.device.scorer import ModelOutput
from poets_edge.errors import ModelError, RuntimeMissingError
from poets_edge.exporting.export import prepare_export
from poets_edge.exporting.options import ExportOptions
from poets_edge.nets.frozen import FrozenGraph
from poets_edge.nets.graphdef import serialize
from poets_edge.nets.tensorflow import load_tensorflow
from poets_edge.nets.trained_graph import read_trained
from poets_edge.photos.image import fit, read_photo
from poets_edge.photos.normalization import BACKBONE
from poets_edge.photos.open_photo import read_contents
from poets_edge.progress import Reporter, Silent
from poets_edge.tflite.distance import DISTANCE
from poets_edge.tflite.interpreter import silent_stderr
from poets_edge.tflite.model_file import ModelFile

Array = npt.NDArray[np.float32]
Format = Literal["coreml", "onnx"]
FORMATS: tuple[Format, ...] = get_args(Format)
_SUFFIXES: dict[Format, str] = {"coreml": ".mlpackage.zip", "onnx": ".onnx"}
_OPSET = 13
"""Version of the ONNX operator set; runtimes released since 2020 support it."""
_TOLERANCE = 1e-3
_COMPARED = 100
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class ConvertedModel:
    """Exported model in ONNX or Core ML format.

    Attributes:
        size: size of the file in bytes.
        labels: class names, in the order of the scores.
        compared: number of images on which the model was compared with the float32 `.tflite`; 0 for Core ML.
        largest_difference: largest absolute difference between an output (score or distance) of the model and the same
            output of the `.tflite`.
    """

    path: Path
    format: Format
    size: int
    labels: tuple[str, ...]
    compared: int
    largest_difference: float

    def to_json(self) -> dict[str, Any]:
        """Return a description of the model as a JSON-compatible dictionary."""
        return {
            "path": str(self.path),
            "format": self.format,
            "size": self.size,
            "labels": list(self.labels),
            "compared": self.compared,
            "largest_difference": self.largest_difference if self.compared else None,
        }


def export_format(options: ExportOptions, format: Format, reporter: Reporter | None = None) -> ConvertedModel:
    """Convert a frozen graph to ONNX or Core ML, compare an ONNX model with the float32 `.tflite`, and write the file.

    Args:
        options: options of the export; those that concern only `.tflite` files have no effect.

    Raises:
        ModelError: the converter fails, or an output of the ONNX model differs by more than 0.001.
        RuntimeMissingError: a package that the conversion needs is not installed.
        PoetsEdgeError: other errors, as for `export`.
    """
    reporter = reporter or Silent()
    trained = read_trained(options.graph, options.labels)
    prepared = prepare_export(replace(options, quantizations=("float32",)), reporter)
    [file], [content] = prepared.result.files, prepared.contents
    classifier = Classifier(ModelFile(file.path, content))
    with reporter.progress("converting", 1, "file") as advance:
        try:
            convert = _to_onnx if format == "onnx" else _to_core_ml
            converted = convert(trained.frozen, trained.labels, classifier)
        except RuntimeMissingError:
            raise
        except Exception as error:  # converters raise exceptions of many kinds
            reason = " ".join(str(error).split())[:300]
            raise ModelError(f"{options.graph}: cannot be converted to {format} ({reason}).") from None
        advance(1)
    compared, difference = 0, 0.0
    if format == "onnx":
        pictures = list(_pictures(classifier, file.scored.photos if file.scored else ()))
        compared, difference = len(pictures), _onnx_difference(converted, classifier, pictures)
    if not difference <= _TOLERANCE:
        raise ModelError(
            f"{options.graph}: as {format}, its scores differ by {difference:.2g} from those of the float32 model."
            " Nothing was written."
        )
    path = (options.output_dir or options.graph.parent) / f"{options.graph.stem}{_SUFFIXES[format]}"
    write_bytes(path, converted)
    return ConvertedModel(
        path=path,
        format=format,
        size=len(converted),
        labels=trained.labels,
        compared=compared,
        largest_difference=difference,
    )


def _outputs(frozen: FrozenGraph) -> list[str]:
    """Return the names of the output tensors: the scores and, if the graph detects unknown photos, the distance."""
    found = any(node.name == DISTANCE for node in frozen.graph.node)
    return [f"{frozen.output_name}:0", *([f"{DISTANCE}:0"] if found else [])]


def _tensorflow_graph(frozen: FrozenGraph) -> tuple[Any, Any]:
    tf = load_tensorflow("converting a graph")
    return tf, tf.compat.v1.GraphDef.FromString(serialize(frozen.graph))


def _to_onnx(frozen: FrozenGraph, labels: tuple[str, ...], classifier: Classifier) -> bytes:
    """Convert a graph to an ONNX model, whose input is (pixel - 127.5) / 127.5, float32 [1, height, width, 3]."""
    _, graph = _tensorflow_graph(frozen)
    with _quiet():
        tf2onnx = _load("tf2onnx", "onnx")
        shape = {f"{frozen.input_name}:0": [1, *frozen.size, 3]}
        model, _ = tf2onnx.convert.from_graph_def(
            graph, input_names=list(shape), output_names=_outputs(frozen), opset=_OPSET, shape_override=shape
        )
    facts = {"labels": "\n".join(labels), "mean": str(BACKBONE.mean[0]), "std": str(BACKBONE.std[0])}
    for key, value in facts.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    model.doc_string = classifier.metadata.description
    return bytes(model.SerializeToString())


def _onnx_difference(content: bytes, classifier: Classifier, pictures: list[npt.NDArray[np.uint8]]) -> float:
    """Return the largest absolute difference between the outputs of an ONNX model and those of a classifier."""
    runtime = _load("onnxruntime", "onnx")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    [name] = [one.name for one in session.get_inputs()]
    largest = 0.0
    for picture in pictures:
        values = classifier.input_values(picture)
        scores, *distance = session.run(None, {name: values.reshape(1, *values.shape[-3:])})
        largest = max(largest, _difference(classifier.predict_pixels(picture), scores, distance))
    return largest


def _difference(
    expected: ModelOutput, scores: npt.NDArray[np.float32], distance: list[npt.NDArray[np.float32]]
) -> float:
    largest = float(np.abs(scores[0] - expected.scores).max())
    if expected.distance is not None:
        largest = max(largest, abs(float(distance[0].item()) - expected.distance))
    return largest if np.isfinite(largest) else np.inf


def _to_core_ml(frozen: FrozenGraph, labels: tuple[str, ...], classifier: Classifier) -> bytes:
    """Convert a graph to a zipped Core ML package: an ML program, for iOS 15 and later, that classifies images."""
    tf, graph = _tensorflow_graph(frozen)
    with _quiet():  # coremltools logs which macOS libraries are missing on this machine
        coreml = _load("coremltools", "coreml")
    height, width = frozen.size
    image = coreml.ImageType(
        name=frozen.input_name,
        shape=(1, height, width, 3),
        scale=1 / BACKBONE.std[0],
        bias=[-BACKBONE.mean[0] / BACKBONE.std[0]] * 3,
        color_layout=coreml.colorlayout.RGB,
    )
    with _quiet(), scratch_folder() as folder:
        imported = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph, name=""), [])
        model = coreml.convert(
            [imported.prune([f"{frozen.input_name}:0"], _outputs(frozen))],
            source="tensorflow",
            inputs=[image],
            classifier_config=coreml.ClassifierConfig(list(labels), predicted_probabilities_output=frozen.output_name),
            convert_to="mlprogram",
            compute_precision=coreml.precision.FLOAT32,
            minimum_deployment_target=coreml.target.iOS15,
        )
        model.short_description = classifier.metadata.description
        model.user_defined_metadata["labels"] = json.dumps(labels, ensure_ascii=False)
        name = f"{frozen.path.stem}.mlpackage"
        model.save(str(folder / name))
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
            for path in sorted((folder / name).rglob("*")):
                if path.is_file():
                    entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _FIXED_DATE)
                    files.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _pictures(classifier: Classifier, photos: Any) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield up to 100 test photos, resized to the input size of the model; four random images if there are none."""
    for photo in photos[:: max(1, len(photos) // _COMPARED)][:_COMPARED]:
        yield fit(read_photo(read_contents(photo)), classifier.size)
    if not photos:
        rng = np.random.default_rng(0)
        for _ in range(4):
            yield rng.integers(0, 256, (*classifier.size, 3), np.uint8)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Context manager that suppresses progress bars, log messages and warnings from a converter."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with silent_stderr(), contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _load(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RuntimeMissingError(
            f"the format {extra} needs {name}, which is not installed ({error}). Run: pip install 'poets-edge[{extra}]'"
        ) from None
