"""Options of `export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poets_edge.core.arguments import check_fields
from poets_edge.core.paths import GRAPH
from poets_edge.errors import UsageError
from poets_edge.photos.address import Location, as_photo_path
from poets_edge.photos.split import SplitConfig
from poets_edge.quantize.convert import Quantization
from poets_edge.quantize.write_full_int8 import InputType


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options that specify what `export` converts, and how.

    Attributes:
        graph: frozen graph, written by `train` or by the codelab "TensorFlow for Poets"; or a Keras model or
            SavedModel, which TensorFlow converts.
        labels: labels file for a graph without labels, or file with translations of the labels in the graph, one
            `old=new` per line; by default the labels in the graph or, if it has none, the labels file next to it.
        output_dir: folder for the `.tflite` files; by default the folder of the graph.
        quantizations: quantizations to export, one file each; by default int8 if the architecture's name ends in
            `_quantized`, otherwise float32.
        float_io: whether int8 files have float32 inputs and outputs.
        input_type: type of the input and the output of full-int8 files: "uint8" for pixel values, "int8" for pixel
            values minus 128.
        gray: whether the input of full-int8 files is gray, with one channel, which needs less memory.
        input_range: input values of a model from another program for the pixel values 0 and 255, such as "0:1", or
            three ranges for red, green and blue; by default derived from the model, or from the accuracy on the photos
            in `image_dir`.
        input_size: height and width of the input, pixels, for a Keras model or SavedModel that accepts images of any
            size.
        image_dir: folder of the photos; required if they were moved or the graph has no training record.
        percentages: sizes of the splits of the photos in `image_dir`, for a graph without a training record.
        unknown_label: name of an additional label for photos unlike the training photos, for programs that support a
            single output. By default (""), the model instead has a second output with the distance from the training
            photos.
        calibration_count: number of training photos used to calibrate int8 and full-int8 files.
        max_accuracy_drop: maximum loss of accuracy of a quantized file on the test photos, in percentage points; None
            for no limit. The export fails if a file loses significantly more (see `poets_edge.exporting.drop`).
    """

    graph: Path = GRAPH
    labels: Path | None = None
    unknown_label: str = ""
    output_dir: Path | None = None
    quantizations: tuple[Quantization, ...] = ()
    float_io: bool = False
    input_type: InputType = "uint8"
    gray: bool = False
    input_range: str | None = None
    input_size: int | None = None
    image_dir: Location | None = None
    percentages: SplitConfig = SplitConfig()
    calibration_count: int = 100
    max_accuracy_drop: float | None = None

    def __post_init__(self) -> None:
        check_fields(self, image_dir=as_photo_path)
        if len(self.unknown_label.splitlines()) > 1 or self.unknown_label != self.unknown_label.strip():
            raise UsageError(f"`unknown_label` {self.unknown_label!r} must be one line without spaces around it.")
        if self.gray and self.quantizations != ("full-int8",):
            raise UsageError("`gray` is for full-int8 files only.")
        if self.input_size is not None and not 8 <= self.input_size <= 2048:
            raise UsageError(f"`input_size` must be between 8 and 2048 pixels, not {self.input_size}.")
        if self.calibration_count < 1:
            raise UsageError(f"`calibration_count` must be 1 or more, not {self.calibration_count}.")
        if self.max_accuracy_drop is not None and not 0 <= self.max_accuracy_drop <= 100:
            raise UsageError(f"`max_accuracy_drop` is in points, 0 to 100, not {self.max_accuracy_drop}.")
