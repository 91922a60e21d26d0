"""The command `benchmark --sustained --on HOST`, which measures latency under sustained load on another device."""

from __future__ import annotations

from poets_edge.bench.load import LoadWindow
from poets_edge.bench.remote.connection import Connection
from poets_edge.bench.remote.device_rounds import send_models
from poets_edge.bench.remote.follower import Follower
from poets_edge.bench.remote.installation import Installation, install
from poets_edge.bench.remote.messages import LoadRequest, Message, Window
from poets_edge.bench.remote.ssh import check_host
from poets_edge.bench.sustained import Sustained, SustainedOptions, SustainedResult, most_windows
from poets_edge.core.files import distinct_names
from poets_edge.device.classifier import Classifier
from poets_edge.errors import RecordError, RemoteError
from poets_edge.progress import Reporter, Silent


def sustain_on(
    options: SustainedOptions, host: str, *, folder: str = "", reporter: Reporter | None = None
) -> SustainedResult:
    """Measure local models under sustained load on a device.

    Args:
        host: SSH destination of the device.
        folder: parent of the program's folder on the device; by default the user's cache folder.

    Raises:
        RemoteError: the device cannot be reached or set up, or the connection is lost. The device then stops running
            the models.
        ModelError: see `sustain`; raised before the first request to the device.
    """
    reporter = reporter or Silent()
    check_host(host)
    for model in options.models:
        Classifier(model, unlabeled=True)
    with Connection(host) as connection:
        device = install(connection, folder=folder, reporter=reporter)
        follower = _LoadFollower(device, reporter, options)
        request = LoadRequest(
            models=tuple(send_models(device, options.models, reporter)),
            seconds=options.seconds,
            threads=options.threads,
            rate=options.rate,
        )
        warnings = follower.run(request, measuring=options.seconds)
    names = distinct_names(options.models)
    if not all(follower.windows):
        raise RemoteError(f"{host}: it has not measured all models.")
    found = [
        Sustained(model, name, tuple(windows))
        for model, name, windows in zip(options.models, names, follower.windows, strict=True)
    ]
    return SustainedResult(follower.machine, options, tuple(found), warnings, host)


class _LoadFollower(Follower):
    """Client that receives the measurements of a device under sustained load, one for each time window.

    Attributes:
        windows: windows received so far for each model, in the order of the models.
    """

    def __init__(self, installation: Installation, reporter: Reporter, options: SustainedOptions) -> None:
        results = len(options.models) * (most_windows(options) + int(options.seconds))
        super().__init__(installation, reporter, results=results)
        self.windows: list[list[LoadWindow]] = [[] for _ in options.models]
        self._most = most_windows(options)

    def on_result(self, message: Message) -> None:
        if not isinstance(message, Window):
            super().on_result(message)
            return
        if message.model >= len(self.windows) or len(self.windows[message.model]) >= self._most:
            raise RecordError("a window of load that was not requested")
        self.windows[message.model].append(LoadWindow.from_json(message.window))
