"""`poets-edge web`: a model as a web page, for any phone."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import click

from poets_edge.cli.options import FILE, option, subcommand
from poets_edge.cli.terminal import give
from poets_edge.core.files import scratch_folder
from poets_edge.export.certificate import certificate_for
from poets_edge.export.serving import LOOPBACK, PageServer, network_address
from poets_edge.export.web import WrittenPage, write_page

_FOLDER = Path("site")
_PORT = 8000


@subcommand("web")
@click.argument("model", type=FILE)
@option(
    "--output",
    type=FILE,
    help="Folder to write: a new one, or an older page.",
    show_default=f"{_FOLDER}; none with --serve",
)
@option("--serve", is_flag=True, help="Serve the page to this computer, until Ctrl-C.", show_default=False)
@option("--phone", is_flag=True, help="Serve it to the network, and show a QR code for a phone.", show_default=False)
@option(
    "--https",
    is_flag=True,
    help="The same over HTTPS: only then do phones give a page the camera.",
    show_default=False,
)
@option("--host", help="This computer's address to serve on.", show_default="found out")
@option("--port", type=click.IntRange(0, 65535), default=_PORT, help="Port to serve on; 0 takes any that is free.")
@option("--json", "as_json", is_flag=True, help="Print the result as JSON.", show_default=False)
def command(
    model: Path,
    output: Path | None,
    serve: bool,
    phone: bool,
    https: bool,
    host: str | None,
    port: int,
    as_json: bool,
) -> None:
    """Make MODEL, a .tflite file, a web page that labels what a phone's camera sees.

    Writes a folder of static files for any web server. The page fetches nothing from elsewhere, sends nothing
    anywhere, and works offline after the first visit.

    \b
    Example:
      poets-edge web tf_files/retrained_graph_int8.tflite
      poets-edge web tf_files/retrained_graph_int8.tflite --https
    """
    serving = serve or phone or https or host is not None
    with _folder(output, serving) as folder:
        page = write_page(model, folder)
        if not serving:
            _print(page, as_json)
            return
        address = host or (network_address() if phone or https else LOOPBACK)
        with PageServer(folder, address, port, certificate_for(address) if https else None) as server:
            _announce(server.url, as_json)
            with contextlib.suppress(KeyboardInterrupt):
                server.serve_forever()


@contextlib.contextmanager
def _folder(output: Path | None, serving: bool) -> Iterator[Path]:
    if output is None and serving:
        with scratch_folder() as folder:
            yield folder
    else:
        yield output or _FOLDER


def _print(page: WrittenPage, as_json: bool) -> None:
    facts = {
        "folder": str(page.folder),
        "size": page.size,
        "page_transfer": page.page_transfer,
        "model_transfer": page.model_transfer,
        "labels": list(page.labels),
    }
    if give(facts, as_json=as_json, output=None):
        return
    height, width = page.input.shape[1:3]
    click.echo(
        f"{page.folder}  {width} x {height} {page.input.dtype}, {len(page.labels)} labels. A first visit fetches"
        f" {page.page_transfer / 1e6:.1f} MB and a model of {page.model_transfer / 1e6:.1f} MB, compressed."
    )
    click.echo("Any web server with HTTPS can hold it. To try it here: --serve. On a phone: --https", err=True)


def _announce(url: str, as_json: bool) -> None:
    if give({"url": url}, as_json=as_json, output=None):
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
            "The phone will warn that the connection is not private: this computer has vouched for itself. Go on under"
            ' "Advanced" or "Show details"; what is sent is encrypted all the same.',
            err=True,
        )
    else:
        click.echo("Photos only: browsers give the live camera to pages over HTTPS. For that: --https", err=True)
    click.echo("Anybody on this network can open it while it runs. Ctrl-C ends it.", err=True)


def _qr_code(text: str) -> str:
    try:
        import segno
    except ModuleNotFoundError:
        return "(No QR code without segno. Run: pip install 'poets-edge[web]')"
    drawn = io.StringIO()
    segno.make(text, error="m").terminal(out=drawn, border=2, compact=True)
    return drawn.getvalue().rstrip("\n")
