"""Types of tensors, and the combinations of types that operators accept."""

from __future__ import annotations

from poets_edge.tflite.verify.catalog import Rule

FLOAT32, FLOAT16, INT32, UINT8, INT64, BOOL, INT16, INT8 = 0, 1, 2, 3, 4, 6, 7, 9
DTYPES = {
    FLOAT32: "<f4",
    FLOAT16: "<f2",
    INT32: "<i4",
    UINT8: "<u1",
    INT64: "<i8",
    BOOL: "<u1",
    INT16: "<i2",
    INT8: "<i1",
}
"""numpy dtypes of the values in a tensor, by type number in `TensorType`."""
TYPE_NAMES = {5: "STRING", 8: "COMPLEX64", 10: "FLOAT64", 13: "RESOURCE", 14: "VARIANT", 17: "INT4"}
"""Names of the types that are refused, by type number in `TensorType`."""
ZERO_POINTS = {UINT8: (0, 255), INT8: (-128, 127)}
"""Lowest and highest zero points for the types that require a scale."""
DATA = (FLOAT32, INT8, UINT8, INT16)
INTEGERS = (INT32, INT64)

_WHOLE = frozenset(
    (
        *("ADD", "SUB", "MUL", "DIV", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "POW"),
        *("ADD_N", "ABS", "NEG", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "CONCATENATION", "RESHAPE"),
        *("SQUEEZE", "EXPAND_DIMS", "PACK", "UNPACK", "SPLIT", "SPLIT_V", "GATHER", "SLICE", "STRIDED_SLICE"),
        *("TRANSPOSE", "TILE", "BROADCAST_TO", "FILL", "PAD", "PADV2", "REVERSE_V2", "SELECT", "SELECT_V2"),
    )
)
"""Operators that accept int32 and int64 in addition to other types, because models use them to compute shapes."""

WEIGHT_TYPES = {
    (FLOAT32, FLOAT32, FLOAT32, FLOAT32),
    (FLOAT32, INT8, FLOAT32, FLOAT32),
    (INT8, INT8, INT32, INT8),
    (UINT8, UINT8, INT32, UINT8),
    (INT16, INT8, INT32, INT16),
    (INT16, INT8, INT64, INT16),
}
"""Allowed combinations of types for a layer with weights: (input, weights, bias, output)."""
_CONVERSIONS = {
    "dequantize": {(source, FLOAT32) for source in (FLOAT16, INT8, UINT8, INT16)},
    "quantize": {(source, target) for source in (FLOAT32, INT8, UINT8, INT16) for target in (INT8, UINT8, INT16)},
}


def types_fit(rule: Rule, types: list[int], data: set[int], result: int) -> bool:
    """Return whether the types of an operator's tensors are a combination that it accepts.

    Args:
        types: element type of each input.
        data: types of the inputs that are not shapes, axes or positions.
        result: type of the output.
    """
    if rule.kind in _CONVERSIONS:
        return (types[0], result) in _CONVERSIONS[rule.kind]
    allowed = {*DATA, *(INTEGERS if rule.name in _WHOLE or rule.kind == "compare" else ())}
    if rule.kind == "compare":
        return len(data) == 1 and data <= allowed and result == BOOL
    if rule.kind == "logical":
        return data == {BOOL} and result == BOOL
    if rule.kind == "select":
        return types[0] == BOOL and set(types[1:]) == {result} and result in allowed
    if rule.kind == "integers":
        return result in INTEGERS
    if rule.kind == "any":
        return True
    return data == {result} and result in allowed
