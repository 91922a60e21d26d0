"""Read the metadata inside a `.tflite`: labels, normalization, and the content of `poets_edge.json`.

A `.tflite` is a FlatBuffer. Standard TFLite metadata are a second FlatBuffer inside one of its buffers, and the label
file is in a zip archive that is appended to it. poets_edge adds `poets_edge.json` to the archive, with a checksum of
the bytes before the archive. Field numbers follow TensorFlow's `schema.fbs` and `metadata_schema.fbs`.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import flatbuffers
from flatbuffers import number_types
from flatbuffers.table import Table

from poets_edge.core.archive_reads import opened_zip
from poets_edge.core.json_checks import COUNT, SHA256, SHARE, Check, DictOf, Optional, check, parse_json
from poets_edge.errors import ModelError, RecordError
from poets_edge.photos.normalization import is_sound
from poets_edge.photos.photo_sets import PHOTO_SETS
from poets_edge.tflite.distance import DISTANCE
from poets_edge.tflite.labels import decode_labels, parse_labels, split_labels
from poets_edge.tflite.model_file import ModelFile

METADATA_NAME = "TFLITE_METADATA"
RESIZE_NAME, INTERPOLATION = "POETS_EDGE_RESIZE", b"bilinear without antialiasing"
"""Name and content of the metadata entry that marks models whose input images are to be resized as in MediaPipe."""
FACTS_FILE = "poets_edge.json"
ULTRALYTICS, ULTRALYTICS_FILE = "Ultralytics", "metadata.json"
"""Author named in models that Ultralytics exports, and name of the JSON file that is appended to these models and holds
their class names."""
NORMALIZATION_OPTIONS = 1
"""Type number of NormalizationOptions in the FlatBuffer union ProcessUnitOptions."""
TENSOR_AXIS_LABELS = 2
"""AssociatedFileType of a file with one label per line, in the order of the output tensor."""

_MAX_MEMBER_BYTES = 16 << 20
"""Maximum size of each file in the archive appended to a model, and of the archive's directory, in bytes."""
_MAX_MEMBERS = 1000

_PERCENT = Check(int, "a whole number from 0 to 100", lambda value: 0 <= value <= 100)
SPLIT_SIZES = Check(
    {"testing": _PERCENT, "validation": _PERCENT},
    "shares that leave something to train on",
    lambda sizes: sizes["testing"] + sizes["validation"] < 100,
)
"""Expected JSON structure of split sizes: the percentages of test and validation photos."""
EVALUATION = Optional(
    {
        "photos": COUNT,
        "correct": COUNT,
        "accuracy": Optional(SHARE),
        "interval95": (Optional(SHARE), Optional(SHARE)),
        "cross_entropy": Optional(float),
        "confusion": [[COUNT]],
    }
)
"""Expected JSON structure of an evaluation, as returned by `poets_edge.device.metrics.Evaluation.to_json`."""
CROSS_VALIDATION = Optional({"photos": COUNT, "accuracy": SHARE, "interval95": (SHARE, SHARE)})
"""Expected JSON structure of the cross-validated accuracy in a training record or a model's metadata."""
_FACTS = {
    "sha256": Optional(SHA256),
    "quantization": Optional(str),
    "percentages": Optional(SPLIT_SIZES),
    "training": Optional(
        {
            "architecture": Optional(str),
            "weights": Optional({"file": Optional(str), "sha256": Optional(SHA256)}),
            "classes": Optional(DictOf(DictOf(COUNT))),
            "versions": Optional(DictOf(str)),
            "graph_sha256": Optional(SHA256),
            "photos_sketch": Optional([int]),
            "photo_sets": PHOTO_SETS,
            "cross_validation": CROSS_VALIDATION,
            "exclude_hashes": Optional({"leave_out": Optional([str]), "belongs_to": Optional(DictOf(str))}),
        }
    ),
    "test": EVALUATION,
    "agreement_with_float": Optional(SHARE),
    "exported_with": Optional(DictOf(str)),
}


