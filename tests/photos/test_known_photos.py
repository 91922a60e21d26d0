"""Tests of the sets of digests that show which photos a model was trained on."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from poets_edge.core.json_checks import check
from poets_edge.errors import RecordError
from poets_edge.photos.known_photos import NO_GROUP, UNCHECKED, KnownPhotos, known_photos
from poets_edge.photos.photo_sets import PHOTO_SETS


def drawn(count: int, seed: int = 0) -> tuple[Any, Any]:
    """Return random digests and splits for `count` photos."""
    rng = np.random.default_rng(seed)
    digests = rng.integers(0, 256, (count, 32), dtype=np.uint8)
    return digests, rng.choice(3, count, p=[0.8, 0.1, 0.1]).astype(np.int8)


def stored(known: KnownPhotos) -> KnownPhotos:
    """Return the sets after a conversion to JSON and back."""
    return KnownPhotos.from_json(check(json.loads(json.dumps(known.to_json())), PHOTO_SETS))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 63, 64, 65, 1000, 5000])
def test_split_of_each_known_photo_is_returned(count: int) -> None:
    digests, splits = drawn(count)
    others, _ = drawn(3000, seed=1)
    known = KnownPhotos.of(digests, splits)
    for one in (known, stored(known), known.for_model(), stored(known.for_model())):
        assert one.splits(digests).tolist() == splits.tolist()
        assert (one.splits(others) >= 0).sum() <= 1


def test_false_positive_rate_of_digests_in_a_model_is_below_12_per_million() -> None:
    digests, splits = drawn(2047)
    others, _ = drawn(1_000_000, seed=1)
    assert (KnownPhotos.of(digests, splits).for_model().splits(others) >= 0).sum() < 12
    assert (KnownPhotos.of(digests, splits).splits(others) >= 0).sum() == 0


def test_size_of_known_photos_in_a_model_is_limited_per_photo_and_in_total() -> None:
    sizes = {}
    for count in (1000, 30_000, 200_000):
        known = KnownPhotos.of(*drawn(count)).for_model()
        sizes[count] = len(json.dumps(known.to_json()))
    assert sizes[1000] < 4.5 * 1000 and sizes[30_000] < 4.5 * 30_000
    assert sizes[200_000] < 140 << 10


def test_known_photos_of_a_large_data_set_are_stored_as_a_sample() -> None:
    digests, splits = drawn(70_000)
    known = stored(KnownPhotos.of(digests, splits).for_model())
    found = known.splits(digests)
    sampled = found != UNCHECKED
    assert known.sample_bits == 2 and 0.23 < sampled.mean() < 0.27
    assert (found[sampled] == splits[sampled]).all()
    others, _ = drawn(1000, seed=1)
    assert 0.2 < (known.splits(others) == -1).mean() < 0.3


def test_duplicates_of_a_photo_in_several_splits_are_assigned_to_the_first_split() -> None:
    digests = np.zeros((3, 32), np.uint8)
    assert KnownPhotos.of(digests, np.array([2, 0, 1], np.int8)).split(bytes(32)) == 0
    assert KnownPhotos.of(digests[:2], np.array([2, 1], np.int8)).split(bytes(32)) == 1


def test_groups_of_known_test_photos_are_returned() -> None:
    digests, splits = drawn(3000)
    groups = np.arange(3000) // 100
    known = KnownPhotos.of(digests, splits, groups)
    tested = splits == 2
    for one in (known, stored(known), known.for_model(), stored(known.for_model())):
        found = one.groups(digests)
        assert (found[~tested] == NO_GROUP).all()
        pairs = set(zip(found[tested].tolist(), groups[tested].tolist(), strict=True))
        assert len(pairs) == len(set(found[tested].tolist())) == len(set(groups[tested].tolist()))
    assert KnownPhotos.of(digests, splits, np.arange(3000)).test_groups is None
    assert len(set(KnownPhotos.of(digests, splits).groups(digests)[tested].tolist())) == tested.sum()


def test_sampled_known_photos_keep_the_groups_of_test_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poets_edge.photos.known_photos._MOST_IN_MODEL", 500)
    digests, splits = drawn(3000)
    groups = np.arange(3000) % 40
    known = stored(KnownPhotos.of(digests, splits, groups).for_model())
    tested = known.splits(digests) == 2
    found = known.groups(digests)
    assert known.sample_bits == 3 and 10 < tested.sum() < 80 and (found[~tested] == NO_GROUP).all()
    pairs = set(zip(found[tested].tolist(), groups[tested].tolist(), strict=True))
    assert len(pairs) == len(set(found[tested].tolist())) == len(set(groups[tested].tolist()))


def test_groups_of_known_photos_are_read_from_records_with_photo_names() -> None:
    names = {f"{byte}.jpg": bytes([byte] * 32).hex() for byte in range(1, 5)}
    sets = {"training": ["4.jpg"], "validation": [], "test": ["1.jpg", "2.jpg", "3.jpg"]}
    known = known_photos({"photos": names, "sets": sets, "test_groups": [0, 1, 0]})
    assert known is not None
    one, two, three, four = known.groups(np.array([[byte] * 32 for byte in range(1, 5)], np.uint8)).tolist()
    assert one == three != two and four == NO_GROUP


def test_groups_that_do_not_match_the_known_test_photos_are_rejected() -> None:
    digests, splits = drawn(100)
    fields = KnownPhotos.of(digests, splits, np.zeros(100, np.int64)).to_json()
    with pytest.raises(RecordError, match="1 groups of"):
        KnownPhotos.from_json({**fields, "test_groups": [0]})


def test_known_photos_are_read_from_records_with_photo_names() -> None:
    names = {"a/1.jpg": bytes([1] * 32).hex(), "b/2.jpg": bytes([2] * 32).hex(), "b/3.jpg": bytes([3] * 32).hex()}
    record = {"photos": names, "sets": {"training": ["a/1.jpg", "b/3.jpg"], "validation": [], "test": ["b/2.jpg"]}}
    known = known_photos(record)
    assert known is not None
    assert [known.split(bytes([byte] * 32)) for byte in (1, 2, 3, 4)] == [0, 2, 0, -1]
    assert known_photos({}) is None and known_photos({"photos": None, "sets": None}) is None
    assert known_photos({"training": None}) is None and known_photos({"training": {"photos": {}}}) is None


def test_known_photos_are_read_from_a_record_and_from_the_facts_in_a_model() -> None:
    """A model has the sets in the field `training`, a record and a graph at the top level."""
    digests, splits = drawn(20)
    sets = KnownPhotos.of(digests, splits).to_json()
    for facts in ({"photo_sets": sets}, {"format": 1, "training": {"architecture": "x", "photo_sets": sets}}):
        known = known_photos(facts)
        assert known is not None and known.splits(digests).tolist() == splits.tolist()


def test_damaged_encodings_of_known_photos_are_rejected() -> None:
    good = KnownPhotos.of(*drawn(100)).to_json()
    code = base64.b64decode(good["training"]["data"])
    for training in (
        {"count": 1 << 60},
        {"count": good["training"]["count"] + 1},
        {"data": "?"},
        {"data": base64.b64encode(code[:-1]).decode()},
        {"data": base64.b64encode(bytes(len(code))).decode()},
    ):
        with pytest.raises(RecordError, match="a set of"):
            KnownPhotos.from_json({**good, "training": {**good["training"], **training}})
    for bits in (0, 64, "30"):
        with pytest.raises(RecordError, match="bits"):
            check({**good, "bits": bits}, PHOTO_SETS)


def test_digests_in_a_model_have_19_bits_plus_log2_of_the_number_of_photos(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 4,000 photos, about 1,000 begin with two zero bits, and their number has 10 bits."""
    digests, splits = drawn(4000)
    whole = KnownPhotos.of(digests, splits)
    assert (whole.bits, whole.sample_bits) == (12 + 32, 0)
    assert (whole.for_model().bits, whole.for_model().sample_bits) == (12 + 19, 0)
    monkeypatch.setattr("poets_edge.photos.known_photos._MOST_IN_MODEL", 1050)
    sampled = int((digests[:, 0] < 64).sum())
    assert 512 <= sampled <= 1050
    small = whole.for_model()
    assert (small.bits, small.sample_bits) == (2 + sampled.bit_length() + 19, 2)
    assert sum(len(one) for one in small.sets.values()) == sampled
    monkeypatch.setattr("poets_edge.photos.known_photos._MOST_IN_MODEL", sampled)
    assert whole.for_model().sample_bits == 2
    monkeypatch.setattr("poets_edge.photos.known_photos._MOST_IN_MODEL", sampled - 1)
    assert whole.for_model().sample_bits == 3


@pytest.mark.parametrize(("bits", "valid"), [(0, False), (1, True), (63, True), (64, False)])
def test_photo_sets_with_an_invalid_number_of_bits_are_rejected(bits: int, valid: bool) -> None:
    fields = {**KnownPhotos.of(*drawn(3)).to_json(), "bits": bits}
    if valid:
        assert check(fields, PHOTO_SETS)["bits"] == bits
    else:
        with pytest.raises(RecordError, match="a whole number from 1 to 63"):
            check(fields, PHOTO_SETS)


def test_known_photos_preserve_groups_when_stored_in_a_model() -> None:
    """A group number follows its photo into the model, whose sets are sorted by digest."""
    digests = np.zeros((4, 32), np.uint8)
    digests[:, 0] = [200, 10, 150, 90]
    known = KnownPhotos.of(digests, np.array([2, 2, 0, 2], np.int8), np.array([7, 5, 1, 7]))
    for one in (known, stored(known), known.for_model()):
        numbers = one.groups(digests).tolist()
        assert numbers[0] == numbers[3] != numbers[1] and numbers[2] == NO_GROUP and numbers[1] >= 0
