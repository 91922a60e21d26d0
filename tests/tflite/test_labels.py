"""Tests of parsing labels files from other programs."""

from __future__ import annotations

import time

import pytest

from poets_edge.errors import ModelError
from poets_edge.tflite.labels import decode_labels, join_labels, parse_labels, split_labels


@pytest.mark.parametrize(
    "text",
    [
        "daisy\nroses\ntulips\n",
        "\ufeffdaisy\r\nroses\r\n\r\ntulips",
        "daisy  \n\n roses\ntulips\n\n\n",
        "0 daisy\n1 roses\n2 tulips\n",
        "2 tulips\n0 daisy\n1 roses\n",
        "1 daisy\n2 roses\n3 tulips\n",
        "3 tulips\n1 daisy\n2 roses\n",
        "0: daisy\n1: roses\n2: tulips",
        '["daisy", "roses", "tulips"]',
        '{"roses": 1, "tulips": 2, "daisy": 0}',
        '{"0": "daisy", "2": "tulips", "1": "roses"}',
        '{"0": ["n1", "daisy"], "1": ["n2", "roses"], "2": ["n3", "tulips"]}',
        '{"modelName": "tm", "labels": ["daisy", "roses", "tulips"], "imageSize": 224}',
        "path: data\ntrain: a\nnc: 3\nnames:\n- daisy\n- 'roses'\n- tulips\n",
        "path: data\nnames:\n  0: daisy\n  1: roses\n  2: tulips\nnc: 3\n",
        "0,daisy\n1,roses\n2,tulips\n",
        'index,label\n0,"daisy"\n1,"roses"\n2,"tulips"\n',
        "names:\n  0: daisy\n  1: roses\n  2: tulips\n",
        "item {\n id: 1\n name: 'daisy'\n}\nitem {\n id: 3\n name: 'tulips'\n}\nitem {\n id: 2\n name: 'roses'\n}\n",
        "nc: 3\nnames: ['daisy', 'roses', 'tulips']\nroboflow:\n  license: CC\n",
        "names: [daisy, roses,\n  tulips]\n",
        "names: {2: tulips, 0: daisy, 1: roses}\n",
        "names:  # classes\n\n  0: 'daisy'\n  1: \"roses\"  # red\n  2: tulips # all\nnc: 3\n",
        "['daisy', \"roses\",\n 'tulips',]",
        "{1: 'roses', 0: 'daisy',\n 2: 'tulips'}\n",
        '{"id2label": {"0": "daisy", "1": "roses", "2": "tulips"}, "label2id": {"daisy": 0}}',
        "daisy,0\ntulips,2\nroses,1\n",
        "label,index\ndaisy,0\nroses,1\ntulips,2\n",
        ",id,name,note\n0,0,daisy,a\n1,1,roses,b\n2,2,tulips,c\n",
        "tulips: 2\ndaisy: 0\nroses: 1\n",
        "1. daisy\n2. roses\n3. tulips\n",
        "[0] daisy\n[2] tulips\n[1] roses\n",
        "daisy, roses, tulips",
        '"daisy",\n"roses",\n"tulips"\n',
        "{'daisy': 0,\n 'tulips': 2,\n 'roses': 1}",
        "{daisy: 0, roses: 1, tulips: 2}",
        "daisy 0\ntulips 2\nroses 1\n",
        "- daisy\n- roses\n- tulips\n",
        "daisy,\nroses,\ntulips\n",
        "0\tdaisy\r\n1\troses\r\n2\ttulips\r\n",
        'item { id: 0 name: "/m/1" display_name: "daisy" }\nitem { id: 1 display_name: "roses" }\n'
        'item { id: 2 display_name: "tulips" }',
    ],
)
def test_labels_files_from_other_programs_are_read(text: str) -> None:
    assert parse_labels(text, "labels.txt") == ("daisy", "roses", "tulips")


def test_numbers_in_labels_that_are_not_output_indices_are_kept() -> None:
    assert parse_labels("1 euro\n2 euro\n", "labels.txt") == ("1 euro", "2 euro")
    assert parse_labels("0 stars\n1 star\n2 stars\n", "labels.txt") == ("0 stars", "1 star", "2 stars")
    assert parse_labels("level 0\nlevel 1\n", "labels.txt") == ("level 0", "level 1")
    assert parse_labels("5 cent\n2 euro\n", "labels.txt") == ("5 cent", "2 euro")
    assert parse_labels("[unknown]\nroses\n", "labels.txt") == ("[unknown]", "roses")
    assert parse_labels("0 daisy\nroses\n", "labels.txt") == ("0 daisy", "roses")
    assert parse_labels("", "labels.txt") == ()
    assert parse_labels("0,1\n1,0\n", "labels.txt") == ("1", "0")
    assert parse_labels("0.5 V\n1.5 V\n", "labels.txt") == ("0.5 V", "1.5 V")
    assert parse_labels("level: 1\nlevel: 2\n", "labels.txt") == ("level: 1", "level: 2")
    assert parse_labels("tench, Tinca tinca\nray, skate\n", "labels.txt") == ("tench, Tinca tinca", "ray, skate")


