"""Tests of the results that workers of a cluster send, of cluster addresses, and of the list of caches."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from poets_edge.core.processes import HelperEndedError
from poets_edge.errors import OutputError, RemoteError, UsageError
from poets_edge.photos.table import HashedPhoto, HashedPhotos, Photo
from poets_edge.progress import Silent
from poets_edge.training import cache_folder, cluster, worker_processes
from poets_edge.training.bottleneck_cache import BottleneckCache, open_cache
from poets_edge.training.bottlenecks import vector_key
from poets_edge.training.cache_folder import caches, remove_caches
from poets_edge.training.cluster_address import check_cluster, local_workers
from poets_edge.training.dask_scheduler import run_on_scheduler, worker_count
from poets_edge.training.row_store import open_row_store
from poets_edge.training.vector_task import TaskResult


def digest(number: int) -> bytes:
    return hashlib.sha256(bytes([number])).digest()


def photos(count: int) -> HashedPhotos:
    return HashedPhotos.of([HashedPhoto(Photo(Path(f"{n}.jpg"), f"a/{n}.jpg", "a"), digest(n)) for n in range(count)])


def vectors(*rows: float, width: int = 3) -> Any:
    return np.repeat(np.array(rows, np.float32)[:, None], width, axis=1)


def test_photos_that_lack_a_vector_in_at_least_one_cache_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_DIGESTS_PER_QUERY", 2)
    with open_cache(tmp_path / "1") as (one, _), open_cache(tmp_path / "2") as (two, _):
        for number in (0, 1, 3):
            one.put(vector_key(digest(number)), np.ones(3, np.float32))
        for number in (1, 2, 3):
            two.put(vector_key(digest(number)), np.ones(3, np.float32))
        sources: Any = [SimpleNamespace(cache=one), SimpleNamespace(cache=two)]
        assert cluster._missing_rows(photos(5), sources) == [0, 2, 4]
        assert cluster._missing_rows(photos(5), sources[:1]) == [2, 4]


def result(*arrays: Any, digests: int = 2, photo_count: int = 3) -> TaskResult:
    return TaskResult(photo_count=photo_count, digests=tuple(map(digest, range(digests))), vectors=arrays)


@pytest.mark.parametrize(
    "wrong",
    [
        result(vectors(1, 2)), result(vectors(1, 2), vectors(1, 2), vectors(1, 2)), result(vectors(1), vectors(1)),
        result(vectors(1, 2), vectors(1)), result(vectors(1, 2), vectors(1, 2).astype(np.float64)), None,
        [vectors(1, 2)],
    ],
)  # fmt: skip
def test_results_without_a_float32_vector_for_each_photo_and_backbone_are_refused(wrong: Any) -> None:
    with pytest.raises(RemoteError, match="`cluster` local:2: a worker did not send vectors"):
        cluster._check_result(wrong, [None, None], "local:2")  # type: ignore[list-item]


def test_vectors_of_finished_tasks_are_stored_even_if_a_later_task_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def results() -> Any:
        yield result(vectors(1, 2), vectors(3, 4))
        raise RemoteError("lost")

    class Progress(Silent):
        done = 0

        def progress(self, what: str, total: int, unit: str = "photo") -> Any:
            assert total == 9
            return contextlib.nullcontext(lambda amount: setattr(self, "done", self.done + amount))

    reporter = Progress()
    with open_cache(tmp_path / "1") as (one, _), open_cache(tmp_path / "2") as (two, _):
        commits: list[BottleneckCache] = []
        original = BottleneckCache.commit

        def commit(cache: BottleneckCache) -> None:
            commits.append(cache)
            original(cache)

        monkeypatch.setattr(BottleneckCache, "commit", commit)
        sources: Any = [SimpleNamespace(cache=one), SimpleNamespace(cache=two)]
        with pytest.raises(RemoteError, match="lost"):
            cluster._store(results(), 9, sources, "local:2", reporter)
        assert commits == [one, two], "the results are written to the disk"
        monkeypatch.undo()
    assert reporter.done == 3, "of the photos of the task, one could not be read"
    with open_cache(tmp_path / "1") as (one, _), open_cache(tmp_path / "2") as (two, _):
        for number, cache, value in ((0, one, 1), (1, one, 2), (0, two, 3), (1, two, 4)):
            assert cache.get(vector_key(digest(number))).tolist() == [value] * 3  # type: ignore[union-attr]


MOST = max(16, 4 * (os.cpu_count() or 1))


@pytest.mark.parametrize(
    ("address", "accepted"),
    [
        ("", True), ("local:1", True), (f"local:{MOST}", True), (f"local:{MOST + 1}", False), ("local:0", False),
        ("local:", False), ("local:-1", False), ("local:1.5", False), ("local:" + "1" * 10, False),
        ("tls://10.0.0.5:8786", True), ("wss://host:1", True), ("tcp://10.0.0.5:8786", False), ("ws://host:1", False),
        ("127.0.0.1:8786", True), ("tcp://[::1]:8786", True), ("localhost:8786", True),
        ("localhost.example.org:1", False),
        ("192.168.0.2:8786", False), ("tls://anna:secret@host:1", False), ("host", False),
    ],
)  # fmt: skip
def test_cluster_addresses_are_refused_unless_they_are_local_or_encrypted(address: str, accepted: bool) -> None:
    if accepted:
        assert check_cluster(address, insecure=False) is None  # type: ignore[func-returns-value]
    else:
        with pytest.raises(UsageError, match="`cluster`") as raised:
            check_cluster(address, insecure=False)
        assert "secret" not in str(raised.value)
    assert check_cluster("tcp://10.0.0.5:8786", insecure=True) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("address", "count"),
    [("local:3", 3), ("local:999999999", 999999999), ("local:1234567890", 0), ("tls://h:1", 0), ("3", 0)],
)
def test_number_of_processes_is_parsed_from_local_addresses(address: str, count: int) -> None:
    assert local_workers(address) == count


class Helper:
    """A helper process that dies a given number of times."""

    deaths = 0
    made: ClassVar[list[Helper]] = []

    def __init__(self, function: Any, *, one_core: bool) -> None:
        self.function, self.closed = function, False
        self.made.append(self)
        assert one_core

    def ask(self, request: Any, name: str) -> Any:
        assert not self.closed
        if Helper.deaths:
            Helper.deaths -= 1
            raise HelperEndedError("killed")
        return self.function(request)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("deaths", "fails"), [(0, False), (19, False), (20, True)])
def test_dead_workers_are_replaced_up_to_twenty_times(
    deaths: int, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_processes, "Helper", Helper)
    Helper.deaths, Helper.made = deaths, []
    run = worker_processes.run_in_processes([1, 2], lambda item: item + 1, lambda request: request * 10, workers=1)
    if fails:
        with pytest.raises(RemoteError, match="20 worker processes died one after the other"):
            list(run)
    else:
        assert list(run) == [20, 30] and len(Helper.made) == deaths + 1
    assert all(one.closed for one in Helper.made), "no process is left"


class Future:
    """Finished task of a scheduler."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def result(self) -> Any:
        return self.value


