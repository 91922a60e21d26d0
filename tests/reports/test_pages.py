"""Tests of HTML pages: the cache of compiled templates, the Content-Security-Policy, and escaping."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import jinja2
import pytest

from poets_edge.errors import OutputError
from poets_edge.reports.page import write_page

TEMPLATE = "train.html.j2"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Return a list of the templates that Jinja compiles; the cache is empty at first."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names: list[str] = []
    compile_one = jinja2.Environment.compile

    def count(self: jinja2.Environment, source: str, name: str, *rest: object, **named: object) -> object:
        names.append(name)
        return compile_one(self, source, name, *rest, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(jinja2.Environment, "compile", count)
    return names


def test_page_template_is_compiled_only_once(compiled: list[str], tmp_path: Path) -> None:
    first = page(tmp_path / "1.html")
    assert TEMPLATE in compiled
    compiled.clear()
    assert page(tmp_path / "2.html") == first and not compiled


@pytest.mark.parametrize("damage", [b"", b"\0" * 5000, b"\xff" * 40, None])
def test_damaged_template_cache_is_ignored(compiled: list[str], tmp_path: Path, damage: bytes | None) -> None:
    first = page(tmp_path / "1.html")
    for file in (tmp_path / "cache").rglob("*.cache"):
        file.write_bytes(file.read_bytes()[:40] + b"\xff" * 40 if damage is None else damage)
    compiled.clear()
    assert page(tmp_path / "2.html") == first and TEMPLATE in compiled


def test_template_cache_removes_temporary_files_of_a_killed_program(compiled: list[str], tmp_path: Path) -> None:
    page(tmp_path / "1.html")
    cached = sorted((tmp_path / "cache").rglob("*.cache"))
    for file in cached:
        file.rename(file.with_name(f".{file.name}.abcdefgh.poets_edge.tmp"))
    page(tmp_path / "2.html")
    assert cached and sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file()) == cached


def test_page_is_written_without_a_cache_folder(compiled: list[str], tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    assert page(tmp_path / "1.html") == page(tmp_path / "2.html")
    assert compiled.count(TEMPLATE) == 2


def test_content_security_policy_permits_only_the_scripts_of_the_page(tmp_path: Path) -> None:
    html = page(tmp_path / "1.html")
    [policy] = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', html)
    rules = {name: values.split() for name, _, values in (rule.strip().partition(" ") for rule in policy.split(";"))}
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert scripts and "<script " not in html and not re.search(r"<[^>]* on\w+=", html)
    assert rules["script-src"] == [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    ]
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == ["'none'"]
    assert html.index("Content-Security-Policy") < html.index("<style>"), "it holds for what follows it"


def test_page_escapes_names(tmp_path: Path) -> None:
    html = page(tmp_path / "1.html", name="<script>alert(1)</script>", unreadable=['a"><img src=x onerror=b>'])
    assert "<script>alert" not in html and "<img src=x" not in html


def page(path: Path, **changed: object) -> str:
    """Write the page of a training run without results, and return its HTML."""
    missing = ("cross_validated", "calibration", "cross_validated_confusion", "validated", "unknown", "assumption")
    nothing = dict.fromkeys(missing)
    names = ("labels", "classes", "mistakes", "correct", "unreadable", "excluded", "duplicates", "next", "warnings")
    lists: dict[str, list[object]] = {name: [] for name in names}
    counts = dict.fromkeys(("photos", "mistake_count", "unreadable_count", "excluded_count"), 0)
    texts = dict.fromkeys(("name", "folder", "architecture", "accuracy_chart", "loss_chart"), "x")
    context = {
        "test": None,
        "test_confusion": [],
        "has_own_test": False,
        **nothing,
        **lists,
        **counts,
        **texts,
        **changed,
    }
    write_page(path, TEMPLATE, **context)
    return path.read_text()


def test_page_shows_messages_as_sentences_that_name_command_line_options(tmp_path: Path) -> None:
    html = page(tmp_path / "1.html", warnings=["a <b> needs `group_by`", "It ends."], assumption="see `early_stop`")
    assert '<p class="lead">A &lt;b&gt; needs <code>--group-by</code>.</p><p class="lead">It ends.</p>' in html
    assert '<p class="note">See <code>--early-stop</code>.</p>' in html


def test_percentages_on_pages_contain_nonbreaking_spaces(tmp_path: Path) -> None:
    html = page(tmp_path / "1.html", test={"accuracy": 0.875, "interval": (0.8, 0.923), "count": 40})
    assert "87.5\N{NO-BREAK SPACE}%" in html and "87.5 %" not in html
    assert re.search(r"80 to 92\s*\N{NO-BREAK SPACE}%", html)


def test_undecodable_bytes_in_names_are_replaced(tmp_path: Path) -> None:
    assert "caf?.jpg" in page(tmp_path / "1.html", unreadable=["caf\udce9.jpg"])


def test_page_permits_only_embedded_images(tmp_path: Path) -> None:
    assert "img-src data:;" in page(tmp_path / "1.html") and "default-src 'none';" in page(tmp_path / "1.html")


def test_page_does_not_replace_files_of_other_programs(tmp_path: Path) -> None:
    (tmp_path / "1.html").write_text("mine")
    with pytest.raises(OutputError, match="not a page that poets_edge has written"):
        page(tmp_path / "1.html")
    assert (tmp_path / "1.html").read_text() == "mine"


def test_page_whose_template_lacks_a_value_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates = jinja2.DictLoader({"missing.html.j2": "<title>{{ title }}</title>"})
    monkeypatch.setattr(jinja2, "PackageLoader", lambda package: templates)
    with pytest.raises(jinja2.UndefinedError, match="'title' is undefined"):
        write_page(tmp_path / "page.html", "missing.html.j2")
    assert not (tmp_path / "page.html").exists()


def test_compiled_templates_are_stored_in_a_private_folder(compiled: list[str], tmp_path: Path) -> None:
    """They are run as code, so no other user may write them."""
    page(tmp_path / "1.html")
    [folder] = (tmp_path / "cache").rglob("pages")
    assert folder.stat().st_mode & 0o777 == 0o700
