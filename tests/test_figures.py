"""Tests that every page of results names its origin, and that README and docs agree with the results they cite.

A citation is a comment after the figure: `<!-- main_job.md: 64 MB; 0.123 s -->`. It names a page of benchmarks/results
and values in the spelling of that page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal

import pytest

from poets_edge.cli import COMMANDS
from tests.conftest import ROOT
from tools.pictures import recorded_points

RESULTS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks/results").glob("*.md")}
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}

_ORIGIN = re.compile(r"^`[^`\n]+`, commit [0-9a-f]{7}(?: and changes)?, 20\d\d-\d\d-\d\d, \S", flags=re.MULTILINE)
_CITATION = re.compile(r"<!-- ([\w.]+\.md): (.+?) -->", flags=re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w.]*\d)")
_FIGURE = re.compile(r"(?<![\w.>-])\d[\d.,]* ?(?:MB|GB|kB|ms|%|points|times as|s\b(?! ago))")

_NOT_MEASURED = {
    "docs/commands.md": {
        "0.2 points": "an example of output",
        "50 kB": "14 x 14 x 256 bytes",
        "1.2 GB": "30 x 800 x 50 kB",
        "15 GB": "a sum of such products",
        "229 MB": "the size of a file on a server",
        "98 %": "a level of confidence",
        "95 %": "a level of confidence",
        "5 %": "a limit",
        "1 %": "an assumption of `compare`",
        "0.7 %": "an assumption of `compare`",
        "0.6 %": "an assumption of `compare`",
    },
    "docs/how-it-works.md": {
        "16 MB": "a limit",
        "256 MB": "a limit",
        "32 MB": "a limit",
        "1 GB": "256 x 4 bytes for a million photos",
    },
    "docs/frigate.md": {"60 %": "a rule of Frigate"},
    "docs/other-formats.md": {"1.5 points": "a test of models made elsewhere"},
    "docs/figures.md": {"2 ms": "a limit", "1.5 MB": "a limit"},
    "docs/quickstart.md": {"229 MB": "the size of a file on a server"},
    "docs/raspberry-pi.md": {"144 MB": "`make test-pi`", "8 MB": "`make test-pi`", "100 MB": "OpenCV's wheel"},
    "docs/targets.md": dict.fromkeys(
        ("2 MB", "3 MB", "3.5 MB", "4 MB", "7.5 MB"), "`exporting/microcontroller/boards.py`"
    ),
    "docs/unknown.md": {"5 %": "a default"},
    "docs/web.md": {
        "50 %": "a default",
        "75 %": "a default",
        "0.1 %": "a test of the page in Chromium",
        "2.6 MB": "the size of page_runtime.tar.xz",
    },
}
"""Figures in each documentation page that are not benchmark results, with their origin."""


def paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs, list items and table rows of a Markdown text, without code blocks."""
    text = re.sub(r"^```.*?^```|^ {4}\S.*?$", "", text, flags=re.MULTILINE | re.DOTALL)
    for block in re.split(r"\n\s*\n|\n(?=\||- |\d\. )", text):
        yield " ".join(block.split())


def disagreements(paragraph: str, results: dict[str, str]) -> Iterator[str]:
    """Yield a message for each value that a paragraph cites but that the results or its own text do not contain."""
    stated = _NUMBER.findall(_CITATION.sub("", paragraph))
    for page, values in _CITATION.findall(paragraph):
        for value in values.split("; "):
            if not re.search(rf"(?<![\w.,]){re.escape(value)}(?![\w]|[.,]\d)", " ".join(results.get(page, "").split())):
                yield f"{page} does not say {value}"
            elif not any(_rounds_to(value, number) for number in stated):
                yield f"the text does not say {value}"


def _rounds_to(value: str, number: str) -> bool:
    measured, shown = (Decimal(_NUMBER.findall(text)[0].replace(",", "")) for text in (value, number))
    return measured.quantize(Decimal(1).scaleb(int(shown.as_tuple().exponent)), ROUND_HALF_UP) == shown