@dataclass(frozen=True)
class Metadata:
    """Metadata of a model; fields that the file lacks are empty.

    Attributes:
        mean, std: normalization of the input, in pixel units: (pixel - mean) / std.
        labels: class names, in the order of the output.
        facts: content of `poets_edge.json`; empty for models from other programs.
        author: author of the model.
        score_output: index of the output that the labels belong to; None if the metadata name no labels file.
        distance_output: index of the output with the distance from the training photos; None if there is no
            such output.
        antialias: whether images are resized with antialiasing; MediaPipe resizes them without it.
    """

    name: str = ""
    description: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    author: str = ""
    score_output: int | None = None
    distance_output: int | None = None
    antialias: bool = True

    @property
    def full_int8(self) -> bool:
        """Whether the model is a full-int8 file written by poets_edge.

        Full-int8 files must not be run with XNNPACK, which rounds sums differently from the microcontrollers that these
        files are for; scores would differ by up to a few percent.
        """
        return self.facts.get("quantization") == "full-int8"


def read_metadata(file: ModelFile) -> Metadata:
    """Read the labels, the normalization and the content of `poets_edge.json` from a model.

    Raises:
        ModelError: the file is damaged: its checksum does not match, or a value is not valid.
    """
    path, data = file.path, file.content
    try:
        found, label_file = _read_flatbuffer(data)
    except Exception:  # reading a damaged FlatBuffer can raise any exception
        raise ModelError(f"{path}: damaged. Export it again, or copy it again.") from None
    files, start = _appended_files(path, data, {FACTS_FILE, ULTRALYTICS_FILE, label_file})
    facts = _parse_facts(path, files.get(FACTS_FILE, b"{}"))
    expected = facts.get("sha256")
    if expected and not file.verified and hashlib.sha256(data[:start]).hexdigest() != expected:
        raise ModelError(f"{path}: damaged (its checksum does not match). Export it again, or copy it again.")
    _check_normalization(path, found.mean, found.std)
    try:
        label_text = decode_labels(files.get(label_file) or file.labels_file)
    except UnicodeDecodeError:
        raise ModelError(
            f"{path}: its labels ({label_file or 'labels.txt'}) are not text in UTF-8. Give them in a file next to an"
            " unpacked model: `labels`"
        ) from None
    labels = split_labels(label_text) if facts else parse_labels(label_text, f"{path} ({label_file or 'labels.txt'})")
    if ULTRALYTICS_FILE in files and not facts and not labels:
        return replace(found, labels=_names(path, files[ULTRALYTICS_FILE]), author=found.author or ULTRALYTICS)
    return replace(found, labels=labels, facts=facts)


def _names(path: Path, text: bytes) -> tuple[str, ...]:
    """Return the class names, ordered by class number, from the `metadata.json` in a model from Ultralytics."""
    try:
        names = check(parse_json(text), {"names": Optional(object)}).get("names") or {}
        numbered = check(names, DictOf(str)) if isinstance(names, dict) else dict(enumerate(check(names, [str])))
        return tuple(name for _, name in sorted((int(number), name) for number, name in numbered.items()))
    except (RecordError, ValueError) as error:
        raise ModelError(f"{path}: its {ULTRALYTICS_FILE} cannot be read ({error}).") from None


