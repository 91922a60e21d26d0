"""Export a trained graph as firmware for a microcontroller, and test the model in TensorFlow Lite Micro."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.device.classifier import Classifier
from poets_edge.errors import ModelError, PhotoError
from poets_edge.exporting.export import prepare_export
from poets_edge.exporting.generated_files import write_generated
from poets_edge.exporting.microcontroller.boards import Board
from poets_edge.exporting.microcontroller.firmware import MicroModel, firmware_files
from poets_edge.exporting.microcontroller.fitting import fitting_architecture
from poets_edge.exporting.microcontroller.tflm import micro_operators, run_micro
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.results import ExportedFile
from poets_edge.photos.image import fit
from poets_edge.photos.open_photo import open_photo
from poets_edge.progress import Reporter, Silent
from poets_edge.tflite.model_file import ModelFile

_COMPARED = 25
"""Maximum number of test photos that are run in TensorFlow Lite Micro, which is slow on a computer."""
_TOLERANCE = 1
"""Maximum accepted difference between an output in TensorFlow Lite Micro and in `Classifier`, as 8-bit integers. No
differences were observed on x86."""


@dataclass(frozen=True, kw_only=True)
class Firmware:
    """Result of `export_firmware`.

    Attributes:
        folder: folder with the firmware.
        file: the full-int8 file, with its evaluation.
        board: board for which the firmware was written.
        arena: size of the tensor arena in bytes; see `MicroRun`.
        memory: bytes of memory available for the tensor arena.
        model_size: bytes of flash memory that the model occupies.
        operators: names of the operators that the model uses.
        compared: number of photos on which TensorFlow Lite Micro was compared with `Classifier`.
        largest_difference: largest difference between an output of TensorFlow Lite Micro and the same output of
            `Classifier`, as a fraction of the 8-bit range.
    """

    folder: Path
    file: ExportedFile
    board: Board
    arena: int
    memory: int
    model_size: int
    operators: tuple[str, ...]
    compared: int
    largest_difference: float

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON-compatible dictionary."""
        return {
            "folder": str(self.folder),
            "file": self.file.to_json(),
            "board": self.board.name,
            "arena": self.arena,
            "memory": self.memory,
            "model_size": self.model_size,
            "flash": self.board.flash,
            "operators": list(self.operators),
            "compared": self.compared,
            "largest_difference": self.largest_difference,
        }


def export_firmware(
    options: ExportOptions, board: Board, *, memory: int | None = None, reporter: Reporter | None = None
) -> Firmware:
    """Convert a trained graph to full-int8, run it in TensorFlow Lite Micro, and write firmware for a board.

    Nothing is written if the model does not fit the board, or if its scores in TensorFlow Lite Micro differ too much
    from those of `Classifier`.

    Args:
        options: options of the export; `quantizations`, `input_type` and `float_io` are set by this function, and
            `output_dir` is the folder for the firmware, by default `microcontroller_<board>` next to the graph.
        memory: bytes of memory available for the tensor arena; by default `board.memory`.

    Raises:
        ModelError: the model does not fit the board (the message names an architecture that fits), or TensorFlow Lite
            Micro cannot run the model or computes different scores.
        OutputError: a file in the folder was edited, or written by another program; nothing is written.
        RuntimeMissingError: TensorFlow Lite Micro is not installed.
        PoetsEdgeError: other errors, as for `export`.
    """
    reporter = reporter or Silent()
    board = replace(board, memory=memory or board.memory)
    folder = options.output_dir or options.graph.parent / f"microcontroller_{board.name.replace('-', '_')}"
    prepared = prepare_export(
        replace(options, quantizations=("full-int8",), input_type="int8", float_io=False, output_dir=folder), reporter
    )
    [file], [content] = prepared.result.files, prepared.contents
    model = prepared.models["full-int8"]
    classifier = Classifier(ModelFile(file.path, content))
    pictures = _test_pictures(file, classifier)
    run = run_micro(model, [classifier.input_values(picture)[None] for picture in pictures], name=str(options.graph))
    _check_fit(options.graph, board, arena=run.arena, size=len(model), labels=classifier.labels)
    difference = _largest_difference(classifier, pictures, run.outputs)
    if difference > _TOLERANCE:
        raise ModelError(
            f"{options.graph}: its scores in TensorFlow Lite Micro differ by {difference}/256 from those of `label`."
            " Nothing was written."
        )
    height, width, channels = classifier.input.shape[1:]
    firmware = firmware_files(
        MicroModel(
            name=classifier.metadata.description or file.path.stem,
            content=model,
            labels=classifier.labels,
            size=(height, width),
            channels=channels,
            arena=run.arena,
            operators=micro_operators(model),
            has_detector=classifier.has_detector,
        ),
        board,
    )
    write_generated(folder, {file.path.name: content, **{path: text.encode() for path, text in firmware.items()}})
    prepared.remember()
    return Firmware(
        folder=folder,
        file=file,
        board=board,
        arena=run.arena,
        memory=board.memory,
        model_size=len(model),
        operators=micro_operators(model),
        compared=len(pictures),
        largest_difference=difference / 256,
    )


def _test_pictures(file: ExportedFile, classifier: Classifier) -> list[npt.NDArray[np.uint8]]:
    """Return up to 25 test photos, resized to the input size of the model; a gray image if there are no test photos."""
    pictures = []
    for photo in file.scored.photos[:: max(1, len(file.scored.photos) // _COMPARED)][:_COMPARED] if file.scored else ():
        try:
            pictures.append(fit(open_photo(photo), classifier.size))
        except PhotoError:
            continue
    return pictures or [np.full((*classifier.size, 3), 128, np.uint8)]


def _largest_difference(
    classifier: Classifier, pictures: Sequence[npt.NDArray[np.uint8]], outputs: Sequence[tuple[npt.NDArray[Any], ...]]
) -> int:
    """Return the largest absolute difference between `outputs` and the outputs of `classifier`, both 8-bit integers."""
    indices, session = range(len(classifier.session.outputs)), classifier.session
    return max(
        int(np.abs(own.astype(int) - micro).max())
        for picture, of_picture in zip(pictures, outputs, strict=True)
        for own, micro in zip(
            session.run_some(classifier.input_values(picture)[None], indices), of_picture, strict=True
        )
    )


def _check_fit(graph: Path, board: Board, *, arena: int, size: int, labels: Sequence[str]) -> None:
    """Raise ModelError if a model does not fit a board; the message names an architecture that fits."""
    if arena <= board.memory and size <= board.flash:
        return
    needs = (
        f"its tensors need {arena:,} bytes of memory, and {board.name} has {board.memory:,} for them"
        if arena > board.memory
        else f"it has {size:,} bytes, and {board.name} has {board.flash:,} bytes of flash memory for it"
    )
    raise ModelError(f"{graph}: {needs}. {_remedy(board, classes=len(labels))}")


def _remedy(board: Board, *, classes: int) -> str:
    """Return a sentence for users that suggests an architecture that fits a board, or states that none fits."""
    for gray, condition in ((False, ""), (True, " with `gray`")):
        if found := fitting_architecture(board, classes=classes, gray=gray):
            architecture, cost = found
            bytes_needed = cost.gray_arena if gray else cost.arena
            return (
                f"{architecture.name} would fit{condition} ({bytes_needed:,} bytes): poets-edge train --architecture"
                f" {architecture.name}"
            )
    return "No architecture here would fit; give more with `memory`, if the board has it."