@pytest.mark.parametrize(
    "text",
    [
        *("0 daisy\n2 roses\n", "0 daisy\n0 roses\n", "item { id: 1 }"),
        *(
            '{"1": "daisy", "2": "roses"}',
            '{"daisy": 0, "roses": 0}',
            '{"modelTopology": {}}',
            "[1, 2]",
            "{'daisy': 'a',\n'roses': 'b'}",
            '["a\\nb", "c"]',
        ),
    ],
)
def test_labels_files_with_missing_numbers_or_names_are_refused(text: str) -> None:
    with pytest.raises(ModelError, match=r"labels\.txt: "):
        parse_labels(text, "labels.txt")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_labels_files_in_encodings_that_windows_writes_are_decoded(encoding: str) -> None:
    text = "Gänseblümchen\r\nRosen\r\n"
    assert parse_labels(decode_labels(text.encode(encoding)), "labels.txt") == ("Gänseblümchen", "Rosen")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le", "utf-32"])
def test_labels_files_in_unsupported_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(UnicodeDecodeError):
        decode_labels("Gänseblümchen\n".encode(encoding))


def test_lines_of_labels_files_from_poets_edge_are_kept_unchanged() -> None:
    labels = ("0 zero", " one", "1 two ")
    assert split_labels(join_labels(labels)) == labels


def test_unterminated_label_map_is_parsed_in_linear_time() -> None:
    text = "item {" * 200_000
    started = time.process_time()
    assert parse_labels(text, "labels.txt") == (text.strip(),)
    assert time.process_time() - started < 5


def test_numbers_that_are_part_of_a_label_are_preserved() -> None:
    assert parse_labels("2 euro\n3 dollars\n", "labels.txt") == ("2 euro", "3 dollars")
    assert parse_labels("name,size\ndaisy,2\nroses,3\n", "labels.txt") == ("name,size", "daisy,2", "roses,3")
    assert parse_labels("daisy 1\nroses 2\n", "labels.txt") == ("daisy 1", "roses 2")
    assert parse_labels("daisy 0\n", "labels.txt") == ("daisy 0",)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("item { id: 2 name: 'b' }\nitem { id: 1 name: 'a' }", ("a", "b")),
        ("item { id: 1 name: 'b' }\nitem { id: 0 name: 'a' }", ("a", "b")),
        ("item { id: 0 display_name: 'x' name: 'a' }\nitem { id: 1 name: 'y' display_name: 'b' }", ("x", "b")),
        ("b,1,2021\na,0,2020\n", ("b,1,2021", "a,0,2020")),
        ("label,year,index\na,2021,0\nb,2020,1\n", ("a", "b")),
        ("index;code;label\n1;7;b\n0;9;a\n", ("a", "b")),
        ("a|1\nb|2\n", ("a", "b")),
        ("b|2\na|1\n", ("a", "b")),
        ("a;b\n", ("a;b",)),
        ("'a'\n'b'\n", ("a", "b")),
        ("'a'\nb\n", ("'a'", "b")),
        ("['it\\'s', 'b']", ("it's", "b")),
        ('{"names": {"1": "b", "0": "a"}, "nc": 2}', ("a", "b")),
        ('{"classes": ["a", "b"]}', ("a", "b")),
        ('{"class_names": ["a", "b"]}', ("a", "b")),
        ("# my labels\n0 a\n1 b\n", ("a", "b")),
        ("names:\n0 a\n1 b\n", ("a", "b")),
        ("0) a\n1) b\n", ("a", "b")),
        ("0=a\n1=b\n", ("a", "b")),
        ("0.a\n1.b\n", ("0.a", "1.b")),
        ("a\r0 b\r", ("a", "0 b")),
        ("10 k\n" + "".join(f"{number} {chr(97 + number)}\n" for number in range(10)), tuple("abcdefghijk")),
    ],
)
def test_numbered_labels_are_ordered_by_their_numbers(text: str, labels: tuple[str, ...]) -> None:
    assert parse_labels(text, "labels.txt") == labels


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_labels_files_in_utf16_of_both_byte_orders_are_decoded(encoding: str) -> None:
    text = "Gänseblümchen\nRosen\n"
    assert parse_labels(decode_labels(("\ufeff" + text).encode(encoding)), "x") == ("Gänseblümchen", "Rosen")


def test_only_the_byte_order_mark_and_line_breaks_are_removed_from_labels_files() -> None:
    assert split_labels("\ufeffa\r\n b\x0bc\n\nd\n") == ("a", " b\x0bc", "", "d")
    assert split_labels("") == () and join_labels(("a", "b")) == "a\nb\n"
