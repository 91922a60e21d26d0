"""Test of the studio's page: deployment of a model to a device with a real sshd and a real systemd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from poets_edge.demo.draw import draw_photos
from tests.bench.remote.conftest import device, pi  # noqa: F401
from tests.bench.remote.test_deploy import Box, box, feeding  # noqa: F401
from tests.web.studio import open_studio

DEPLOY_MS = 300_000


def test_page_deploys_a_model_and_shows_its_first_labels(
    box: Box,  # noqa: F811
    launch: Callable[..., Any],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "flowers"
    draw_photos(folder, per_class=4)
    with feeding(box.home / "endless.mjpeg", folder) as endless, open_studio(launch(), folder) as studio:
        studio.client.run_job(kind="train", choice="quick")
        page = studio.page
        studio.go("take")
        page.fill("#host", "box")
        page.fill("#source", str(endless))
        page.click("#deploy")
        page.wait_for_selector(".deployed pre", timeout=DEPLOY_MS)
        assert "(score = " in page.inner_text(".deployed")
        assert box.state == "active"
        assert not studio.problems
