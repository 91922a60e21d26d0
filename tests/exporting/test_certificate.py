"""Tests of the self-signed certificates: their contents, and when a stored certificate is used again."""

from __future__ import annotations

import datetime
import ipaddress
import os
from pathlib import Path
from typing import Any

import pytest

from poets_edge.exporting import certificate as module
from poets_edge.exporting.certificate import certificate_for
from tests.needs import need_module


def parsed(path: Path) -> Any:
    return need_module("cryptography.x509").load_pem_x509_certificate(path.read_bytes())


@pytest.mark.parametrize(("host", "file"), [("192.168.0.7", "web-192.168.0.7.pem"), ("fe80::1", "web-fe80__1.pem")])
def test_certificate_is_valid_for_an_ip_address(host: str, file: str, tmp_path: Path) -> None:
    x509 = need_module("cryptography.x509")
    path = certificate_for(host, tmp_path)
    names = parsed(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert path.name == file
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(host)]
    assert names.get_values_for_type(x509.DNSName) == []


def test_certificate_is_valid_for_a_host_name_and_is_not_a_ca_certificate(tmp_path: Path) -> None:
    x509 = need_module("cryptography.x509")
    one, other = certificate_for("pi.local", tmp_path), certificate_for("pi2.local", tmp_path)
    assert one != other
    extensions = parsed(one).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["pi.local"]
    limits = extensions.get_extension_for_class(x509.BasicConstraints)
    assert limits.critical and not limits.value.ca


def test_certificate_is_valid_from_an_hour_ago_for_at_most_398_days(tmp_path: Path) -> None:
    found = parsed(certificate_for("pi.local", tmp_path))
    begin, end = found.not_valid_before_utc, found.not_valid_after_utc
    now = datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(minutes=59) < now - begin < datetime.timedelta(minutes=61)
    assert datetime.timedelta(days=396) < end - now < datetime.timedelta(days=398)


@pytest.mark.parametrize(("days", "used_again"), [(6, False), (8, True)])
def test_certificate_is_replaced_a_week_before_it_expires(
    days: int, used_again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_module("cryptography")
    monkeypatch.setattr(module, "_DAYS", days)
    content = certificate_for("pi.local", tmp_path).read_bytes()
    assert (certificate_for("pi.local", tmp_path).read_bytes() == content) is used_again


def test_certificate_of_another_user_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_module("cryptography")
    content = certificate_for("pi.local", tmp_path).read_bytes()
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert certificate_for("pi.local", tmp_path).read_bytes() != content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_certificate_that_others_can_read_or_change_is_replaced(mode: int, tmp_path: Path) -> None:
    need_module("cryptography")
    path = certificate_for("pi.local", tmp_path)
    content = path.read_bytes()
    path.chmod(mode)
    assert certificate_for("pi.local", tmp_path).read_bytes() != content and path.stat().st_mode & 0o777 == 0o600


def test_certificate_that_does_not_match_its_key_is_replaced(tmp_path: Path) -> None:
    need_module("cryptography")
    paths = [certificate_for(host, tmp_path) for host in ("one.local", "two.local")]
    one, two = (path.read_bytes().partition(b"-----BEGIN CERTIFICATE") for path in paths)
    paths[0].write_bytes(b"".join((two[0], *one[1:])))
    assert certificate_for("one.local", tmp_path).read_bytes().endswith(one[2]) is False


def test_certificate_for_a_long_host_name_can_be_created(tmp_path: Path) -> None:
    x509 = need_module("cryptography.x509")
    host = "a" * 60 + ".b" * 50
    found = parsed(certificate_for(host, tmp_path))
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [host]


@pytest.mark.parametrize("damage", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nxx\n"])
def test_damaged_certificate_is_replaced(damage: bytes, tmp_path: Path) -> None:
    need_module("cryptography")
    path = certificate_for("pi.local", tmp_path)
    path.write_bytes(damage)
    assert parsed(certificate_for("pi.local", tmp_path)).version.value == 2


def test_certificates_are_stored_in_the_configuration_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_module("cryptography")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert certificate_for("pi.local") == tmp_path / "config/poets_edge/web-pi.local.pem"


def test_temporary_files_of_killed_programs_are_removed(tmp_path: Path) -> None:
    need_module("cryptography")
    (tmp_path / ".web-pi.local.pem.0123abcd.poets_edge.tmp").write_bytes(b"half a key")
    path = certificate_for("pi.local", tmp_path)
    assert list(tmp_path.iterdir()) == [path] and path.stat().st_mode & 0o077 == 0