class Client:
    """Dask client with two threads that runs each task when it is submitted."""

    def submit(self, function: Any, *arguments: Any, pure: bool) -> Future:
        assert not pure
        return Future(
            function(*[[one.value for one in each] if isinstance(each, list) else each for each in arguments])
        )

    def nthreads(self) -> dict[str, int]:
        return {"a": 1, "b": 1}

    def scheduler_info(self, n_workers: int) -> Any:
        return {"workers": {"a": 1, "b": 2, "c": 3}}


def test_scheduler_gets_only_a_few_tasks_per_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    def wait(running: set[Future], return_when: str) -> Any:
        done = {min(running, key=lambda one: one.value)}
        return done, running - done

    monkeypatch.setattr(distributed, "wait", wait)
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(30):
            taken.append(number)
            yield number

    results = run_on_scheduler(Client(), numbers(), lambda item, shared: item * 10 + shared[0], [5])
    assert next(results) == 5 and len(taken) == 8, "two threads have four tasks each"
    assert sorted([5, *results]) == [10 * number + 5 for number in range(30)] and worker_count(Client()) == 3


def touch(folder: Path, *names: str, size: int = 10) -> None:
    for name in names:
        (folder / name).write_bytes(b"x" * size)


STEM = "mobilenet_0.25_128-0123456789abcdef"


def test_caches_are_listed_with_their_files_total_size_and_number_of_rows(tmp_path: Path) -> None:
    with open_cache(tmp_path / f"{STEM}.sqlite") as (cache, _):
        for number in range(3):
            cache.put(bytes([number]), np.ones(4, np.float32))
    with open_row_store(tmp_path / f"{STEM}-last12.activations.sqlite", "activations") as (rows, _):
        rows.write(b"1", b"data")
    touch(tmp_path, f"{STEM}.pb", f"{STEM}.tflite", f"{STEM}.json", f"{STEM}.sqlite.damaged-1")
    touch(tmp_path, f"{STEM}-last12-0123456789abcdef.checkpoint.npz", "notes.txt", f"{STEM}.pb.txt")
    backbone, tail = caches(tmp_path)
    assert (backbone.name, backbone.kind, backbone.rows) == (STEM, "bottlenecks", 3)
    assert (tail.name, tail.kind, tail.rows) == (f"{STEM}-last12", "activations", 1)
    names = {path.name for path in backbone.files}
    assert names == {f"{STEM}{end}" for end in (".sqlite", ".pb", ".tflite", ".json", ".sqlite.damaged-1")}
    assert backbone.size == sum(path.stat().st_size for path in backbone.files)
    assert len(tail.files) == 2
    assert [one.name for one in remove_caches(tmp_path, [STEM, STEM])] == [STEM]
    assert not any(path.exists() for path in backbone.files) and all(path.exists() for path in tail.files)
    assert (tmp_path / "notes.txt").exists() and (tmp_path / f"{STEM}.pb.txt").exists()


