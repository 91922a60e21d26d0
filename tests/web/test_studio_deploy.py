"""Test of the studio's page: deployment of a model to a device with a real sshd and a real systemd.

The device publishes its predictions to a real MQTT broker.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poets_edge.demo.draw import draw_photos
from tests.bench.remote.conftest import device, pi  # noqa: F401
from tests.bench.remote.test_deploy import Box, box, feeding  # noqa: F401
from tests.device.watch.broker import LOGIN, broker, received
from tests.web.studio import open_studio

DEPLOY_MS = 300_000


def test_page_deploys_a_model_that_publishes_to_home_assistant(
    box: Box,  # noqa: F811
    launch: Callable[..., Any],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "flowers"
    draw_photos(folder, per_class=4)
    (tmp_path / "broker").mkdir()
    with (
        broker(tmp_path / "broker", login=True) as port,
        feeding(box.home / "endless.mjpeg", folder) as endless,
        open_studio(launch(), folder) as studio,
    ):
        studio.client.run_job(kind="train", choice="quick")
        page = studio.page
        studio.go("take")
        page.fill("#host", "box")
        page.fill("#source", str(endless))
        page.click(".home-assistant summary")
        page.fill("#mqtt", f"mqtt://127.0.0.1:{port}")
        page.fill("#mqtt_login", ":".join(LOGIN))
        page.fill("#mqtt_name", "garden")
        page.click("#deploy")
        page.wait_for_selector(".deployed pre", timeout=DEPLOY_MS)
        assert "(score = " in page.inner_text(".deployed")
        assert box.state == "active"
        messages = received(port, lambda found: "poets-edge/garden/state" in found, login=LOGIN)
        state = json.loads(messages["poets-edge/garden/state"])
        assert state["label"] in {label.name for label in folder.iterdir()}
        announced = {topic for topic in messages if topic.startswith("homeassistant/")}
        assert announced and messages["poets-edge/garden/status"] == b"online"
        assert not _contains(folder, LOGIN[1].encode()), "the login is stored in the project"
        assert not studio.problems


def _contains(folder: Path, content: bytes) -> bool:
    """Return whether a file in a folder contains the given bytes."""
    return any(content in path.read_bytes() for path in folder.rglob("*") if path.is_file())
