"""Exceptions of poets_edge.

    PoetsEdgeError
    ├── UsageError          an argument is out of range, or two contradict each other; also a ValueError
    │   └── WrongTypeError      an argument is of another type than was expected; also a TypeError
    ├── PhotoError          one photo cannot be read
    ├── DatasetError        a folder of photos cannot be trained on or evaluated
    ├── TrainingError       training diverged
    ├── WeightsError        backbone weights are missing or damaged
    ├── DownloadError       a file cannot be downloaded, or has an unexpected content
    ├── ModelError          a .tflite, .pb or labels file is missing, damaged or unsupported
    │   └── AccuracyDropError   a quantized file loses more accuracy than was allowed
    │                           (`poets_edge.exporting.results`, with the result)
    ├── RecordError         a JSON file is damaged, or is of another kind than expected
    ├── BudgetError         nothing fits the limits that were given
    ├── MeasurementError    a measurement could not be taken, or cannot be trusted
    ├── SourceError         a camera, a video or a stream gives no frames
    ├── RuntimeMissingError a required package is not installed
    ├── RemoteError         another machine cannot be reached, or refuses a request
    └── OutputError         a result could not be written

Each message is one line: problem, location and remedy. Names of parameters are in backquotes; the command line replaces
them by its flags, prints the message after "Error: " and exits with status 1. A traceback shown to the user is a bug.
"""

from __future__ import annotations


class PoetsEdgeError(Exception):
    """Base class of the exceptions of poets_edge."""


class UsageError(PoetsEdgeError, ValueError):
    """An argument is out of range, or two of them contradict each other."""


class WrongTypeError(UsageError, TypeError):
    """An argument is of another type than was expected."""


class PhotoError(PoetsEdgeError):
    """One photo cannot be read; the message names the file."""


class DatasetError(PoetsEdgeError):
    """A folder of photos cannot be used as it is."""


class TrainingError(PoetsEdgeError):
    """Training diverged."""


class WeightsError(PoetsEdgeError):
    """Backbone weights cannot be found, fetched or read."""


class DownloadError(PoetsEdgeError):
    """A file cannot be downloaded, or has an unexpected content."""


class ModelError(PoetsEdgeError):
    """A model or labels file cannot be used as it is."""


class RecordError(PoetsEdgeError):
    """A record, a benchmark's results or another JSON file cannot be used as it is."""


class BudgetError(PoetsEdgeError):
    """No model meets the limits on latency, size or accuracy; the message names the nearest."""


class MeasurementError(PoetsEdgeError):
    """A measurement could not be taken, or contradicts itself."""


class SourceError(PoetsEdgeError):
    """A camera, a video or a stream is missing, in use by another program, or holds no frames."""


class RuntimeMissingError(PoetsEdgeError):
    """A package is not installed; the message holds the command that installs it."""


class OutputError(PoetsEdgeError):
    """A result cannot be written: missing permission, full disk, or an unsuitable location."""


class RemoteError(PoetsEdgeError):
    """Another machine cannot be reached, or refuses a request; `reason` is its error message, if any."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason
