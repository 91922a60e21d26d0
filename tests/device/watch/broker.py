"""A real MQTT broker (mosquitto) on the loopback interface, and a subscriber, for the tests of `watch --mqtt`."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.programs import find_program, free_port, need_programs

Messages = dict[str, bytes]
LOGIN = ("gardener", "rosebud: 1")


@contextlib.contextmanager
def broker(folder: Path, *, port: int | None = None, login: bool = False, tls: bool = False) -> Iterator[int]:
    """Context manager that runs a broker without persistence and yields its port.

    Args:
        folder: folder for the files of the broker.
        port: TCP port; by default a free one.
        login: whether clients must log in as LOGIN.
        tls: whether to use TLS, with the certificate `server.pem` and the key `server.key` in the folder.
    """
    need_programs("mosquitto")
    port = port or free_port()
    lines = ["user root", f"listener {port} 127.0.0.1", f"allow_anonymous {'false' if login else 'true'}"]
    if login:
        subprocess.run(["mosquitto_passwd", "-b", "-c", folder / "passwords", *LOGIN], check=True)
        lines.append(f"password_file {folder}/passwords")
    if tls:
        lines += [f"certfile {folder}/server.pem", f"keyfile {folder}/server.key"]
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    with (folder / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen(
            [str(find_program("mosquitto")), "-c", folder / "mosquitto.conf"], stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        else:
            raise AssertionError(f"mosquitto did not start: {(folder / 'mosquitto.log').read_text()}")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def received(port: int, until: Callable[[Messages], bool], *, login: tuple[str, str] | None = None) -> Messages:
    """Wait up to 20 s until `until` is true, and return the latest message for each topic."""
    from paho.mqtt import client

    messages: Messages = {}
    subscriber = client.Client(client.CallbackAPIVersion.VERSION2)
    if login:
        subscriber.username_pw_set(*login)
    subscriber.on_connect = lambda *_: subscriber.subscribe("#", 1)
    subscriber.on_message = lambda _client, _data, message: messages.__setitem__(message.topic, message.payload)
    subscriber.connect("127.0.0.1", port)
    end = time.monotonic() + 20
    while not until(messages):
        assert time.monotonic() < end, messages
        subscriber.loop(0.05)
    subscriber.disconnect()
    return messages
