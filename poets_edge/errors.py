"""Exceptions of poets_edge.

    PoetsEdgeError
    ├── UsageError          an argument is out of range, or two arguments contradict each other; also a ValueError
    │   └── WrongTypeError      an argument has the wrong type; also a TypeError
    ├── PhotoError          one photo cannot be read
    ├── DatasetError        a folder of photos cannot be used for training or evaluation
    ├── TrainingError       training diverged
    ├── WeightsError        backbone weights are missing or damaged
    ├── DownloadError       a file cannot be downloaded, or its size or checksum is wrong
    ├── ModelError          a .tflite, .pb or labels file is missing, damaged or not supported
    │   └── AccuracyDropError   a quantized file loses more accuracy than allowed
    │                           (`poets_edge.exporting.results`, with the result)
    ├── RecordError         a JSON file is damaged or does not have the expected format
    ├── BudgetError         no model meets the limits on latency, size or accuracy
    ├── SourceError         a camera, a video or a stream supplies no frames
    ├── RuntimeMissingError a required package is not installed
    ├── RemoteError         another device cannot be reached, or an operation on it fails
    └── OutputError         a result cannot be written

Each message is one line: problem, file or parameter, and remedy. Names of parameters are in backquotes; the command
line replaces them with its flags, prints the message after "Error: ", and exits with status 1. A traceback that reaches
the user is a bug.
"""

from __future__ import annotations


class PoetsEdgeError(Exception):
    """Base class of the exceptions of poets_edge."""


class UsageError(PoetsEdgeError, ValueError):
    """Raised if an argument is out of range, or if two arguments contradict each other."""


class WrongTypeError(UsageError, TypeError):
    """Raised if an argument has the wrong type."""


class PhotoError(PoetsEdgeError):
    """Raised if a photo cannot be read; the message names the file."""

    def without_frames(self) -> PhotoError:
        """Return this error without its traceback and causes, so that storing it does not keep other objects in memory.

        The frames of a traceback refer to their local variables, such as the contents of a photo.
        """
        self.__context__ = self.__cause__ = None
        return self.with_traceback(None)


class DatasetError(PoetsEdgeError):
    """Raised if a folder of photos cannot be used for training or evaluation."""


class TrainingError(PoetsEdgeError):
    """Raised if training diverged: weights became NaN or infinite because the learning rate is too high."""


class WeightsError(PoetsEdgeError):
    """Raised if backbone weights cannot be found, downloaded or read."""


class DownloadError(PoetsEdgeError):
    """Raised if a file cannot be downloaded, or if its size or checksum is wrong."""


class ModelError(PoetsEdgeError):
    """Raised if a `.tflite`, `.pb` or labels file is missing, damaged or not supported."""


class RecordError(PoetsEdgeError):
    """Raised if a JSON file, such as the results of a benchmark, is damaged or does not have the expected format."""


class BudgetError(PoetsEdgeError):
    """Raised if no model meets the limits on latency, size or accuracy; the message names the closest model."""


class SourceError(PoetsEdgeError):
    """Raised if a camera, a video or a stream is missing, in use by another program, or supplies no frames."""


class RuntimeMissingError(PoetsEdgeError):
    """Raised if a required package is not installed; the message contains the command that installs it."""


class OutputError(PoetsEdgeError):
    """Raised if a result cannot be written.

    Possible reasons are missing permission, a full disk, or a folder that must not be overwritten.
    """


class RemoteError(PoetsEdgeError):
    """Raised if another device or a server cannot be reached, or if an operation on it fails.

    Attributes:
        reason: error message that the device printed; "" if it printed none.
    """

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason
