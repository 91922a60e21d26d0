"""Tests of user names and passwords in addresses: parsing, origins, and the Authorization header."""

from __future__ import annotations

import base64
import json
import os

import pytest

from poets_edge.core.credentials import (
    VARIABLE,
    authorization,
    helper_variables,
    origin,
    split_user_info,
    without_login,
    without_user_info,
)
from poets_edge.core.orphans import helper_environment
from poets_edge.errors import UsageError


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://Host/photos", "https://host:443"),
        ("HTTPS://host:443/", "https://host:443"),
        ("http://host/a?b", "http://host:80"),
        ("https://host:8443/a", "https://host:8443"),
        ("s3://bucket/a", "s3://bucket:0"),
        ("https://[::1]:9/a", "https://::1:9"),
    ],
)
def test_origin_contains_scheme_host_and_port(address: str, expected: str) -> None:
    assert origin(address) == expected


@pytest.mark.parametrize("port", ["x", "65536", "-1"])
def test_origin_rejects_invalid_ports(port: str) -> None:
    with pytest.raises(ValueError, match="ort"):
        origin(f"https://host:{port}/")


@pytest.mark.parametrize(
    ("user_info", "decoded"),
    [("anna:gar%2Ften%40", "anna:gar/ten@"), ("anna", "anna:"), ("anna:", "anna:"), ("a%3Ab", "a:b"), (":x", ":x")],
)
def test_authorization_contains_the_decoded_user_name_and_password(user_info: str, decoded: str) -> None:
    host = f"host{decoded.encode().hex()}.example"
    assert split_user_info(f"https://{user_info}@{host}/photos?x#y") == f"https://{host}/photos?x#y"
    assert authorization(f"https://{host}/") == "Basic " + base64.b64encode(decoded.encode()).decode()
    for other in (f"http://{host}/", f"https://{host}:8443/", f"https://www.{host}/"):
        assert authorization(other) is None, "a password is sent only to the origin that it was given for"


def test_split_user_info_does_not_change_addresses_without_a_password() -> None:
    for address in ("https://host/a@2x", "https://host/a", "photos/a@b"):
        assert split_user_info(address) == address
    with pytest.raises(UsageError, match=r"^https://host/a: write /, \? and # in the password"):
        split_user_info("https://anna:se/cret@host/a")


def test_variable_that_passes_passwords_to_helpers_is_removed_after_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    split_user_info("https://ben:secret@helper.example/")
    passed = helper_variables()
    assert json.loads(passed[VARIABLE])["https://helper.example:443"] == "ben:secret"
    monkeypatch.setenv(VARIABLE, json.dumps({"https://parent.example:443": "eva:key"}))
    assert authorization("https://parent.example/x") == "Basic " + base64.b64encode(b"eva:key").decode()
    assert VARIABLE not in os.environ


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("see https://a:b@host/x and s3://c@bucket/y", "see https://host/x and s3://bucket/y"),
        ("https:/a:b@host/x", "https:/host/x"),
        ("https:///a:b@host/x", "https:///host/x"),
        ("ask a@b", "ask a@b"),
    ],
)
def test_passwords_in_addresses_are_removed_from_texts(text: str, clean: str) -> None:
    assert without_user_info(text) == clean


@pytest.mark.parametrize(
    ("host", "clean"),
    [
        ("a:b@host", "host"),
        ("a:b c@d@host", "host"),
        ("ssh://a:b@host", "ssh://host"),
        ("host", "host"),
        ("a@b\n@h", "h"),
    ],
)
def test_user_name_and_password_of_an_ssh_host_are_removed_up_to_its_last_at_sign(host: str, clean: str) -> None:
    assert without_login(host) == clean


def test_environment_of_a_helper_process_contains_the_stored_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    split_user_info("https://dora:word@process.example/")
    monkeypatch.setenv("POETS_EDGE_ANY", "value")
    passed = helper_environment()
    assert json.loads(passed[VARIABLE])["https://process.example:443"] == "dora:word"
    assert passed["POETS_EDGE_ANY"] == "value" and passed["POETS_EDGE_PARENT"] == str(os.getpid())
    assert VARIABLE not in os.environ
