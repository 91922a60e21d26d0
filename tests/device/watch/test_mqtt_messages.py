"""Tests of the messages that `watch --mqtt` sends and when, with a stand-in for the MQTT client."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.device.watch import mqtt
from poets_edge.device.watch.mqtt import MqttPublisher
from poets_edge.device.watch.mqtt_options import MqttOptions
from poets_edge.progress import Progress, Silent
from tests.device.watch.test_collect import scene

STATE, SNAPSHOT, STATUS = (f"poets-edge/door/{name}" for name in ("state", "snapshot", "status"))


class Client:
    """Stand-in for the client of paho-mqtt, which records what it is asked to send."""

    def __init__(self, *arguments: Any) -> None:
        self.sent: list[SimpleNamespace] = []
        self.will: tuple[Any, ...] = ()

    def will_set(self, topic: str, payload: str, qos: int, retain: bool) -> None:
        self.will = topic, payload, qos, retain

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> SimpleNamespace:
        message = SimpleNamespace(topic=topic, payload=payload, qos=qos, retain=retain, acknowledged=False)
        message.is_published = lambda: message.acknowledged
        self.sent.append(message)
        return message

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: None


@dataclass
class Session:
    """A publisher with a stand-in client and a clock that the test sets."""

    publisher: MqttPublisher
    client: Client
    clock: SimpleNamespace
    seen: int = field(default=0)

    def connect(self) -> None:
        self.publisher._on_connect(None, None, None, SimpleNamespace(is_failure=False), None)
        self.publisher.poll()

    def acknowledge(self) -> None:
        for message in self.client.sent:
            message.acknowledged = True

    def new(self) -> list[SimpleNamespace]:
        """Return the messages that were sent since the last call."""
        found, self.seen = self.client.sent[self.seen :], len(self.client.sent)
        return found


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic, clock.sleep = lambda: clock.now, lambda seconds: setattr(clock, "now", clock.now + seconds)
    monkeypatch.setattr(mqtt, "time", clock)
    monkeypatch.setattr(
        mqtt, "_load_paho", lambda: SimpleNamespace(Client=Client, CallbackAPIVersion=SimpleNamespace(VERSION2=2))
    )
    options = MqttOptions(broker="mqtt://127.0.0.1", name="door")
    publisher = MqttPublisher(options, labels=["daisy", "roses"], model="m.tflite", reporter=Silent())
    found = Session(publisher, publisher._client, clock)
    found.connect()
    found.acknowledge()
    return found


def labels(messages: list[SimpleNamespace]) -> list[str]:
    """Return the labels in the messages with the topic STATE."""
    return [json.loads(message.payload)["label"] for message in messages if message.topic == STATE]


def test_state_is_published_when_the_label_changes_and_every_ten_seconds(session: Session) -> None:
    published = []
    for now, label in ((0, "daisy"), (3, "daisy"), (9.9, "daisy"), (10, "daisy"), (15, "daisy"), (16, "roses"),
                       (25.9, "roses"), (26, "roses")):  # fmt: skip
        session.clock.now = 1000.0 + now
        session.new()
        session.publisher.publish(label=label, score=0.5)
        session.acknowledge()
        published += [(now, label) for label in labels(session.new())]
    assert published == [(0, "daisy"), (10, "daisy"), (16, "roses"), (26, "roses")]


def test_snapshot_is_published_only_when_the_label_changes(session: Session) -> None:
    sizes = []
    for number, (now, label) in enumerate(((0, "daisy"), (20, "daisy"), (21, "roses"), (22, ""), (23, "roses"))):
        session.clock.now = 1000.0 + now
        session.new()
        session.publisher.publish(label=label, score=0.5, photo=scene(number))
        session.acknowledge()
        sizes.append(sum(message.topic == SNAPSHOT for message in session.new()))
    assert sizes == [1, 0, 1, 0, 1]


def test_at_most_one_message_per_topic_is_in_flight_and_only_the_newest_waits(session: Session) -> None:
    session.new()
    for label in ("a", "b", "c"):
        session.publisher.publish(label=label)
    assert labels(session.new()) == ["a"] and not session.publisher.is_delivered
    session.acknowledge()
    session.publisher.poll()
    assert labels(session.new()) == ["c"]
    session.acknowledge()
    session.publisher.poll()
    assert session.new() == [] and session.publisher.is_delivered


def test_all_topics_are_published_again_after_a_reconnection(session: Session) -> None:
    session.publisher.publish(label="daisy", photo=scene(1))
    everything = {message.topic for message in session.client.sent}
    assert len(everything) == 4 + 3 and {STATE, SNAPSHOT, STATUS} < everything
    session.new()  # the broker has acknowledged neither state nor snapshot
    session.publisher._on_disconnect(None, None, None, "gone", None)
    session.publisher.poll()
    session.connect()
    again = session.new()
    assert {message.topic for message in again} == everything and labels(again) == ["daisy"]
    assert all((message.qos, message.retain) == (1, True) for message in session.client.sent)


def test_publisher_asks_the_broker_to_publish_offline_if_the_connection_is_lost(session: Session) -> None:
    assert session.client.will == (STATUS, "offline", 1, True)
    session.new()
    session.publisher.close()
    assert [message.payload for message in session.new() if message.topic == STATUS] == [b"offline"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"label": "daisy", "score": 0.93456, "distance": 0.43219}, ("daisy", 0.9346, False, 0.4322, None)),
        ({"label": "unknown", "score": 0.5, "unknown": True, "distance": 1.5}, ("unknown", 0.5, True, 1.5, None)),
        ({"label": "unknown", "score": 0.5, "unknown": True}, ("unknown", 0.5, True, None, None)),
        ({"label": "", "problem": "black"}, (None, None, False, None, "black")),
    ],
)
def test_published_state_contains_the_prediction(
    session: Session, given: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    session.new()
    session.publisher.publish(**given)
    [message] = session.new()
    state = json.loads(message.payload)
    assert tuple(state[name] for name in ("label", "score", "unknown", "distance", "problem")) == expected


def test_broker_outage_is_reported_once(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    session.publisher._reporter = Progress()
    for _ in range(3):
        session.publisher._on_disconnect(None, None, None, "gone", None)
        session.publisher._on_connect_fail(None, None)
        session.publisher.poll()
    assert capsys.readouterr().err.count("labeling continues") == 1
    session.connect()
    session.publisher._on_disconnect(None, None, None, "gone", None)
    session.publisher.poll()
    assert capsys.readouterr().err.count("labeling continues") == 1 and not session.publisher.is_connected


@pytest.mark.parametrize(("lost", "seconds"), [(True, 0), (False, 2)])
def test_publisher_waits_for_undelivered_messages_only_while_it_is_connected(
    session: Session, lost: bool, seconds: float
) -> None:
    if lost:
        session.publisher._on_disconnect(None, None, None, "gone", None)
    session.publisher.close()
    assert session.clock.now == pytest.approx(1000 + seconds, abs=0.03)


def certificate_error(message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    error.verify_message = message
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (certificate_error("self-signed certificate"), "self-signed certificate"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (ValueError("x" * 300), "x" * 200),
        (ValueError("ends."), "ends"),
    ],
)
def test_broker_outages_are_reported_with_a_short_reason(error: Exception, reason: str) -> None:
    assert mqtt._reason(error) == reason
