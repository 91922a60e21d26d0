"""Tests of the parts of addresses, and of paths and addresses that are joined with names."""

from __future__ import annotations

from pathlib import Path

import pytest

from poets_edge.core.credentials import authorization
from poets_edge.errors import UsageError
from poets_edge.photos.address import Address, as_photo_path, is_address, joined, photo_path


@pytest.mark.parametrize(
    ("text", "address", "name", "suffix"),
    [
        ("https://host/photos.TAR", "https://host/photos.TAR", "photos.TAR", ".TAR"),
        ("https://host/photos///", "https://host/photos", "photos", ""),
        ("s3://bucket", "s3://bucket", "bucket", ""),
        ("s3://", "s3://", "", ""),
        ("s3://bucket/.hidden", "s3://bucket/.hidden", ".hidden", ""),
    ],
)
def test_name_and_suffix_of_an_address_are_parsed(text: str, address: str, name: str, suffix: str) -> None:
    found = Address(text)
    assert (str(found), found.name, found.suffix) == (address, name, suffix)


@pytest.mark.parametrize(
    "text",
    ["https://host/a.zip?sig=secret", "http://host/a?b&c=secret", "HTTPS://host/a#secret", "https://host#secret"],
)
def test_error_for_an_address_with_a_query_or_fragment_omits_the_secret(text: str) -> None:
    with pytest.raises(UsageError, match=r"with a query or a fragment after it") as raised:
        Address(text)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("text", ["https://host/part-??.tar", "https://host/a?/b?", "s3://bucket/a#1?b=c"])
def test_address_may_contain_wildcards(text: str) -> None:
    assert str(Address(text)) == text


def test_address_stores_the_password_but_omits_it_from_its_text() -> None:
    assert str(Address("https://anna:key@parts.example/photos/")) == "https://parts.example/photos"
    assert authorization("https://parts.example/x") is not None


def test_names_are_appended_to_paths_and_addresses() -> None:
    assert joined("https://host/a/", "b/c.jpg") == "https://host/a/b/c.jpg" and joined("x/y", "b.jpg") == "x/y/b.jpg"
    assert str(Address("s3://bucket/") / "a/b.jpg") == "s3://bucket/a/b.jpg"


def test_photo_path_distinguishes_paths_and_addresses() -> None:
    assert is_address("s3://a") and not is_address("C:/a") and not is_address("a/b")
    assert photo_path("a/b") == Path("a/b") and photo_path("s3://a/b") == Address("s3://a/b")
    assert as_photo_path("a") == Path("a") and as_photo_path(3) == 3
