"""Parse the JSON record next to a trained graph, which `poets_edge.training.record` writes."""

from __future__ import annotations

from typing import Any

from poets_edge.core.json_checks import COUNT, SHA256, Check, DictOf, Optional, check, parse_json
from poets_edge.photos.photo_sets import PHOTO_SETS
from poets_edge.tflite.metadata import CROSS_VALIDATION, EVALUATION, SPLIT_SIZES

_PHOTO_NAME = Check(
    str,
    "the relative path of a photo",
    lambda name: bool(name) and not name.startswith("/") and ".." not in name.split("/") and "\0" not in name,
)
_RECORD = {
    "graph_sha256": SHA256,
    "architecture": str,
    "weights": {"file": str, "sha256": SHA256},
    "image_dir": str,
    "percentages": SPLIT_SIZES,
    "labels": [str],
    "classes": DictOf({"training": COUNT, "validation": COUNT, "test": COUNT}),
    "sets": Optional({"training": [_PHOTO_NAME], "validation": [_PHOTO_NAME], "test": [_PHOTO_NAME]}),
    "test_groups": Optional([COUNT]),
    "photos": Optional(DictOf(SHA256)),
    "photos_sketch": Optional([int]),
    "photo_sets": PHOTO_SETS,
    "set_folders": Optional(bool),
    "exclude": Optional({"leave_out": Optional([str]), "belongs_to": Optional(DictOf(str))}),
    "final_tensor_name": Optional(str),
    "head": dict,
    "distortions": Optional(dict),
    "versions": DictOf(str),
    "test": EVALUATION,
    "cross_validation": CROSS_VALIDATION,
}


def parse_training_record(data: bytes) -> dict[str, Any]:
    """Parse and validate a training record. Raises RecordError if it is damaged."""
    record: dict[str, Any] = check(parse_json(data), _RECORD)
    return record
