"""What the training tests share: trainings as processes of their own, and a PostgreSQL that the tests start themselves."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

Python = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def python() -> Python:
    """Run `python ARGUMENTS` in a folder, with the packages of this checkout and an environment without MLflow's variables."""

    def run(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        environment = kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "XDG_STATE_HOME": str(cwd / "state")} | variables
        return subprocess.run(
            [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False
        )

    return run


@dataclass(frozen=True)
class Trained:
    """A finished training: what it printed, and what the store knows of it."""

    stdout: str
    stderr: str
    store: dict[str, Any]
    model: Path
    data: Path

    @property
    def roles(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.data / "roles.json").read_text("utf-8"))
        return record


#: Run in a process of its own: warnings are errors here, and MLflow's own database layer warns.
_LOOK_UP = """
import json, sys, mlflow
from mlflow import MlflowClient
mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
runs = client.search_runs([client.get_experiment_by_name("witnessmark").experiment_id])
found = {"versions": [v.version for v in client.search_model_versions()], "names": [m.name for m in client.search_registered_models()],
         "status": [r.info.status for r in runs]}
if len(sys.argv) > 2:
    _, name, version = sys.argv[2].split("/")
    registered = client.get_model_version(name, version)
    logged = client.get_logged_model(registered.source.rpartition("/")[2])
    run = client.get_run(logged.source_run_id)
    found |= {
        "aliases": registered.aliases, "params": run.data.params, "metrics": run.data.metrics,
        "steps": [m.step for m in client.get_metric_history(run.info.run_id, "validation_loss")],
        "inputs": [[i.dataset.name, {t.key: t.value for t in i.tags}] for i in run.inputs.dataset_inputs],
        "linked": {m.key: m.dataset_name for m in logged.metrics},
        "model": logged.artifact_location, "data": run.info.artifact_uri + "/audit_data",
    }
print(json.dumps(found))
"""

LookUp = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def look_up(python: Python) -> LookUp:
    """What the SQLite store of a folder knows: of everything, and of the model of a URI."""

    def look(folder: Path, *uri: str) -> dict[str, Any]:
        done = python("-c", _LOOK_UP, f"sqlite:///{folder}/mlflow.db", *uri, cwd=folder)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    return look


@pytest.fixture(scope="session")
def train(python: Python, look_up: LookUp, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """Train a preset as it is, once a session, in the default store of a folder of its own."""
    known: dict[str, Trained] = {}

    def once(preset: str) -> Trained:
        if preset not in known:
            folder = tmp_path_factory.mktemp(preset)
            done = python("-m", "models.train", preset, cwd=folder)
            assert done.returncode == 0, done.stderr
            store = look_up(folder, done.stdout.splitlines()[-1])
            model, data = (Path(store[key].removeprefix("file://")) for key in ("model", "data"))
            known[preset] = Trained(done.stdout, done.stderr, store, model, data)
        return known[preset]

    return once


@dataclass(frozen=True)
class Audited:
    """A model that was trained and audited by the commands: the roles logged, its folder, and the scores (rows,) of the positive class as the
    audit has them."""

    roles: dict[str, Any]
    model: Path
    scores: Any


@pytest.fixture(scope="session")
def audited(python: Python, look_up: LookUp) -> Callable[..., Audited]:
    """Train a preset with these arguments and audit it, in the default store of the folder `cwd`."""

    def do(*arguments: str, cwd: Path) -> Audited:
        import pandas as pd

        done = python("-m", "models.train", *arguments, cwd=cwd)
        assert done.returncode == 0, done.stderr
        uri = done.stdout.splitlines()[-1]
        audit = python("-m", "audit.run", uri, "--checks", "data.profile", "--no-log", "--scored-dir", str(cwd / "scored"), cwd=cwd)
        assert audit.returncode == 0, audit.stderr
        store = look_up(cwd, uri)
        (table,) = (path for path in (cwd / "scored").glob("*.parquet") if not path.name.endswith(".sample.parquet"))
        model, data = (Path(store[key].removeprefix("file://")) for key in ("model", "data"))
        return Audited(json.loads((data / "roles.json").read_text("utf-8")), model, pd.read_parquet(table)["score"].to_numpy())

    return do


def _missing(what: str) -> None:
    """A skip with its reason on a developer's machine, a failure where CI is set: there it must be installed."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not installed, and CI is set")
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URI of an empty PostgreSQL of our own: a folder, a socket in it, no port, an unprivileged user, gone afterwards."""
    found = shutil.which("initdb") or next(iter(sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), reverse=True)), None)
    if found is None:
        _missing("PostgreSQL (initdb)")
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        _missing("psycopg2")
    binaries = Path(str(found)).parent
    with tempfile.TemporaryDirectory(prefix="wm-pg-") as folder:
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(folder, "postgres", "postgres")
        with _postgres(binaries, Path(folder)):
            yield f"postgresql+psycopg2://witness@/postgres?host={folder}"


@contextmanager
def _postgres(binaries: Path, folder: Path) -> Iterator[None]:
    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def call(program: str, *arguments: str) -> None:
        command = [*become, str(binaries / program), "-D", str(folder / "data"), *arguments]
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr

    call("initdb", "-U", "witness", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c shared_buffers=16MB"
    call("pg_ctl", "-w", "-o", options, "-l", str(folder / "log"), "start")
    try:
        yield
    finally:
        call("pg_ctl", "-w", "-m", "immediate", "stop")


@pytest.fixture
def mlflow_server(postgres: str, tmp_path: Path) -> Iterator[str]:
    """The address of an MLflow server on the loopback, over that PostgreSQL and a folder for artifacts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        postgres,
        "--artifacts-destination",
        str(tmp_path / "artifacts"),
    ]
    log = tmp_path / "server.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
            cwd=tmp_path, stdout=out, stderr=out, start_new_session=True, env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        )  # fmt: skip
    try:
        _wait_for(f"{address}/health", server, log)
        yield address
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while server.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"the MLflow server does not answer: {log.read_text()[-2000:]}")
