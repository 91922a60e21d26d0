"""Results of `export`: the exported files and their evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.core.tabular import Tabular
from poets_edge.core.wording import percent
from poets_edge.device.metrics import Evaluation
from poets_edge.device.paired import Paired
from poets_edge.device.predictions import Predictions
from poets_edge.errors import ModelError
from poets_edge.quantize.convert import Quantization


@dataclass(frozen=True, kw_only=True, repr=False)
class ExportedFile:
    """An exported `.tflite` file and its evaluation.

    Functions that expect the path of a file accept an instance, too.

    Attributes:
        size: file size in bytes.
        evaluation: evaluation on the test photos; None if there are no test photos.
        agreement: fraction of the test photos, 0 to 1, to which this file and the float32 file assign the same label;
            None if there are no test photos.
        compared_with_float32: paired comparison with the float32 file; None for the float32 file, or if there are no
            test photos.
        scored: predictions for the test photos; None if there are no test photos.
    """

    path: Path
    quantization: Quantization
    size: int
    evaluation: Evaluation | None
    agreement: float | None
    compared_with_float32: Paired | None = None
    scored: Predictions | None = None

    @property
    def accuracy(self) -> float | None:
        """Top-1 accuracy on the test photos, 0 to 1; None if there are no test photos."""
        return self.evaluation.accuracy if self.evaluation and self.evaluation.count else None

    def to_json(self) -> dict[str, Any]:
        """Return the exported file and its evaluation as a JSON-compatible dictionary."""
        return {
            "path": str(self.path),
            "quantization": self.quantization,
            "size": self.size,
            "test": self.evaluation.to_json() if self.evaluation else None,
            "agreement_with_float": self.agreement,
            "beside_float": self.compared_with_float32.to_json() if self.compared_with_float32 else None,
        }

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"<ExportedFile {self.path}: {self.size / 1e6:.2f} MB, test accuracy {percent(self.accuracy)}>"


@dataclass(frozen=True, eq=False, repr=False)
class ExportResult(Mapping[str, ExportedFile], Tabular):
    """Mapping from quantizations to exported files, for example `result["int8"].path`.

    Attributes:
        files: exported files, in the order of the requested quantizations.
        labels: class names, in the order of the models' outputs.
        unreadable: error message of each test photo that could not be read and was skipped.
    """

    files: tuple[ExportedFile, ...]
    labels: tuple[str, ...]
    unreadable: tuple[str, ...]

    def __getitem__(self, quantization: str) -> ExportedFile:
        for file in self.files:
            if file.quantization == quantization:
                return file
        raise KeyError(quantization)

    def __iter__(self) -> Iterator[str]:
        return (file.quantization for file in self.files)

    def __len__(self) -> int:
        return len(self.files)

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON-compatible dictionary."""
        return {"labels": list(self.labels), "files": [file.to_json() for file in self.files]}

    def rows(self) -> list[dict[str, Any]]:
        """Return a dictionary per file with its size, accuracy and agreement, for `pandas.DataFrame(files.rows())`."""
        return [
            {
                "quantization": file.quantization,
                "path": str(file.path),
                "size": file.size,
                "accuracy": file.accuracy,
                "agreement_with_float": file.agreement,
            }
            for file in self.files
        ]

    def __repr__(self) -> str:
        return f"<ExportResult {list(self.files)}>"


class AccuracyDropError(ModelError):
    """Raised if a quantized file loses significantly more accuracy than allowed; no files are written.

    Attributes:
        result: the converted files and their evaluations.
    """

    def __init__(self, message: str, result: ExportResult) -> None:
        super().__init__(message)
        self.result = result
