"""Tests of the integers that a model derives from tensor shapes, with numpy and plain numbers as the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from poets_edge.tflite.verify.folding import fold
from tests.tflite.test_array_shapes import call, masks

TABLE = [[1, 2, 3], [4, 5, 6]]


def folded(name: str, *values: Any, shape: Any = None, **options: Any) -> Any:
    """Return the result of an operator on arrays of integers as lists, or None."""
    arrays = [None if value is None else np.array(value, np.int64) for value in values]
    constants = {index: array.ravel().tolist() for index, array in enumerate(arrays) if array is not None}
    inputs = [None if array is None else array.shape for array in arrays]
    found = fold(name, call(*inputs, constants=constants, **options), arrays, shape or (-1,))
    return None if found is None else found.tolist()


@pytest.mark.parametrize(
    ("name", "values", "options", "expected"),
    [
        ("PACK", ([1, 2], [3, 4]), {"axis": 1, "shape": (2, 2)}, [[1, 3], [2, 4]]),
        ("PACK", (6, -1), {"axis": 0}, [6, -1]),
        ("CONCATENATION", ([[1], [2]], [[3], [4]]), {"axis": 1, "shape": (2, 2)}, [[1, 3], [2, 4]]),
        ("GATHER", (TABLE, [2, 0]), {"axis": 1, "shape": (2, 2)}, [[3, 1], [6, 4]]),
        ("GATHER", (TABLE, [1]), {"axis": 0, "shape": (1, 3)}, [[4, 5, 6]]),
        ("RESHAPE", (TABLE, [3, 2]), {"shape": (3, 2)}, [[1, 2], [3, 4], [5, 6]]),
        ("EXPAND_DIMS", ([7, 8], 0), {"shape": (1, 2)}, [[7, 8]]),
        ("SQUEEZE", ([[7, 8]],), {}, [7, 8]),
        ("CAST", ([7, -8],), {}, [7, -8]),
        ("ADD", ([7, -3], [2, 5]), {}, [9, 2]),
        ("SUB", ([7, -3], [2, 5]), {}, [5, -8]),
        ("MUL", ([7, -3], [2, 5]), {}, [14, -15]),
        ("DIV", ([7, -7, 7, 6], [2, 2, -2, 3]), {}, [3, -3, -3, 2]),
        ("FLOOR_DIV", ([7, -7, 7, 6], [2, 2, -2, 3]), {}, [3, -4, -4, 2]),
        ("FLOOR_DIV", ([7, 8], [0, 2]), {}, [0, 4]),
        ("MAXIMUM", ([7, -3], [2, 5]), {}, [7, 5]),
        ("MINIMUM", ([7, -3], [2, 5]), {}, [2, -3]),
        ("REDUCE_PROD", (TABLE, [1]), {}, [6, 120]),
        ("REDUCE_PROD", (TABLE, [-2]), {}, [4, 10, 18]),
        ("REDUCE_PROD", (TABLE, [0, 1]), {}, [720]),
        ("STRIDED_SLICE", ([1, 6, 4, 8], [1], [3], [1]), masks(), [6, 4]),
        ("STRIDED_SLICE", ([1, 6, 4, 8], [-1], [-4], [-2]), masks(), [8, 6]),
        ("STRIDED_SLICE", (TABLE, [0, 1], [2, 3], [1, 1]), {**masks(), "shape": (2, 2)}, [[2, 3], [5, 6]]),
    ],
)
def test_constant_folding_agrees_with_plain_arithmetic(
    name: str, values: Any, options: dict[str, Any], expected: Any
) -> None:
    assert folded(name, *values, **options) == expected


def test_constant_folding_returns_the_shape_of_a_tensor_whose_values_are_unknown() -> None:
    found = fold("SHAPE", call((1, 6, 4, 8)), [None], (4,))
    assert found is not None and found.tolist() == [1, 6, 4, 8]


def test_constant_folding_returns_none_for_results_that_depend_on_the_input() -> None:
    assert folded("ADD", [1], None) is None
    assert folded("EXP", [1]) is None
    assert folded("MUL", [1] * 64, [2] * 64) == [2] * 64 and folded("MUL", [1] * 65, [2] * 65) is None
    assert folded("CONCATENATION", [1] * 64, [2], axis=0) is None, "the result has too many integers"
    largest = 2**31 - 1
    assert folded("ADD", [largest - 1, -largest], [1, 0]) == [largest, -largest]
    assert folded("ADD", [largest], [1]) is None and folded("SUB", [-largest], [1]) is None, "not 32 bits"
