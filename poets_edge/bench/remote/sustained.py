"""`benchmark --sustained --on HOST`: whether a device keeps its speed under load, which a cool laptop cannot tell."""

from __future__ import annotations

from poets_edge.bench.load import LoadWindow
from poets_edge.bench.remote.connection import Connection, check_host
from poets_edge.bench.remote.installation import install
from poets_edge.bench.remote.session import ask_there, send_models
from poets_edge.bench.sustained import Sustained, SustainedOptions, SustainedResult
from poets_edge.core.files import distinct_names
from poets_edge.device.classifier import Classifier
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
        request = {
            "task": "sustained",
            "models": send_models(device, options.models, reporter),
            "seconds": options.seconds,
            "threads": options.threads,
            "rate": options.rate,
        }
        answer = ask_there(device, request, reporter)
    names = distinct_names(options.models)
    found = [
        Sustained(model, name, tuple(map(LoadWindow.from_json, entry["windows"])))
        for model, name, entry in zip(options.models, names, answer["models"], strict=True)
    ]
    return SustainedResult(answer["machine"], options, tuple(found), tuple(answer["warnings"]), host)