@pytest.mark.parametrize("page", sorted(RESULTS))
def test_benchmark_results_state_command_commit_and_machine(page: str) -> None:
    """The origin is under the title of the page, or under the heading of a section that has its own origin."""
    head, *sections = re.split(r"^(?=##+ )", RESULTS[page], flags=re.MULTILINE)
    for section in (head, *sections):
        title, _, text = section.partition("\n")
        if _ORIGIN.search(head):
            continue
        if re.search(r"^\|", text, flags=re.MULTILINE) or "measured" in text:
            assert _ORIGIN.search(text), f"{page}, {title}: no line `command`, commit ..., date, machine"


@pytest.mark.parametrize("page", sorted(PAGES))
def test_pages_agree_with_the_results_they_cite(page: str) -> None:
    assert [found for paragraph in paragraphs(PAGES[page]) for found in disagreements(paragraph, RESULTS)] == []


@pytest.mark.parametrize("page", sorted(PAGES))
def test_pages_cite_the_results_for_measured_figures(page: str) -> None:
    known = _NOT_MEASURED.get(page, {})
    uncited = [
        figure.strip()
        for paragraph in paragraphs(PAGES[page])
        if not _CITATION.search(paragraph)
        for figure in _FIGURE.findall(re.sub(r"`[^`]*`", "", paragraph))
    ]
    assert sorted(set(uncited) - set(known)) == []
    assert sorted(figure for figure in known if figure not in PAGES[page]) == []


@pytest.mark.parametrize(
    ("paragraph", "found"),
    [
        ("It takes 64 MB. <!-- a.md: 64 MB -->", []),
        ("It takes 0.12 s, 7.2 times less. <!-- a.md: 0.123 s; 7.15 -->", []),
        ("It takes 61 MB. <!-- a.md: 64 MB -->", ["the text does not say 64 MB"]),
        ("It takes 61 MB. <!-- a.md: 61 MB -->", ["a.md does not say 61 MB"]),
        ("It takes 4 MB. <!-- a.md: 4 MB -->", ["a.md does not say 4 MB"]),
        ("It takes 0.13 s. <!-- a.md: 0.123 s -->", ["the text does not say 0.123 s"]),
        ("It takes 64 MB. <!-- b.md: 64 MB -->", ["b.md does not say 64 MB"]),
    ],
)
def test_numbers_that_contradict_the_benchmark_results_are_listed(paragraph: str, found: list[str]) -> None:
    assert list(disagreements(paragraph, {"a.md": "| 64 MB | 0.123 s | **7.15** |"})) == found


def test_commands_quoted_in_benchmark_results_exist() -> None:
    commands = {
        command for text in RESULTS.values() for command in re.findall(r"^`([^`\n]+)`, commit", text, re.MULTILINE)
    }
    for command in commands:
        if command.startswith("poets-edge "):
            assert command.split()[1] in COMMANDS, command
            continue
        module = re.search(r"python -m (?:pytest )?([\w./]+)", command)
        assert module, command
        name = module[1].removesuffix(".py").replace(".", "/")
        assert any((ROOT / f"{name}{end}").is_file() for end in (".py", "/__main__.py")), command


def test_accuracies_and_sizes_of_recorded_points_agree_with_the_benchmark_results() -> None:
    points = {(point.architecture.name, point.quantization): point for point in recorded_points()}
    assert len(points) == 2 * 13, "without the three stand-ins"
    rows = dict(re.findall(r"^\| (mobilenet_\S+) \| (.*) \|$", RESULTS["quantization_accuracy.md"], re.MULTILINE))
    for (name, quantization), point in points.items():
        cells = [cell.strip() for cell in rows[name].split("|")]
        gain = 0.0 if quantization == "float32" else float(cells[3])
        share = 1.0 if quantization == "float32" else float(cells[-1])
        assert 100 * point.accuracy == pytest.approx(float(cells[0]) + gain)
        assert point.size / 1e6 == pytest.approx(float(cells[7]) * share)
