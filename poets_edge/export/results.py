"""Results of `export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.device.metrics import Evaluation
from poets_edge.device.paired import Paired
from poets_edge.device.predictions import Scored
from poets_edge.errors import ModelError
from poets_edge.quantize.convert import Quantization


@dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """One file, and what re-scoring found.

    Attributes:
        size: bytes.
        evaluation: over the test photos; None where there are none.
        agreement: share of test photos answered as the float32 file answers them; None where there are none.
        beside_float: its answers beside the float32 file's, photo by photo; None for that file, and without photos.
        scored: its scores of the test photos; None where there are none.
    """

    path: Path
    quantization: Quantization
    size: int
    evaluation: Evaluation | None
    agreement: float | None
    beside_float: Paired | None = None
    scored: Scored | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the value as JSON-compatible dictionaries, lists, strings and numbers."""
        return {
            "path": str(self.path),
            "quantization": self.quantization,
            "size": self.size,
            "test": self.evaluation.to_json() if self.evaluation else None,
            "agreement_with_float": self.agreement,
            "beside_float": self.beside_float.to_json() if self.beside_float else None,
        }


@dataclass(frozen=True)
class ExportResult:
    """The files written, in the order asked for; `unreadable` names test photos that were left out."""

    files: tuple[ExportedFile, ...]
    labels: tuple[str, ...]
    unreadable: tuple[str, ...]


class AccuracyDropError(ModelError):
    """A quantized file loses more accuracy than was allowed, so nothing was written.

    Attributes:
        result: what was judged, an `ExportResult`.
    """

    def __init__(self, message: str, result: ExportResult) -> None:
        super().__init__(message)
        self.result = result
