"""Tests of `--cluster`: bit-identical results, killed workers, and protection against unauthorized clients."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import pickle
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from poets_edge.errors import RemoteError, UsageError
from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import find_weights
from poets_edge.training import dask_scheduler, worker_processes
from poets_edge.training.backbone import prepare_backbone
from poets_edge.training.bottlenecks import Extractor
from poets_edge.training.cluster_address import check_cluster
from poets_edge.training.worker_processes import run_in_processes
from tests.conftest import ROOT, poets_edge
from tools.cluster_workers import workers_of

FEW = ("--how_many_training_steps", "50", "--weights", "embedded", "--architecture", "mobilenet_0.25_128")

NOTHING: Mapping[str, str] = MappingProxyType({})


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster") / "photos"
    poets_edge("draw-photos", folder, "--per_class", "40", "--quiet").ok()
    (folder / "roses/broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def alone(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """Bytes of the graph that a single process trains, and the message about skipped photos."""
    folder = tmp_path_factory.mktemp("alone")
    told = poets_edge("train", "--image_dir", photos, *FEW, cwd=folder).ok().stderr
    return (folder / "tf_files/retrained_graph.pb").read_bytes(), _left_out(told)


def _left_out(told: str) -> str:
    return next(line for line in told.splitlines() if "left out" in line)


def graph(folder: Path) -> bytes:
    return (folder / "tf_files/retrained_graph.pb").read_bytes()


def start(
    folder: Path,
    photos: Path,
    cluster: str,
    *,
    photos_per_task: int = 16,
    environment: Mapping[str, str] = NOTHING,
) -> subprocess.Popen[str]:
    arguments = ["train", "--image_dir", str(photos), *FEW, "--cluster", cluster]
    code = (
        "import sys\nfrom poets_edge.cli import main\nfrom poets_edge.training import cluster\n"
        f"cluster.PHOTOS_PER_TASK = {photos_per_task}\n"
        f"sys.argv = ['poets-edge', *{arguments!r}]\nmain()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def cached_vectors(folder: Path) -> int:
    """Count the vectors that a run has stored so far."""
    for file in folder.glob("tf_files/bottlenecks/mobilenet*.sqlite"):
        # The table may not exist yet.
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(file)) as connection:
            return int(connection.execute("SELECT count(*) FROM bottlenecks").fetchone()[0])
    return 0


def test_train_with_worker_processes_writes_an_identical_graph(
    photos: Path, alone: tuple[bytes, str], tmp_path: Path
) -> None:
    process = start(tmp_path, photos, "local:2")
    stderr = process.communicate(timeout=240)[1]
    assert process.returncode == 0, stderr
    assert graph(tmp_path) == alone[0] and _left_out(stderr) == alone[1]
    assert "2 processes" in stderr and "Traceback" not in stderr
    assert cached_vectors(tmp_path) == 200
    again = poets_edge("train", "--image_dir", photos, *FEW, cwd=tmp_path).ok()
    assert graph(tmp_path) == alone[0] and "Traceback" not in again.stderr
    listed = json.loads(poets_edge("cache", "--json", cwd=tmp_path).ok().stdout)
    assert [row["rows"] for row in listed["caches"] if row["kind"] == "bottlenecks"] == [200]


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_killed_workers_are_replaced(photos: Path, alone: tuple[bytes, str], tmp_path: Path) -> None:
    process = start(tmp_path, photos, "local:2", photos_per_task=4)
    killed, seen, rng = 0, 0, random.Random(0)
    while process.poll() is None and killed < 5:
        done, workers = cached_vectors(tmp_path), workers_of(process.pid)
        if done > seen and workers:  # a task was finished since the last kill, and others are running
            os.kill(rng.choice(workers), signal.SIGKILL)
            killed, seen = killed + 1, done
        time.sleep(0.02)
    stderr = process.communicate(timeout=240)[1]
    assert process.returncode == 0 and killed, stderr
    assert "Traceback" not in stderr and graph(tmp_path) == alone[0]


def test_worker_that_dies_while_sending_a_result_is_replaced(tmp_path: Path) -> None:
    answers = run_in_processes([1, 2, 3], lambda number: (number, tmp_path / "died"), square_or_die, workers=1)
    assert list(answers) == [1, 4, 9] and (tmp_path / "died").exists()


def square_or_die(request: tuple[int, Path]) -> int:
    """Return the square of a number; in the first call, end the process while it sends the answer."""
    number, died = request
    if not died.exists():
        died.touch()
        answers = sys._getframe(1).f_locals["answers"]  # of `serve`, which calls this function
        answers.write(pickle.dumps(bytes(1000))[:500])
        answers.flush()
        os._exit(1)
    return number**2


def test_task_whose_workers_die_repeatedly_raises_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_processes, "_MAX_DEATHS", 2)
    with pytest.raises(RemoteError, match="2 worker processes died one after the other"):
        list(run_in_processes([3], lambda status: status, os._exit, workers=1))


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_train_ends_with_a_one_line_error_if_workers_die_repeatedly(photos: Path, tmp_path: Path) -> None:
    process = start(tmp_path, photos, "local:1", photos_per_task=4)
    while process.poll() is None:  # including starting workers
        for worker in workers_of(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        time.sleep(0.05)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and "Traceback" not in stderr, stderr
    assert "worker processes died one after the other" in stderr.strip().splitlines()[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_killed_run_leaves_no_workers(photos: Path, tmp_path: Path) -> None:
    process = start(tmp_path, photos, "local:2", photos_per_task=4)
    while not cached_vectors(tmp_path):
        assert process.poll() is None
        time.sleep(0.02)
    workers = workers_of(process.pid)
    process.kill()
    process.communicate(timeout=60)
    assert workers
    for _ in range(100):
        if not any(Path(f"/proc/{worker}").exists() for worker in workers):
            break
        time.sleep(0.05)
    else:
        pytest.fail("a worker has outlived the run")


@pytest.mark.skipif(sys.platform != "linux", reason="finds sockets in /proc")
def test_local_worker_processes_do_not_listen_on_sockets(photos: Path, tmp_path: Path) -> None:
    """If a socket listened, another user's process could submit a task."""
    process = start(tmp_path, photos, "local:2", photos_per_task=1)
    while not cached_vectors(tmp_path):
        assert process.poll() is None
        time.sleep(0.02)
    listening = [socket for one in (process.pid, *workers_of(process.pid)) for socket in listening_sockets(one)]
    process.kill()
    process.communicate(timeout=60)
    assert not listening


