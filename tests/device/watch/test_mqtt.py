"""Tests of `watch --mqtt` with a real broker."""

from __future__ import annotations

import contextlib
import datetime
import io
import ipaddress
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from poets_edge.device.watch.home_assistant import discovery_messages
from poets_edge.device.watch.mqtt import MqttPublisher
from poets_edge.device.watch.mqtt_options import MqttOptions
from poets_edge.errors import UsageError
from tests.conftest import ROOT, poets_edge
from tests.device.watch.broker import LOGIN, broker, received
from tests.device.watch.test_collect import scene
from tests.frames import frame_folder, jpeg
from tests.needs import need_module
from tests.programs import free_port
from tests.recorder import Recorder

SEED = ROOT / "tests/corpus/seeds/seed_graph.tflite"
BASE = "poets-edge/front-door"


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Folder with three frames."""
    return frame_folder(tmp_path / "frames", [jpeg(scene(number)) for number in range(3)])


def _watch(frames: Path, port: int, *options: str | Path, scheme: str = "mqtt", host: str = "127.0.0.1") -> list[str]:
    """Run `watch` on a folder until it ends, and return its warnings about the broker."""
    address = f"{scheme}://{host}:{port}"
    ran = poets_edge("watch", SEED, "--source", frames, "--threads", "1", "--mqtt", address, *options).ok()
    assert len(ran.stdout.splitlines()) >= 1 and "3 frames labeled" in ran.stderr
    return [line for line in ran.stderr.splitlines() if address in line and "connected" not in line]


@contextlib.contextmanager
def _publisher(port: int, reporter: Recorder) -> Iterator[MqttPublisher]:
    options = MqttOptions(broker=f"mqtt://127.0.0.1:{port}", name="front door")
    publisher = MqttPublisher(options, labels=["daisy", "roses"], model="m.tflite", reporter=reporter)
    publisher.start()
    yield publisher
    publisher.close()


def _poll_until(publisher: MqttPublisher, done: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        publisher.poll()
        time.sleep(0.02)


def test_watch_publishes_label_score_and_snapshot(frames: Path, tmp_path: Path) -> None:
    with broker(tmp_path) as port:
        assert _watch(frames, port, "--mqtt-name", "front door") == []
        messages = received(port, lambda found: f"{BASE}/snapshot" in found and f"{BASE}/state" in found)
    photos = sorted(frames.glob("*.jpg"))
    best = [Classifier(SEED)(photo)[0] for photo in photos]
    last_change = max(n for n in range(3) if n == 0 or best[n].name != best[n - 1].name)
    state = json.loads(messages[f"{BASE}/state"])
    assert (state["label"], state["unknown"], state["problem"]) == (best[last_change].name, False, None)
    assert state["score"] == pytest.approx(best[last_change].score, abs=1e-4)
    assert datetime.datetime.fromisoformat(state["time"]).tzinfo is not None
    assert messages[f"{BASE}/status"] == b"offline", "the watch has ended"
    assert Image.open(io.BytesIO(messages[f"{BASE}/snapshot"])).size == Image.open(photos[0]).size
    configs = {topic: json.loads(text) for topic, text in messages.items() if topic.startswith("homeassistant/")}
    assert {topic.split("/")[1] for topic in configs} == {"sensor", "binary_sensor", "image"} and len(configs) == 4
    used = {config[key] for config in configs.values() for key in config if key.endswith("_topic")}
    assert used == {f"{BASE}/state", f"{BASE}/status", f"{BASE}/snapshot"}
    assert set(configs["homeassistant/sensor/poets_edge_front-door/label/config"]["options"]) == {
        *Classifier(SEED).labels,
        "unknown",
    }


def test_watch_publishes_unknown_for_scores_below_the_threshold(frames: Path, tmp_path: Path) -> None:
    with broker(tmp_path) as port:
        _watch(frames, port, "--mqtt-name", "front door", "--threshold", "1")
        messages = received(port, lambda found: f"{BASE}/state" in found)
    state = json.loads(messages[f"{BASE}/state"])
    assert (state["label"], state["unknown"]) == ("unknown", True) and 0 < state["score"] < 1


def test_published_state_contains_the_distance_or_the_problem_with_a_frame(tmp_path: Path) -> None:
    def sent(port: int, label: str | None) -> dict[str, Any]:
        topic = f"{BASE}/state"
        found = received(port, lambda found: topic in found and json.loads(found[topic])["label"] == label)
        state: dict[str, Any] = json.loads(found[topic])
        del state["time"]
        return state

    with broker(tmp_path) as port, _publisher(port, Recorder()) as publisher:
        publisher.publish(label="unknown", score=0.9, unknown=True, distance=1.5)
        _poll_until(publisher, lambda: publisher.is_connected and publisher.is_delivered)
        expected = {"label": "unknown", "score": 0.9, "unknown": True, "distance": 1.5, "problem": None}
        assert sent(port, "unknown") == expected
        publisher.publish(label="", problem="frame 7 is black")
        _poll_until(publisher, lambda: publisher.is_delivered)
        nothing = {"label": None, "score": None, "unknown": False, "distance": None, "problem": "frame 7 is black"}
        assert sent(port, None) == nothing


def test_publisher_reconnects_and_repeats_the_last_state(tmp_path: Path) -> None:
    port, reporter = free_port(), Recorder()
    with _publisher(port, reporter) as publisher:
        for number in range(1000):  # messages must not accumulate
            publisher.publish(label=f"label {number}", score=0.5, photo=scene(1) if number == 0 else None)
        _poll_until(publisher, lambda: reporter.warnings)
        with broker(tmp_path, port=port):
            _poll_until(publisher, lambda: publisher.is_connected)
            publisher.publish(label="daisy", score=0.75)
            _poll_until(publisher, lambda: publisher.is_delivered)
        _poll_until(publisher, lambda: not publisher.is_connected)
        with broker(tmp_path, port=port):  # a new broker, without the retained messages
            _poll_until(publisher, lambda: publisher.is_connected and publisher.is_delivered)
            messages = received(port, lambda found: f"{BASE}/snapshot" in found and f"{BASE}/state" in found)
            assert json.loads(messages[f"{BASE}/state"])["label"] == "daisy"
            assert messages[f"{BASE}/status"] == b"online"
            assert len(reporter.warnings) == 2, "one line per outage"
    assert "labeling continues" in reporter.warnings[0] and "Connection refused" in reporter.warnings[0]


def test_publisher_closes_the_connection_if_a_packet_is_too_large() -> None:
    """The broker accepts the connection and then announces a packet of 200 MB, which paho would read into memory."""
    with socket.create_server(("127.0.0.1", 0)) as server, _publisher(server.getsockname()[1], Recorder()) as publisher:
        server.settimeout(20)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(20)
            connection.recv(4096)
            connection.sendall(b"\x20\x02\0\0")
            _poll_until(publisher, lambda: publisher.is_connected)
            connection.sendall(b"\x30" + b"\x80\x80\x80\x64")
            with contextlib.suppress(ConnectionError):
                while connection.recv(4096):  # until the client closes the connection
                    pass


def test_broker_publishes_offline_when_watch_is_killed(tmp_path: Path) -> None:
    with broker(tmp_path) as port:
        address = ("--mqtt", f"mqtt://127.0.0.1:{port}", "--mqtt-name", "front door")
        process = subprocess.Popen(
            [sys.executable, "-m", "poets_edge", "watch", SEED, "--threads", "1", "--source", "-", *address],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert process.stdin is not None
        try:
            process.stdin.write(jpeg(scene(1)))
            process.stdin.flush()
            received(port, lambda found: found.get(f"{BASE}/status") == b"online")
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
        received(port, lambda found: found.get(f"{BASE}/status") == b"offline")


def test_watch_continues_without_its_broker(frames: Path, tmp_path: Path) -> None:
    [line] = _watch(frames, free_port())
    assert "Connection refused" in line and "labeling continues" in line
    [line] = _watch(frames, 1883, host="nobody.invalid")
    assert "labeling continues" in line
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        assert _watch(frames, silent.getsockname()[1]) == []
        assert time.monotonic() - started < 10, "the end is not awaited for long"


def test_watch_reads_the_broker_login_from_a_file(frames: Path, tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(f"{LOGIN[0]}:{LOGIN[1]}\n")
    wrong.write_text(f"{LOGIN[0]}:guess\n")
    for file in (right, wrong):
        file.chmod(0o600)
    with broker(tmp_path, login=True) as port:
        assert _watch(frames, port, "--mqtt-login", right, "--mqtt-name", "front door") == []
        received(port, lambda found: f"{BASE}/state" in found, login=LOGIN)
        [line] = _watch(frames, port, "--mqtt-login", wrong)
        assert "connection refused: Not authorized" in line and "guess" not in line
        right.chmod(0o644)
        shown = poets_edge(
            "watch", SEED, "--source", frames, "--mqtt", f"mqtt://127.0.0.1:{port}", "--mqtt-login", right
        )
        assert f"chmod 600 {right}" in shown.stderr


def test_watch_checks_the_certificate_of_the_broker(frames: Path, tmp_path: Path) -> None:
    _write_certificate(tmp_path)
    with broker(tmp_path, tls=True) as port:
        name = ("--mqtt-name", "front door")
        assert _watch(frames, port, "--mqtt-ca", tmp_path / "server.pem", *name, scheme="mqtts") == []
        [line] = _watch(frames, port, scheme="mqtts")
        assert "self-signed certificate" in line
        assert "connection lost" in _watch(frames, port)[0], "without TLS"


def _write_certificate(folder: Path) -> None:
    """Write a self-signed certificate for 127.0.0.1, `server.pem`, and its key, `server.key`."""
    x509 = need_module("cryptography.x509")
    hashes = need_module("cryptography.hazmat.primitives.hashes")
    serialization = need_module("cryptography.hazmat.primitives.serialization")
    ec = need_module("cryptography.hazmat.primitives.asymmetric.ec")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    (folder / "server.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "server.key").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"broker": "homeassistant.local"}, "not an address of a broker"),
        ({"broker": "http://host"}, "not an address of a broker"),
        ({"broker": "mqtt://"}, "not an address of a broker"),
        ({"broker": "mqtt://host:99999"}, "not an address of a broker"),
        ({"broker": "mqtt://[::1"}, "not an address of a broker"),
        ({"broker": "mqtt://host\n"}, "not an address of a broker"),
        ({"broker": "mqtt://host/topic"}, "not an address of a broker"),
        ({"broker": f"mqtt://{'a' * 64}.local"}, "not an address of a broker"),
        ({"broker": "mqtt://me:rosebud@host"}, "mqtt_login"),
        ({"broker": "mqtt://host", "ca": Path("ca.pem")}, "mqtts://"),
        ({"broker": "mqtt://host", "name": "+/#"}, "mqtt_name"),
    ],
)
def test_mqtt_options_reject_invalid_addresses_and_names(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        MqttOptions(**arguments)
    assert told in str(caught.value) and "rosebud" not in str(caught.value)


def test_mqtt_options_parse_broker_addresses() -> None:
    def parsed(broker: str) -> tuple[str, int, bool]:
        options = MqttOptions(broker=broker)
        return options.host, options.port, options.tls

    assert parsed("mqtt://homeassistant.local") == ("homeassistant.local", 1883, False)
    assert parsed("mqtts://Broker:1234/") == ("broker", 1234, True)
    assert parsed("mqtts://[::1]") == ("::1", 8883, True)
    assert MqttOptions(broker="mqtt://h", name="Küche / 2+").slug == "K-che-2"


def test_watch_reports_invalid_mqtt_files_in_one_line(frames: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_text("only a password\n")
    watch: tuple[str | Path, ...] = ("watch", SEED, "--source", frames)
    poets_edge(*watch, "--mqtt-login", bad).failed("need --mqtt")
    watch = (*watch, "--mqtt", "mqtts://127.0.0.1")
    poets_edge(*watch, "--mqtt-login", bad).failed("user:password")
    poets_edge(*watch, "--mqtt-login", tmp_path / "none").failed("--mqtt-login", "No such file")
    poets_edge(*watch, "--mqtt-login", "/dev/zero").failed("--mqtt-login", "not a regular file")
    poets_edge(*watch, "--mqtt-ca", bad).failed("--mqtt-ca", "bad")


def test_watch_reports_that_the_paho_package_is_missing(frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt", None)
    ran = poets_edge("watch", SEED, "--source", frames, "--mqtt", "mqtt://127.0.0.1")
    ran.failed("paho-mqtt is not installed", "poets-edge[mqtt]")


def test_discovery_messages_identify_entities_and_their_availability() -> None:
    messages = discovery_messages("cam", name="Cam", topic="t", labels=["a"], model="m.tflite", version="1")
    assert len({message["unique_id"] for message in messages.values()}) == len(messages) == 4
    for topic, message in messages.items():
        assert topic.startswith("homeassistant/") and topic.endswith("/config")
        assert message["availability_topic"] == "t/status" and message["device"]["identifiers"] == ["cam"]