def test_no_cache_is_removed_if_one_name_is_unknown(tmp_path: Path) -> None:
    touch(tmp_path, f"{STEM}.pb")
    with pytest.raises(UsageError, match=f"no cache named 'other' in .*There are: {STEM}"):
        remove_caches(tmp_path, [STEM, "other"])
    assert [cache.rows for cache in caches(tmp_path)] == [0] and (tmp_path / f"{STEM}.pb").exists()
    assert caches(tmp_path / "none") == []


def test_row_store_returns_the_latest_data_for_a_key_and_lists_missing_keys(tmp_path: Path) -> None:
    with open_row_store(tmp_path / "rows.sqlite", "rows") as (rows, moved):
        assert moved is None
        rows.write(b"1", b"old")
        rows.write(b"1", b"new")
        rows.write(b"2", b"two")
        assert rows.missing([b"3", b"1", b"0"]) == [b"3", b"0"]
        assert rows.read_many([b"2", b"9", b"1"]) == [b"two", None, b"new"] and rows.damaged == 0
    with pytest.raises(KeyboardInterrupt), open_row_store(tmp_path / "rows.sqlite", "rows") as (rows, _):
        rows.write(b"4", b"four")
        raise KeyboardInterrupt
    with open_row_store(tmp_path / "rows.sqlite", "rows") as (rows, _):
        assert rows.read(b"4") == b"four", "rows are written to the disk before an interruption"


def test_row_store_commits_sixteen_rows_together(tmp_path: Path) -> None:
    def visible() -> int:
        connection = sqlite3.connect(tmp_path / "rows.sqlite")
        try:
            return int(connection.execute("SELECT count(*) FROM rows").fetchone()[0])
        finally:
            connection.close()

    with open_row_store(tmp_path / "rows.sqlite", "rows") as (rows, _):
        for number in range(15):
            rows.write(bytes([number]), b"x")
        assert visible() == 0
        rows.write(b"last", b"x")
        assert visible() == 16


def test_cache_that_cannot_be_written_raises_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(OutputError, match="Give another `bottleneck_dir`"),
        open_row_store(tmp_path / "file/rows.sqlite", "rows"),
    ):
        pytest.fail("the folder is a file")


def test_damaged_copies_of_a_cache_are_listed_and_removed_without_the_cache(tmp_path: Path) -> None:
    touch(tmp_path, "photos.sqlite.damaged-1", "groups.sqlite.damaged-2")
    assert [(cache.name, cache.rows, cache.size) for cache in caches(tmp_path)] == [
        ("groups", 0, 10),
        ("photos", 0, 10),
    ]
    remove_caches(tmp_path, ["photos"])
    assert [path.name for path in tmp_path.iterdir()] == ["groups.sqlite.damaged-2"]
    (tmp_path / "photos.sqlite").write_bytes(b"encrypted")
    assert [cache.name for cache in caches(tmp_path)] == ["groups"], "it may be a database of the user"


def test_caches_can_be_listed_while_another_run_removes_a_database_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, f"{STEM}.pb", f"{STEM}.sqlite-wal")

    def foreign(database: Path, table: str) -> bool:
        (tmp_path / f"{STEM}.sqlite-wal").unlink()
        return False

    monkeypatch.setattr(cache_folder, "is_foreign", foreign)
    [cache] = caches(tmp_path)
    assert cache.size == 10 and len(cache.files) == 2
    touch(tmp_path, f"{STEM}.sqlite-wal")
    assert len(remove_caches(tmp_path, [STEM])) == 1 and not list(tmp_path.iterdir())


def test_number_of_processes_is_limited_to_four_per_core(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, most in ((None, 16), (2, 16), (4, 16), (5, 20), (64, 256)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        check_cluster(f"local:{most}", insecure=False)
        with pytest.raises(UsageError, match=f"from 1 to {most}"):
            check_cluster(f"local:{most + 1}", insecure=False)


def test_each_worker_has_at_most_two_unconsumed_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_processes, "Helper", Helper)
    Helper.deaths, Helper.made = 0, []
    asked: list[int] = []

    def request(item: int) -> int:
        asked.append(item)
        return item

    results = worker_processes.run_in_processes(list(range(60)), request, lambda item: item, workers=3)
    assert next(results) == 0
    time.sleep(0.05)  # the threads work meanwhile
    assert len(asked) <= 2 * 3 + 1
    assert list(results) == list(range(1, 60))