def listening_sockets(process: int) -> list[str]:
    """Return a process's listening TCP and Unix sockets, as their lines in /proc."""
    opened = set()
    for entry in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(OSError):
            opened.add(str(entry.readlink()))
    found = []
    for table, state_column, inode_column, listens in (
        ("tcp", 3, 9, "0A"), ("tcp6", 3, 9, "0A"), ("unix", 3, 6, "00010000"),
    ):  # fmt: skip
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[state_column] == listens and f"socket:[{columns[inode_column]}]" in opened:
                found.append(line)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="finds sockets in /proc")
def test_listening_tcp_and_unix_sockets_are_found(tmp_path: Path) -> None:
    before = len(listening_sockets(os.getpid()))
    with socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "s"))
        local.listen()
        assert len(listening_sockets(os.getpid())) == before + 2


_SCHEDULER = """
import asyncio, sys
from distributed import Scheduler, Worker

async def main():
    async with Scheduler(protocol=sys.argv[1], host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler:
        print(scheduler.address, flush=True)
        if sys.argv[2] == "1":
            await Worker(scheduler.address, nthreads=1, dashboard=False)
        await scheduler.finished()

asyncio.run(main())
"""


@contextlib.contextmanager
def scheduler(
    protocol: str = "tcp", workers: int = 0, environment: Mapping[str, str] = NOTHING, cwd: Path = ROOT
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start a Dask scheduler; yield its address and process."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SCHEDULER, protocol, str(workers)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def certificates(folder: Path) -> dict[str, str]:
    """Create a self-signed certificate; return the environment variables for Dask to use it in all roles."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = builder.sign(key, hashes.SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + signed.public_bytes(Encoding.PEM)
    file = folder / "dask.pem"
    file.write_bytes(pem)
    variables = {
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(file),
    }
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        variables[f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT"] = str(file)
        variables[f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY"] = str(file)
    return variables


def test_scheduler_with_tls_trains_an_identical_graph_and_refuses_unknown_clients(
    photos: Path, alone: tuple[bytes, str], tmp_path: Path
) -> None:
    owner, stranger = tmp_path / "owner", tmp_path / "stranger"
    for folder in (owner, stranger):
        folder.mkdir()
    environment, foreign = certificates(owner), certificates(stranger)
    submit = (
        "import sys\nfrom distributed import Client\n"
        f"Client(sys.argv[1], timeout=5).submit(open, {str(tmp_path / 'submitted')!r}, 'w').result(timeout=5)"
    )
    with scheduler("tls", 1, environment) as (address, _):
        for allowed, variables in ((False, foreign), (False, {}), (True, environment)):
            ran = subprocess.run(
                [sys.executable, "-c", submit, address],
                env={**os.environ, **variables}, capture_output=True, timeout=60, check=False,
            )  # fmt: skip
            assert (tmp_path / "submitted").exists() == allowed, ran.stderr
        run = start(tmp_path, photos, address, environment=environment)
        stderr = run.communicate(timeout=240)[1]
    assert run.returncode == 0 and "1 workers" in stderr, stderr
    assert graph(tmp_path) == alone[0] and _left_out(stderr) == alone[1]
    assert cached_vectors(tmp_path) == 200


def test_train_ends_with_a_one_line_error_if_the_scheduler_is_lost(photos: Path, tmp_path: Path) -> None:
    with scheduler() as (address, process):
        run = start(tmp_path, photos, address)
        assert run.stderr is not None
        while "0 workers" not in (line := run.stderr.readline()):
            assert line, "it ended before it was connected"
        process.kill()
        stderr = run.communicate(timeout=120)[1]
    last = stderr.strip().splitlines()[-1]
    assert run.returncode == 1 and "Traceback" not in stderr, stderr
    assert last.startswith("Error: ") and "--cluster" in last and "run again" in last


@pytest.mark.parametrize(
    "address",
    ["local:0", "local:x", "somewhere", f"local:{max(16, 4 * (os.cpu_count() or 1)) + 1}", f"local:{'9' * 5000}"],
)
def test_invalid_cluster_address_is_rejected(photos: Path, tmp_path: Path, address: str) -> None:
    poets_edge("train", "--image_dir", photos, *FEW, "--cluster", address, cwd=tmp_path).failed("--cluster", "local:2")


@pytest.mark.parametrize(
    "address",
    ["tcp://192.0.2.7:8786", "192.0.2.7:8786", "tcp://example.invalid:8786", "ws://192.0.2.7:8786", "tcp://[::"],
)
@pytest.mark.parametrize("command", ["train", "grid"])
def test_unencrypted_remote_scheduler_is_refused(photos: Path, tmp_path: Path, command: str, address: str) -> None:
    ran = poets_edge(command, "--image_dir", photos, "--cluster", address, cwd=tmp_path)
    ran.failed("--cluster", "--insecure-cluster", "tls://")
    assert not list(tmp_path.iterdir()), "nothing was begun"


@pytest.mark.parametrize(
    "address",
    ["tls://192.0.2.7:1", "wss://a.example:1", "tcp://127.0.0.1:1", "tcp://[::1]:1", "localhost:1", "local:2"],
)
def test_encrypted_or_local_scheduler_is_accepted(address: str) -> None:
    assert accepts(address, insecure=False)


def test_insecure_cluster_option_allows_an_unencrypted_scheduler() -> None:
    assert accepts("tcp://192.0.2.7:8786", insecure=True)
    assert not accepts("tcp://192.0.2.7:8786", insecure=False)


_NO_ANSWER = (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(8), b"\xff" * 4096, b"\x01" + bytes(7) + b"\x04" * 12)


# Dask may give up between creating a coroutine and awaiting it, if the time limit expires then.
@pytest.mark.filterwarnings("ignore:coroutine 'wait_for' was never awaited:RuntimeWarning")
@pytest.mark.parametrize("answer", _NO_ANSWER, ids=range(len(_NO_ANSWER)))
def test_servers_that_are_not_schedulers_are_reported(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_scheduler, "_SECONDS_TO_CONNECT", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted.append(server.accept()[0])
                    accepted[-1].sendall(answer)

        accepted: list[socket.socket] = []
        serving = threading.Thread(target=serve)
        serving.start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        try:
            with pytest.raises(RemoteError, match="no Dask scheduler answers there"), dask_scheduler.connect(address):
                pass
        finally:
            server.shutdown(socket.SHUT_RDWR)  # ends `accept`
            serving.join()
            for connection in accepted:
                connection.close()


def test_train_ends_with_a_one_line_error_if_a_worker_sends_no_vectors(photos: Path, tmp_path: Path) -> None:
    """The program on the worker is another version, whose results are dictionaries."""
    other = tmp_path / "other/poets_edge/training"
    other.mkdir(parents=True)
    for package in (other, other.parent):
        (package / "__init__.py").touch()
    (other / "vector_task.py").write_text("def compute_vectors(*_, **__):\n    return {}\n")
    with scheduler(workers=1, cwd=tmp_path / "other") as (address, _):
        stderr = start(tmp_path, photos, address).communicate(timeout=120)[1]
    last = stderr.strip().splitlines()[-1]
    assert "Traceback" not in stderr and last.startswith("Error: ") and "--cluster" in last, stderr
    assert "for all workers" in last and cached_vectors(tmp_path) == 0


def accepts(address: str, *, insecure: bool) -> bool:
    """Return whether `check_cluster` accepts an address."""
    try:
        check_cluster(address, insecure=insecure)
    except UsageError:
        return False
    return True


def test_train_reports_an_unreachable_scheduler_in_one_line(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poets_edge.training.dask_scheduler._SECONDS_TO_CONNECT", 1)
    command = ("train", "--image_dir", photos, *FEW, "--cluster", "tcp://127.0.0.1:9")
    poets_edge(*command, cwd=tmp_path).failed("--cluster", "no Dask scheduler answers")


def test_extractor_works_while_a_profiler_samples_stack_frames(tmp_path: Path) -> None:
    """Dask workers run a profiler, and the interpreter fails while a stack frame holds a view of its memory."""
    wanted = architecture("mobilenet_0.25_128")
    extract = Extractor(prepare_backbone(wanted, find_weights(wanted, tmp_path, "embedded"), tmp_path).model)
    pixels = np.random.default_rng(0).integers(256, size=(128, 128, 3), dtype=np.uint8)
    undisturbed, done = extract(pixels), threading.Event()

    def look() -> None:
        held: deque[object] = deque(maxlen=100)
        while not done.is_set():
            held.append(sys._current_frames())

    # Short enough to interrupt between any two lines of Python.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    profiler = threading.Thread(target=look)
    profiler.start()
    try:
        assert all((extract(pixels) == undisturbed).all() for _ in range(500))
    finally:
        done.set()
        profiler.join()
        sys.setswitchinterval(interval)
