"""`poets-edge web`: write a web page that runs a model in the browser of a phone."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import click

from poets_edge.cli.command import argument, option, subcommand
from poets_edge.cli.model_options import input_options, labels_option
from poets_edge.cli.options import FILE, result_options
from poets_edge.cli.terminal import output_json
from poets_edge.core.files import scratch_folder
from poets_edge.exporting.certificate import certificate_for
from poets_edge.exporting.serving import LOOPBACK, PageServer, check_host, network_address
from poets_edge.exporting.web import WrittenPage, write_page

_FOLDER = Path("site")
_PORT = 8000
_SERVER = "Server"


@subcommand(
    "web",
    """
    poets-edge web tf_files/retrained_graph_int8.tflite
    poets-edge web tf_files/retrained_graph_int8.tflite --https
    """,
)
@argument("model", "MODEL", {"MODEL": "A .tflite file."}, type=FILE)
@option(
    "--output-dir",
    type=FILE,
    metavar="DIR",
    section="Page",
    help="Folder to write: a new one, or an earlier page.",
    show_default=f"{_FOLDER}; none with --serve",
)
@option("--title", section="Page", help="Title of the page and the app.", show_default="What is this?")
@labels_option
@input_options
@option("--serve", is_flag=True, section=_SERVER, help="Serve the page to this computer, until Ctrl-C.")
@option("--phone", is_flag=True, section=_SERVER, help="Serve it to the network, and show a QR code for a phone.")
@option(
    "--https",
    is_flag=True,
    section=_SERVER,
    help="As --phone, over HTTPS, which phones require for the live camera.",
)
@option("--host", section=_SERVER, metavar="ADDRESS", help="Address to serve on.", show_default="detected")
@option(
    "--port",
    type=click.IntRange(0, 65535),
    default=_PORT,
    section=_SERVER,
    help="Port to serve on; 0 takes any free one.",
)
@result_options
def command(
    model: Path,
    output_dir: Path | None,
    title: str | None,
    labels: Path | None,
    input_range: str | None,
    serve: bool,
    phone: bool,
    https: bool,
    host: str | None,
    port: int,
    as_json: bool,
    output: Path | None,
) -> None:
    """Write a model as a web page that labels what a phone's camera sees.

    The page is a folder of static files for any web server. It loads nothing from elsewhere, sends nothing anywhere,
    and works offline after the first visit.
    """
    if output_dir is None and output is not None and output.suffix != ".json":
        output_dir, output = output, None  # until version 0.2, --output named the folder
    serving = serve or phone or https or host is not None
    if host is not None:
        check_host(host)
    with _folder(output_dir, serving) as folder:
        page = write_page(model, folder, labels=labels, input_range=input_range, title=title)
        if not serving:
            _print(page, as_json=as_json, output=output)
            return
        address = host or (network_address() if phone or https else LOOPBACK)
        certificate = certificate_for(address) if https else None
        with PageServer(folder, page.files, address, port, certificate) as server:
            _announce(server.url, as_json=as_json, output=output)
            with contextlib.suppress(KeyboardInterrupt):
                server.serve_forever()


@contextlib.contextmanager
def _folder(output: Path | None, serving: bool) -> Iterator[Path]:
    if output is None and serving:
        with scratch_folder() as folder:
            yield folder
    else:
        yield output or _FOLDER


def _print(page: WrittenPage, *, as_json: bool, output: Path | None) -> None:
    facts = {
        "folder": str(page.folder),
        "size": page.size,
        "page_transfer": page.page_transfer,
        "model_transfer": page.model_transfer,
        "labels": list(page.labels),
    }
    if output_json(facts, as_json=as_json, output=output):
        return
    height, width = page.input.shape[1:3]
    click.echo(
        f"{page.folder}  {width} x {height} {page.input.dtype}, {len(page.labels)} labels. A first visit fetches"
        f" {page.page_transfer / 1e6:.1f} MB and a model of {page.model_transfer / 1e6:.1f} MB, compressed."
    )
    click.echo("Copy it to any web server with HTTPS. To try it here: --serve. On a phone: --https", err=True)


def _announce(url: str, *, as_json: bool, output: Path | None) -> None:
    if output_json({"url": url}, as_json=as_json, output=output):
        return
    click.echo(url)
    if url.startswith(f"http://{LOOPBACK}:"):
        click.echo(
            "Only this computer can open it. For a phone: --phone (photos), or --https (live camera too).", err=True
        )
        return
    click.echo(_qr_code(url))
    if url.startswith("https:"):
        click.echo(
            "The phone will warn that the connection is not private, because no authority has signed the certificate."
            ' Continue under "Advanced" or "Show details"; the connection is encrypted.',
            err=True,
        )
    else:
        click.echo("Photos only: browsers give the live camera to pages over HTTPS. For that: --https", err=True)
    click.echo("Anybody on this network can open it until you press Ctrl-C.", err=True)


def _qr_code(text: str) -> str:
    try:
        import segno
    except ModuleNotFoundError:
        return "(No QR code without segno. Run: pip install 'poets-edge[web]')"
    drawn = io.StringIO()
    segno.make(text, error="m").terminal(out=drawn, border=2, compact=True)
    return drawn.getvalue().rstrip("\n")
