"""The exceptions that poets_edge raises on purpose.

    PoetsEdgeError
    ├── UsageError          an argument is out of range, or two contradict each other; also a ValueError
    │   └── WrongTypeError      an argument is of another type than was expected; also a TypeError
    ├── PhotoError          one photo cannot be read
    ├── DatasetError        a folder of photos cannot be trained on or evaluated
    ├── TrainingError       training diverged
    ├── WeightsError        backbone weights are missing or damaged
    ├── DownloadError       a file cannot be fetched, or is not the one expected
    ├── ModelError          a .tflite, .pb or labels file is missing, damaged or not one of ours
    │   └── AccuracyDropError   a quantized file loses more accuracy than was allowed
    │                           (`poets_edge.exporting.results`, with the result)
    ├── RecordError         a JSON file that poets_edge reads is damaged, or holds something else
    ├── BudgetError         nothing fits the limits that were given
    ├── MeasurementError    a measurement could not be taken, or cannot be trusted
    ├── SourceError         a camera, a video or a stream gives no frames
    ├── RuntimeMissingError a package this step needs is not installed
    ├── RemoteError         another machine cannot be reached, or cannot do what it is asked
    └── OutputError         a result could not be written

Each message is one line: what is wrong, where, and the way out. Parameters stand in it in backquotes; the command line
puts its own flags in their place. It prints the message after "Error: " and exits with status 1; a traceback reaching
the user is a bug.
"""

from __future__ import annotations


class PoetsEdgeError(Exception):
    """Base of every error that poets_edge raises on purpose."""


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
    """A file cannot be downloaded, or its content is not the one expected."""


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
    """A result cannot be written: permission, full disk, or a place where outputs must not land."""


class RemoteError(PoetsEdgeError):
    """Another device cannot be reached, or cannot do what it is asked; `reason` in its own words where it gave one."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason
