"""Self-signed certificates for HTTPS connections from a phone on the local network.

Browsers warn about each new self-signed certificate. Certificates are therefore stored and reused.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

from poets_edge.core.files import read_bytes
from poets_edge.core.temporary import SUFFIX, held, remove_dead
from poets_edge.errors import OutputError, RuntimeMissingError

_DAYS = 397  # Apple's devices accept at most 398 days
_ENOUGH = datetime.timedelta(days=7)


def certificate_for(host: str, folder: Path | None = None) -> Path:
    """Return the path of a PEM file with a private key and a certificate for a host.

    A stored file is reused if it is undamaged, valid for at least another week, and readable by the user only;
    otherwise it is replaced by a new file.

    Args:
        host: IP address or host name.
        folder: folder for storing certificates; by default poets_edge's folder in the user's configuration folder.

    Raises:
        RuntimeMissingError: cryptography is not installed.
        OutputError: the file cannot be written.
    """
    if find_spec("cryptography") is None:
        raise RuntimeMissingError(
            "HTTPS needs cryptography, which is not installed. Run: pip install 'poets-edge[web]'"
        )
    path = (folder or _settings()) / f"web-{host.replace(':', '_')}.pem"
    if not _is_usable(path):
        _write_private(path, _make(host))
    return path


def _is_usable(path: Path) -> bool:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        status, content = path.stat(), read_bytes(path)
        certificate = x509.load_pem_x509_certificate(content)
        key = load_pem_private_key(content, None)
    except (OSError, TypeError, ValueError):  # missing or damaged
        return False
    exposed = os.name == "posix" and (status.st_mode & 0o077 or status.st_uid != os.geteuid())
    fits = key.public_key() == certificate.public_key()
    remaining = certificate.not_valid_after_utc - datetime.datetime.now(datetime.timezone.utc)
    return fits and not exposed and remaining > _ENOUGH


def _make(host: str) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"poets_edge on {host}"[:64])])
    try:
        subject: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        subject = x509.DNSName(host)
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # a phone's clock may be slow
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([subject]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def _write_private(path: Path, data: bytes) -> None:
    """Write a file that only the user can read. Temporary files from killed processes are removed first."""
    prefix = f".{path.name}."

    def make() -> Path:
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=SUFFIX, dir=path.parent)
        os.close(handle)
        return Path(name)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_dead(path.parent, prefix, SUFFIX)
        with held(make) as temporary:
            temporary.write_bytes(data)
            temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}.") from None


def _settings() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "poets_edge"
