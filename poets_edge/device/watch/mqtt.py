"""Publish predictions to an MQTT broker, for Home Assistant and other home automation programs.

    poets-edge/<name>/state       {"label": "daisy", "score": 0.93, "unknown": false, ...}
    poets-edge/<name>/snapshot    the frame at which the label changed, JPEG
    poets-edge/<name>/status      "online"; "offline" at the end, or from the broker if the connection is lost

All messages are retained, so that a new subscriber receives the most recent ones. A thread of the paho library
connects and reconnects. For each topic, at most one message is in flight and at most one, the newest, waits to be sent.
While the broker is slow or unreachable, memory and delay therefore do not grow, and labeling continues without
waiting.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import poets_edge
from poets_edge.device.watch.home_assistant import OFFLINE, ONLINE, discovery_messages
from poets_edge.device.watch.mqtt_options import MqttOptions
from poets_edge.device.watch.snapshot import snapshot_jpeg
from poets_edge.errors import PhotoError, RuntimeMissingError, UsageError
from poets_edge.photos.image import PhotoSource, read_photo
from poets_edge.progress import Reporter

_KEEPALIVE_SECONDS = 30
_CONNECT_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 60
"""Maximum time between attempts to connect, in seconds. The time is 1 s at first, and doubles after each attempt."""
_STATE_SECONDS = 10.0
"""Time since the last publication, in seconds, after which a prediction with an unchanged label is published."""
_CLOSE_SECONDS = 2.0
_LARGEST_PACKET = 1 << 16
"""Maximum size of a packet from the broker, bytes; larger packets close the connection. Acknowledgments are smaller."""


class MqttPublisher:
    """Publisher of predictions to an MQTT broker.

    No method waits for the broker, except `close`, which takes at most 4 s. Each outage of the connection is reported
    in one line.
    """

    def __init__(self, options: MqttOptions, *, labels: Sequence[str], model: str, reporter: Reporter) -> None:
        """Read the login and the certificates, without connecting; `start` connects.

        Args:
            labels: all labels that a prediction can have.
            model: name of the model file.

        Raises:
            UsageError: the login or the certificates cannot be read.
            RuntimeMissingError: paho-mqtt is not installed.
        """
        client_module = _load_paho()
        self._broker = options.broker
        self._reporter = reporter
        self._topic = f"poets-edge/{options.slug}"
        self._events: deque[tuple[str, str]] = deque(maxlen=100)
        self._connected = False
        self._outage = False
        self._in_flight: dict[str, Any] = {}
        self._before: str | None = None
        self._published = 0.0
        messages = discovery_messages(
            f"poets_edge_{options.slug}",
            name=options.title,
            topic=self._topic,
            labels=labels,
            model=model,
            version=poets_edge.__version__,
        )
        self._latest = {topic: _json(message) for topic, message in messages.items()}
        self._latest[f"{self._topic}/status"] = ONLINE.encode()
        self._waiting = dict.fromkeys(self._latest)
        self._client = self._make_client(client_module, options)
        self._client.connect_async(options.host, options.port, keepalive=_KEEPALIVE_SECONDS)

    @property
    def is_connected(self) -> bool:
        """Whether the broker was connected when `poll` was last called."""
        return self._connected

    @property
    def is_delivered(self) -> bool:
        """Whether the broker has acknowledged the latest message for each topic."""
        return not self._waiting and all(map(_is_acknowledged, self._in_flight.values()))

    def start(self) -> None:
        """Start the thread that connects to the broker."""
        self._client.loop_start()

    def publish(
        self,
        *,
        label: str,
        score: float = 0.0,
        unknown: bool = False,
        distance: float | None = None,
        problem: str = "",
        photo: PhotoSource | None = None,
    ) -> None:
        """Publish the prediction for a frame if the label has changed or nothing was published for 10 s.

        The frame itself is published only if the label has changed.

        Args:
            label: label of the frame; empty if the frame could not be labeled.
            distance: distance from the training photos; None if the model does not detect unknown photos.
            problem: reason why the frame could not be labeled; empty if it was labeled.
        """
        now = time.monotonic()
        changed = label != self._before
        self._before = label
        if changed or now - self._published >= _STATE_SECONDS:
            self._published = now
            state = {
                "label": label or None,
                "score": round(score, 4) if label else None,
                "unknown": unknown,
                "distance": None if distance is None else round(distance, 4),
                "problem": problem or None,
                "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds"),
            }
            self._put(f"{self._topic}/state", _json(state))
        if changed and label and photo is not None:
            with contextlib.suppress(PhotoError):  # the file was deleted after its inference
                self._put(f"{self._topic}/snapshot", snapshot_jpeg(read_photo(photo)))
        self.poll()

    def poll(self) -> None:
        """Report a new or lost connection, and send waiting messages. Call this regularly."""
        while self._events:
            event, reason = self._events.popleft()
            if event == "connected":
                self._connected, self._outage = True, False
                self._waiting = dict.fromkeys(self._latest)  # the broker may have lost them
                self._in_flight.clear()
                self._reporter.note(f"{self._broker}: connected; topics {self._topic}/...")
            else:
                self._connected = False
                if not self._outage:
                    self._outage = True
                    self._reporter.warn(f"{self._broker}: {reason}; labeling continues, and the connection is retried")
        if self._connected:
            for topic in list(self._waiting):
                if _is_acknowledged(self._in_flight.get(topic)):
                    del self._waiting[topic]
                    self._in_flight[topic] = self._client.publish(topic, self._latest[topic], qos=1, retain=True)

    def close(self) -> None:
        """Publish the status "offline", and disconnect. Messages that cannot be delivered within 2 s are lost."""
        self._put(f"{self._topic}/status", OFFLINE.encode())
        end = time.monotonic() + _CLOSE_SECONDS
        self.poll()
        while not self._outage and time.monotonic() < end:
            if self._connected and self.is_delivered:
                break
            time.sleep(0.02)
            self.poll()
        self._client.disconnect()
        # The thread ends after its attempt to connect, which can take long.
        stopper = threading.Thread(target=self._client.loop_stop, daemon=True)
        stopper.start()
        stopper.join(_CLOSE_SECONDS)

    def _put(self, topic: str, payload: bytes) -> None:
        self._latest[topic] = payload
        self._waiting[topic] = None

    def _make_client(self, module: ModuleType, options: MqttOptions) -> Any:
        # A broker closes the connection of a client if another one connects with the same identifier.
        identifier = f"poets-edge-{options.slug[:32]}-{secrets.token_hex(4)}"
        client = _bounded(module.Client)(module.CallbackAPIVersion.VERSION2, identifier)
        client.connect_timeout = _CONNECT_SECONDS
        client.reconnect_delay_set(1, _LONGEST_WAIT_SECONDS)
        client.will_set(f"{self._topic}/status", OFFLINE, qos=1, retain=True)
        if login := options.read_login():
            client.username_pw_set(*login)
            if options.login_is_public:
                self._reporter.warn(f"{options.login}: other users can read it. Run: chmod 600 {options.login}")
        if options.tls:
            try:
                client.tls_set(ca_certs=None if options.ca is None else str(options.ca))
            except (OSError, ValueError) as error:
                raise UsageError(f"`mqtt_ca` {options.ca}: {_reason(error)}.") from None
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        return client

    # Called by paho's thread:

    def _on_connect(self, client: Any, data: Any, flags: Any, code: Any, properties: Any) -> None:
        self._events.append(("refused", f"connection refused: {code}") if code.is_failure else ("connected", ""))

    def _on_connect_fail(self, client: Any, data: Any) -> None:
        # paho calls this in its `except` block, and passes no reason.
        self._events.append(("failed", _reason(sys.exc_info()[1])))

    def _on_disconnect(self, client: Any, data: Any, flags: Any, code: Any, properties: Any) -> None:
        self._events.append(("lost", f"connection lost: {code}"))


def _json(message: dict[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode(errors="replace")


def _is_acknowledged(message: Any) -> bool:
    try:
        return message is None or bool(message.is_published())
    except (RuntimeError, ValueError):  # the connection was lost while it was sent
        return True


def _reason(error: BaseException | None) -> str:
    text = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
    return text[:200].rstrip(".")


def _bounded(client: Any) -> Any:
    """Return a subclass of paho's client that closes the connection if a packet has more than 64 KiB (_LARGEST_PACKET).

    MQTT allows packets of 256 MB, and paho reads a whole packet into memory before it parses it.
    """

    class BoundedClient(client):  # type: ignore[misc]
        def _sock_recv(self, bufsize: int) -> bytes:
            if bufsize > _LARGEST_PACKET:  # the rest of a packet
                raise ConnectionError("a packet that is too large")
            return bytes(super()._sock_recv(bufsize))

    return BoundedClient


def _load_paho() -> ModuleType:
    try:
        from paho.mqtt import client
    except ImportError:
        raise RuntimeMissingError("paho-mqtt is not installed: pip install 'poets-edge[mqtt]'") from None
    if not hasattr(client, "CallbackAPIVersion"):
        raise RuntimeMissingError("paho-mqtt is older than 2.0: pip install 'poets-edge[mqtt]'")
    module: ModuleType = client
    return module