def _check_normalization(path: Path, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    if (mean or std) and not is_sound(mean, std):
        raise ModelError(
            f"{path}: its metadata's normalization (mean {list(mean)}, standard deviation {list(std)}) is invalid:"
            " each must be one or three finite numbers, and the deviation must be positive. Export it again."
        )


def _appended_files(path: Path, data: bytes, wanted: Collection[str]) -> tuple[dict[str, bytes], int]:
    """Return the requested files in the archive appended to a model, {name: content}, and the offset of the archive."""
    # Not read from the file again, which may have been replaced.
    stream = io.BytesIO(data)
    if not zipfile.is_zipfile(stream):
        return {}, len(data)
    try:
        _check_directory(data)
        with opened_zip(stream, _MAX_MEMBER_BYTES) as archive:
            members = archive.infolist()
            files = {info.filename: _member(archive, info) for info in members if info.filename in wanted}
            return files, min((info.header_offset for info in members), default=len(data))
    # Python's reader raises all of these for damaged archives.
    except (
        *(zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError),
        *(ValueError, struct.error, zlib.error, LookupError, OverflowError, MemoryError),
    ):
        raise ModelError(f"{path}: damaged. Export it again, or copy it again.") from None


def _check_directory(data: bytes) -> None:
    """Raise ValueError if a zip archive has no directory, or one that is too large for `zipfile` to read safely."""
    end = data.rfind(b"PK\x05\x06")
    count, size = struct.unpack_from("<HI", data, end + 10)
    if end < 0 or count > _MAX_MEMBERS or size > _MAX_MEMBER_BYTES:
        raise ValueError(f"{count} members")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return the content of a file in the archive appended to a model. Raises ValueError if it is too large."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"compressed by method {info.compress_type}")
    with archive.open(info) as file:
        content = file.read(_MAX_MEMBER_BYTES + 1)
    if len(content) > _MAX_MEMBER_BYTES:
        raise ValueError("too large")
    return content


def _parse_facts(path: Path, text: bytes) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = check(parse_json(text), _FACTS)
    except RecordError as error:
        raise ModelError(f"{path}: damaged ({FACTS_FILE}: {error}). Export it again.") from None
    if facts.get("quantization") == "none":  # the name of float32 in version 0.1
        facts["quantization"] = "float32"
    return facts


def _read_flatbuffer(data: bytes) -> tuple[Metadata, str]:
    """Return the standard metadata without labels, and the name of the label file ("" if there is none)."""
    model = _root(data)
    buffers = list(_tables(model, 4))
    contents: dict[str, bytes] = {}
    for entry in _tables(model, 6):
        name = _string(entry, 0)
        if name in (METADATA_NAME, RESIZE_NAME):
            offset = entry.Offset(_slot(1))
            index = entry.Get(number_types.Uint32Flags, entry.Pos + offset) if offset else 0
            contents.setdefault(name, _bytes(buffers[index], 0))
    if METADATA_NAME not in contents:
        return Metadata(), ""
    found, label_file = _read_model_metadata(contents[METADATA_NAME])
    return replace(found, antialias=contents.get(RESIZE_NAME) != INTERPOLATION), label_file


def _read_model_metadata(data: bytes) -> tuple[Metadata, str]:
    metadata = _root(data)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    label_file, score_output, distance_output = "", None, None
    for subgraph in _tables(metadata, 3):
        for tensor in _tables(subgraph, 2):
            for unit in _tables(tensor, 4):
                kind = unit.Offset(_slot(0))
                if kind and unit.Get(number_types.Uint8Flags, unit.Pos + kind) == NORMALIZATION_OPTIONS:
                    options = _union(unit, 1)
                    mean, std = _floats(options, 0), _floats(options, 1)
        for position, tensor in enumerate(_tables(subgraph, 3)):
            for file in _tables(tensor, 6):
                kind = file.Offset(_slot(2))
                if kind and file.Get(number_types.Int8Flags, file.Pos + kind) == TENSOR_AXIS_LABELS and not label_file:
                    label_file, score_output = _string(file, 0), position
            if _string(tensor, 0) == DISTANCE and score_output != position:
                distance_output = position
    found = Metadata(
        name=_string(metadata, 0),
        description=_string(metadata, 1),
        mean=mean,
        std=std,
        author=_string(metadata, 4),
        score_output=score_output,
        distance_output=distance_output,
    )
    return found, label_file


# A FlatBuffer table has the offset of its n-th field in slot 4 + 2n of its vtable.


def _slot(field_number: int) -> int:
    return 4 + 2 * field_number


def _root(data: bytes) -> Table:
    return Table(data, flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0))


def _tables(table: Table, field_number: int) -> Iterator[Table]:
    offset = table.Offset(_slot(field_number))
    if offset:
        start = table.Vector(offset)
        for index in range(table.VectorLen(offset)):
            yield Table(table.Bytes, table.Indirect(start + 4 * index))


def _union(table: Table, field_number: int) -> Table:
    return Table(table.Bytes, table.Indirect(table.Pos + table.Offset(_slot(field_number))))


def _string(table: Table, field_number: int) -> str:
    offset = table.Offset(_slot(field_number))
    return str(table.String(table.Pos + offset).decode("utf-8", errors="replace")) if offset else ""


def _bytes(table: Table, field_number: int) -> bytes:
    offset = table.Offset(_slot(field_number))
    if not offset:
        return b""
    start = table.Vector(offset)
    return bytes(table.Bytes[start : start + table.VectorLen(offset)])


def _floats(table: Table, field_number: int) -> tuple[float, ...]:
    offset = table.Offset(_slot(field_number))
    if not offset:
        return ()
    start = table.Vector(offset)
    return tuple(
        float(table.Get(number_types.Float32Flags, start + 4 * index)) for index in range(table.VectorLen(offset))
    )
