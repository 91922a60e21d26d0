"""Reject Keras models and SavedModels that could run Python code or access other files.

A SavedModel is a program whose operations can read and write files, even while it is loaded. The configuration of a
Keras model can name Python functions and layers that read files. Only operations and layers that image classifiers need
are allowed.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from poets_edge.core.archive_reads import opened_zip
from poets_edge.core.files import read_bytes
from poets_edge.core.json_checks import parse_json
from poets_edge.errors import ModelError
from poets_edge.tflite.formats import HDF5, LARGEST_DIRECTORY, model_format

_CONFIG = "config.json"
_LARGEST_CONFIG = 64 << 20
_LARGEST_GRAPH = (2 << 30) - 1
"""Maximum size of the file with the graph of a SavedModel, in bytes; no protocol buffer can be larger."""
_LAYERS_WITH_CODE = frozenset(
    {"Lambda", "TFOpLambda", "__lambda__", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper", "function"}
)
_LAYERS_WITH_FILES = frozenset({"StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup"})
_MODULE = re.compile(
    r"keras(\.src)?(\.(layers|models|engine|initializers|regularizers|constraints|activations|dtype_policies|ops)"
    r"(\.\w+)*)?"
)
"""Pattern that matches the Keras modules that a model's configuration may name."""

_HARMLESS = re.compile(
    r"(Assign\w*|Read|Destroy|Var\w*)?(Variable|VarHandle|VarIsInitialized|Resource)(Op|V2)?|Assign|ResourceGather\w*"
    r"|DisableCopyOnRead|IsVariableInitialized|PlaceholderWithDefault|Placeholder|Assert|If|While|Case"
    r"|StatefulPartitionedCall|Stateful(Uniform|StandardNormal|TruncatedNormal)\w*|Random\w+|TruncatedNormal|Multinomial"
    r"|SaveV2|RestoreV2|MergeV2Checkpoints|ShardedFilename"
)
"""Pattern for operations that are allowed although they have state or a suspicious name."""
_SUSPICIOUS = re.compile(r"File|PyFunc|Debug|Proto|Remap|Summary|Dataset|Table|Reader|Rpc|Abort|Dump|Write|Save|Print")
_WRITERS = frozenset({"SaveV2", "MergeV2Checkpoints"})
"""Operations that write checkpoints. Every SavedModel has them, but they must not run when it is loaded or called."""


def check_keras(path: Path) -> None:
    """Check that a Keras model contains no Python code and no layers that read files.

    Raises:
        ModelError: the model contains such code or layers, or its configuration cannot be read.
    """
    for name, module in _classes_in(_keras_config(path)):
        if name in _LAYERS_WITH_CODE or not _MODULE.fullmatch(module):
            called = name if name in _LAYERS_WITH_CODE else f"{module}.{name}"
            raise ModelError(f"{path}: contains {called[:100]}, Python code that would be run. It is not loaded.")
        if name in _LAYERS_WITH_FILES:
            raise ModelError(f"{path}: contains the layer {name}, which reads other files. It is not loaded.")


def _keras_config(path: Path) -> Any:
    if model_format(path) is HDF5:
        import h5py

        with h5py.File(path) as file:
            text = file.attrs.get("model_config")
        if text is None:
            raise ModelError(f"{path}: an HDF5 file with weights only, or not of Keras. Save the whole model.")
    else:
        with path.open("rb") as raw, opened_zip(raw, LARGEST_DIRECTORY) as archive:
            text = _member(archive, path)
    found = parse_json(text.decode() if isinstance(text, bytes) else str(text))
    return found.get("config") if isinstance(found, dict) else None


def _member(archive: zipfile.ZipFile, path: Path) -> bytes:
    with archive.open(_CONFIG) as file:
        text = file.read(_LARGEST_CONFIG + 1)
    if len(text) > _LARGEST_CONFIG:
        raise ModelError(f"{path}: its {_CONFIG} is larger than {_LARGEST_CONFIG >> 20} MB.")
    return text


def _classes_in(value: Any) -> Iterator[tuple[str, str]]:
    """Yield a pair (name, module) for each class in a Keras configuration; the module is "keras" if none is given."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield str(value["class_name"]), str(value.get("module") or "keras")
        for part in value.values():
            yield from _classes_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from _classes_in(part)


def check_saved_model(path: Path) -> None:
    """Check that a SavedModel neither accesses other files nor runs Python code when it is loaded or run.

    Raises:
        ModelError: the model contains an operation that is not allowed, or cannot be read.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    file = path / "saved_model.pb"
    if (path / "saved_model.cpb").exists() or not file.is_file():  # TensorFlow reads the former in preference
        raise ModelError(f"{path}: needs a saved_model.pb in one part. Save the model again.")
    try:
        saved = saved_model_pb2.SavedModel.FromString(read_bytes(file, _LARGEST_GRAPH))
    except (DecodeError, OSError) as error:
        raise ModelError(f"{path}: saved_model.pb cannot be read ({error}).") from None
    for meta in saved.meta_graphs:
        for name in sorted(_operations(meta.graph_def)):
            if not _is_harmless(name):
                raise ModelError(
                    f"{path}: contains the operation {name[:100]}, which networks for images do not need and which may"
                    " access files. It is not loaded."
                )
        _check_writers(meta, path)


def _operations(graph: Any) -> set[str]:
    functions = graph.library.function
    return {node.op for node in graph.node} | {node.op for function in functions for node in function.node_def}


def _is_harmless(name: str) -> bool:
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(name)
    plain = definition is not None and not definition.is_stateful and not _SUSPICIOUS.search(name)
    return plain or _HARMLESS.fullmatch(name) is not None


def _check_writers(meta: Any, path: Path) -> None:
    """Raise ModelError if loading or calling a SavedModel would run an operation that writes a checkpoint."""
    functions = {function.signature.name: function.node_def for function in meta.graph_def.library.function}
    writing: set[str] = set()  # names of functions, until nothing is added
    while added := {
        name for name, nodes in functions.items() if name not in writing and any(_writes(one, writing) for one in nodes)
    }:
        writing |= added
    nodes = {node.name for node in meta.graph_def.node if _writes(node, writing)}
    while added := {
        node.name
        for node in meta.graph_def.node
        if node.name not in nodes and any(_node_name(one) in nodes for one in node.input)
    }:
        nodes |= added
    used = {_node_name(info.name) for one in meta.signature_def.values() for info in one.outputs.values()}
    used |= {_node_name(meta.saver_def.restore_op_name)}
    used |= {_node_name(name) for one in meta.collection_def.values() for name in one.node_list.value}
    if used & nodes or set(meta.object_graph_def.concrete_functions) & writing:
        raise ModelError(f"{path}: writes files when it is loaded or run. It is not loaded.")


def _writes(node: Any, writing: set[str]) -> bool:
    called = {function.name for value in node.attr.values() for function in (value.func, *value.list.func)}
    return node.op in _WRITERS or node.op in writing or bool(called & writing)


def _node_name(name: str) -> str:
    return name.removeprefix("^").partition(":")[0]
