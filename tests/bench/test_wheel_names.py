"""Tests of the names of wheels for devices, and of the digest of what is sent to them."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.bench.remote.wheels import digest_of, package_name, platform_tags


def test_platform_tags_are_listed_from_the_newest_to_the_oldest() -> None:
    system: Any = SimpleNamespace(libc_version=(2, 19), machine="aarch64")
    assert platform_tags(system) == [
        "manylinux_2_19_aarch64", "manylinux_2_18_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64",
        "linux_aarch64",
    ]  # fmt: skip
    system.libc_version = (2, 12)
    assert platform_tags(system)[0] == "manylinux_2_17_aarch64", "required packages are not built for older systems"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("numpy<2", "numpy"),
        ("ai_edge_litert>=1.0; python_version > '3.9'", "ai-edge-litert"),
        ("Pillow-11.0-cp311-cp311-manylinux_2_17_aarch64.whl", "pillow"),
        ("ruamel.yaml-0.18-py3-none-any.whl", "ruamel-yaml"),
    ],
)
def test_package_name_is_normalized(text: str, name: str) -> None:
    assert package_name(text) == name


def test_digest_depends_on_all_parts_and_their_order() -> None:
    sums = [hashlib.sha256(part).hexdigest() for part in (b"one", b"two")]
    assert digest_of("one", b"two") == hashlib.sha256("\n".join(sums).encode()).hexdigest()[:16]
    assert len({digest_of("one", "two"), digest_of("two", "one"), digest_of("onetwo"), digest_of("on", "etwo")}) == 4
