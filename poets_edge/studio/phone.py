"""Address at which a phone opens the studio, as text and as a QR code."""

from __future__ import annotations

import io
from importlib.util import find_spec

from poets_edge.errors import RuntimeMissingError
from poets_edge.studio import messages
from poets_edge.studio.refusal import RefusedError
from poets_edge.studio.security import Access

STEPS = ("photos", "try")
"""Steps of the studio's web page that are useful on a phone: adding photos, and trying the model."""


def phone_address(access: Access, step: str) -> dict[str, str]:
    """Return the URL that opens the studio on a phone, and its QR code as SVG, under the keys "url" and "qr_svg".

    The URL contains the access token.

    Args:
        access: token and addresses of the server.
        step: step of the page that is shown first: "photos" (add photos; the default for other values) or "try" (try
            the model).

    Raises:
        RefusedError: the server is not reachable from other devices.
        RuntimeMissingError: the package segno, which creates QR codes, is not installed.
    """
    if not access.is_lan:
        raise RefusedError(messages.NO_PHONE, 409)
    if find_spec("segno") is None:
        raise RuntimeMissingError(messages.NO_SEGNO)
    import segno

    url = f"{access.entry}#{step if step in STEPS else STEPS[0]}"
    drawn = io.BytesIO()
    segno.make(url, error="m").save(drawn, kind="svg", border=4, scale=6, xmldecl=False)
    return {"url": url, "qr_svg": drawn.getvalue().decode("utf-8")}
