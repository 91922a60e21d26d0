"""`benchmark --sustained --on HOST`: whether a device keeps its speed under load."""

from __future__ import annotations

from poets_edge.bench.remote.connection import Connection, check_host
from poets_edge.bench.remote.installation import install
from poets_edge.bench.remote.messages import LoadAnswer, LoadRequest
from poets_edge.bench.remote.session import Follower, not_understood, send_models
from poets_edge.bench.sustained import Sustained, SustainedOptions, SustainedResult
from poets_edge.core.files import distinct_names
from poets_edge.device.classifier import Classifier
from poets_edge.errors import RecordError, RemoteError
from poets_edge.progress import Reporter, Silent


def sustain_on(
    options: SustainedOptions, host: str, *, folder: str = "", reporter: Reporter | None = None
) -> SustainedResult:
    """Keep models of this machine under load on a device.

    Args:
        host: as ssh takes it.
        folder: where the program goes there; by default under the user's cache folder.

    Raises:
        RemoteError: the device cannot be reached or set up, or the connection was lost; what runs there ends with it.
        ModelError: as `sustain` raises it, before the device is asked for anything.
    """
    reporter = reporter or Silent()
    check_host(host)
    for model in options.models:
        Classifier(model, unlabelled=True)
    with Connection(host) as connection:
        device = install(connection, folder=folder, reporter=reporter)
        follower = Follower(device, reporter)
        request = LoadRequest(
            models=tuple(send_models(device, options.models, reporter)),
            seconds=options.seconds,
            threads=options.threads,
            rate=options.rate,
        )
        try:
            answer = LoadAnswer.from_json(follower.run(request))
        except RecordError as error:
            raise not_understood(device, error) from None
    names = distinct_names(options.models)
    if len(answer.models) != len(names) or not all(answer.models):
        raise RemoteError(f"{host}: it has not measured all models.")
    found = [
        Sustained(model, name, windows)
        for model, name, windows in zip(options.models, names, answer.models, strict=True)
    ]
    return SustainedResult(follower.machine, options, tuple(found), answer.warnings, host)
