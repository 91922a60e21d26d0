"""Options for publishing predictions to an MQTT broker: its address, the camera's name, login and certificates."""

from __future__ import annotations

import os
import platform
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from poets_edge.core.arguments import check_fields
from poets_edge.core.credentials import without_login
from poets_edge.core.files import read_bytes
from poets_edge.errors import UsageError

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_LARGEST_LOGIN = 4096


@dataclass(frozen=True, kw_only=True)
class MqttOptions:
    """Options for publishing predictions to an MQTT broker.

    Attributes:
        broker: address of the broker, `mqtt://host[:port]`, or `mqtts://host[:port]` for TLS.
        name: name of the camera in topics and in Home Assistant; by default the name of this machine.
        login: file with one line, `user:password`; None for a broker that requires no login.
        ca: PEM file with the certificates of the authorities that may have signed the broker's certificate; by
            default, the authorities that the system trusts.
    """

    broker: str
    name: str | None = None
    login: Path | None = None
    ca: Path | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if "@" in self.broker:
            raise UsageError(
                f"`mqtt` {without_login(self.broker)}: other users can read a password in the list of processes. Write"
                " user:password into a file, and name it with `mqtt_login`."
            )
        try:
            parts = urlsplit(self.broker)
            bare = parts.path.strip("/") == parts.query == parts.fragment == ""
            valid = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0 and bare
            valid = valid and self.broker.isprintable()  # urlsplit ignores line breaks
            self.host.encode("idna")
        except ValueError:
            valid = False
        if not valid:
            raise UsageError(
                f"`mqtt` {self.broker}: not an address of a broker, such as mqtt://homeassistant.local:1883."
            )
        if self.ca is not None and not self.tls:
            raise UsageError("`mqtt_ca` needs an address that begins with mqtts://.")
        if not self.slug:
            raise UsageError(f"`mqtt_name` {self.name!r}: topics need a letter or a digit (a-z, 0-9) in it.")

    @property
    def tls(self) -> bool:
        """Whether the connection to the broker is encrypted."""
        return urlsplit(self.broker).scheme == "mqtts"

    @property
    def host(self) -> str:
        return urlsplit(self.broker).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.broker)
        return parts.port or _PORTS[parts.scheme]

    @property
    def title(self) -> str:
        """Name of the camera in Home Assistant."""
        return self.name if self.name is not None else platform.node() or "camera"

    @property
    def slug(self) -> str:
        """Name of the camera in topics and identifiers, reduced to letters, digits, `_` and `-`."""
        return re.sub(r"[^A-Za-z0-9_]+", "-", self.title).strip("-")

    def read_login(self) -> tuple[str, str] | None:
        """Return the user name and the password; None if there is no login file.

        Raises:
            UsageError: the login file cannot be read, or is not one line of the form `user:password`.
        """
        if self.login is None:
            return None
        try:
            text = read_bytes(self.login, _LARGEST_LOGIN).decode().strip("\r\n")
        except OSError as error:
            raise UsageError(f"`mqtt_login` {self.login}: {error.strerror or error}.") from None
        except UnicodeDecodeError:
            text = ""
        user, _, password = text.partition(":")
        if not user or not password or "\n" in text:
            raise UsageError(f"`mqtt_login` {self.login}: needs one line, user:password.")
        return user, password

    @property
    def login_is_public(self) -> bool:
        """Whether other users of this machine can read the login file."""
        return self.login is not None and os.name == "posix" and bool(self.login.stat().st_mode & stat.S_IROTH)
