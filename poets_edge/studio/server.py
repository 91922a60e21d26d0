"""Start of the studio's server: prepares the project folder, locks it, and chooses the address and the access token."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from poets_edge.core.temporary import owned
from poets_edge.demo.draw import draw_photos
from poets_edge.errors import DatasetError, OutputError, UsageError
from poets_edge.exporting.certificate import certificate_for
from poets_edge.exporting.serving import LOOPBACK, network_address
from poets_edge.photos.address import Address
from poets_edge.photos.folder import scan
from poets_edge.progress import Reporter
from poets_edge.studio.app import studio_app
from poets_edge.studio.changes import Changes
from poets_edge.studio.jobs import Jobs
from poets_edge.studio.places import Places
from poets_edge.studio.project import Project
from poets_edge.studio.security import Access
from poets_edge.studio.uploads import clear_incoming

DEMO_PHOTOS = 12
"""Number of synthetic photos per class in a demo project; generating them takes a few seconds."""
_TOKEN_BYTES = 24
_BACKLOG = 1024
_MOST_CONNECTIONS = 500
_KEEP_ALIVE_SECONDS = 20
_NO_LOG = logging.CRITICAL + 1


@dataclass(frozen=True, kw_only=True)
class StudioOptions:
    """Options of the studio.

    Attributes:
        folder: project folder, which is created if it does not exist.
        port: port number; 0 selects a free port.
        demo: whether to fill the folder with synthetic photos if it is empty.
        lan: whether to serve to the local network, over HTTPS.
    """

    folder: Path
    port: int = 0
    demo: bool = False
    lan: bool = False


@dataclass(frozen=True)
class Studio:
    """Server of the studio, bound to an address and ready to serve.

    Attributes:
        url: address that opens the web page; it contains the access token.
    """

    url: str
    _server: uvicorn.Server
    _socket: socket.socket

    def serve(self) -> None:
        """Serve requests until Ctrl-C is pressed."""
        with contextlib.suppress(KeyboardInterrupt):
            self._server.run(sockets=[self._socket])


@contextlib.contextmanager
def studio(options: StudioOptions, reporter: Reporter) -> Iterator[Studio]:
    """Context manager that prepares the project folder, locks it, and yields a server that is bound to an address.

    Raises:
        UsageError: the folder is a file, is used by another studio or is not arranged in class folders, or the port is
            in use.
        OutputError: the folder is not writable.
    """
    places = Places(_prepared(options, reporter))
    with _locked(places):
        host = network_address() if options.lan else LOOPBACK
        certificate = certificate_for(host) if options.lan else None
        with _bound(host, options.port) as listening:
            yield _studio(options, places, host, certificate, listening)


def _prepared(options: StudioOptions, reporter: Reporter) -> Path:
    folder = options.folder
    if isinstance(folder, Address) or folder.is_file():
        raise UsageError(f"{folder}: not a folder. The studio works on a folder of this computer.")
    if options.demo and not (folder.is_dir() and any(folder.iterdir())):
        draw_photos(folder, per_class=DEMO_PHOTOS, reporter=reporter)
    _check_arrangement(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create {folder}: {error.strerror or error}.") from None
    return folder.resolve()


def _check_arrangement(folder: Path) -> None:
    """Raise UsageError if a folder contains photos, but its subfolders are not the class folders.

    This is the case if the folder is divided into sets, such as train and test, or if the class folders are deeper.
    """
    try:
        found = scan(folder)
    except DatasetError:  # no photos yet
        return
    if found.set_folders:
        raise UsageError(
            f"{folder}: divided into sets ({', '.join(found.set_folders)}). The studio works on a folder of class"
            " folders; use the other commands for this one."
        )
    deeper = next((name for name in found.photos.names if name.count("/") > 1), None)
    if deeper is not None:
        raise UsageError(f"{folder}: its class folders lie deeper. Give the folder {folder / deeper.split('/')[0]}.")


@contextlib.contextmanager
def _locked(places: Places) -> Iterator[None]:
    """Context manager that creates the studio's own folders in a project, and locks the project for this server."""
    try:
        places.create()
        stack = contextlib.ExitStack()
        stack.enter_context(owned(places.lock, patience=0))
    except TimeoutError:
        raise UsageError(
            f"{places.root}: another studio works on this folder. Use its page, or end it with Ctrl-C first."
        ) from None
    except OSError as error:
        raise OutputError(f"cannot write {error.filename or places.own}: {error.strerror or error}.") from None
    with stack:
        yield


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    # asyncio sets TCP_NODELAY only if the protocol is given. Without it, each response after the first one on a
    # connection takes 40 ms longer: its body waits for the acknowledgement of its headers, which the client delays.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with listening:
        if os.name == "posix":  # on Windows, the option would let another program take over the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(_BACKLOG)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"cannot serve on {host}, port {port}: {reason}. Choose another `port`; 0 selects a free one."
            ) from None
        yield listening


def _studio(
    options: StudioOptions, places: Places, host: str, certificate: Path | None, listening: socket.socket
) -> Studio:
    port = listening.getsockname()[1]
    scheme = "https" if certificate else "http"
    names = (host,) if options.lan else (host, "localhost")
    access = Access(secrets.token_urlsafe(_TOKEN_BYTES), tuple(f"{scheme}://{name}:{port}" for name in names), port)
    project = Project(places, demo=options.demo)
    changes = Changes(project)
    clear_incoming(project)  # only now: an interrupted step, which was completed above, may have needed these files
    jobs = Jobs(places, on_change=project.thumbnails.pause)
    config = uvicorn.Config(
        studio_app(project, changes, jobs, access),
        log_config=None,
        log_level=_NO_LOG,  # the answers contain the errors; at the end, open connections are cut
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        http="h11",
        loop="asyncio",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
        ssl_certfile=certificate,
    )
    return Studio(access.entry, uvicorn.Server(config), listening)
