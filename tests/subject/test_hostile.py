"""What a model that means harm, or breaks, can do: nothing outside its scratch folder, and the auditor is told in its own words."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hostile
import numpy as np
import pytest

from audit.errors import AuditError
from audit.subject.client import Client, WorkerError
from audit.subject.frame import Frame
from audit.subject.inspect import check_loadable, inspect_model
from audit.subject.launch import GIB, Worker, launch

LIMIT = 60.0
EVIDENCE = {
    "pickle": ["builtins.exec", "stored as pickle"],
    "loader_module": ["loader_module is 'evil'", "code/evil.py is a program file"],
    "pickle_module_info": ["names the module evil", "data/model.pth is a pickle"],
    "model_code_path": ["model_code_path is 'model.py'"],
    "model_class": ["model_class is 'evil.K'", "code/evil.py"],
}


@pytest.mark.parametrize("kind", EVIDENCE)
def test_code_is_refused_with_its_evidence_and_confined_when_allowed(kind: str, tmp_path: Path, start: Any) -> None:
    marker = tmp_path / "marker"
    path = hostile.code_folders(tmp_path / "models", str(marker))[kind]
    inspection = inspect_model(path)
    assert inspection.load_risk == "code"
    with pytest.raises(AuditError) as refused:
        check_loadable(inspection, trust_pickle=False)
    assert "--trust-pickle" in str(refused.value)
    for words in EVIDENCE[kind]:
        assert words in str(refused.value)
    check_loadable(inspection, trust_pickle=True)
    client, worker = start(path, trust_pickle=True)
    with contextlib.suppress(WorkerError):
        client.predict({"x0": np.zeros(2), "x1": np.zeros(2)}, timeout=LIMIT)
    assert "payload ran" in worker.log.read_text()
    assert not marker.exists()


def test_the_worker_itself_refuses_code_without_trust(tmp_path: Path, start: Any) -> None:
    for kind, path in hostile.code_folders(tmp_path / "models", str(tmp_path / "marker")).items():
        if kind in ("pickle", "model_code_path"):
            client, worker = start(path)
            with pytest.raises(WorkerError, match="--trust-pickle"):
                client.describe(timeout=LIMIT)
            assert "payload ran" not in worker.log.read_text()


def test_without_confinement_the_marker_is_written(tmp_path: Path, start: Any) -> None:
    """The control: the payload of the tests above does what it is meant to do."""
    marker = tmp_path / "marker"
    client, _ = start(hostile.code_folders(tmp_path / "models", str(marker))["pickle"], trust_pickle=True, isolation="none")
    with pytest.raises(WorkerError):
        client.describe(timeout=LIMIT)
    assert marker.exists()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / ".netrc").write_text("password hunter2")
    return folder


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[tuple[Client, Worker]]:
    """One worker of a misbehaving model for all tests that it survives, with 3 GiB of address space."""
    path = hostile.misbehaving(tmp_path_factory.mktemp("guest") / "m", home=str(home))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
        worker = launch(path, inspect_model(path), trust_pickle=True, isolation="required", memory=3 * GIB)
    client = Client(worker.socket)
    yield client, worker
    client.close()
    worker.stop()


def told(what: int, n: int = 4) -> Frame:
    return {"x0": np.full(n, float(what)), "x1": np.zeros(n)}


@pytest.mark.parametrize("what", [1, 2, 3], ids=["secrets", "sockets", "processes"])
def test_nothing_is_reached(guest: tuple[Client, Worker], what: int) -> None:
    assert guest[0].predict(told(what), timeout=LIMIT).values.tolist() == [[0.0]] * 4


def test_scratch_is_bounded(guest: tuple[Client, Worker]) -> None:
    written = guest[0].predict(told(4), timeout=LIMIT).values[0, 0]
    assert 100 < written <= 256


def test_memory_is_an_answer_and_the_worker_goes_on(guest: tuple[Client, Worker]) -> None:
    with pytest.raises(WorkerError) as caught:
        guest[0].predict(told(5), timeout=LIMIT)
    assert caught.value.kind == "memory"
    assert guest[0].predict(told(0), timeout=LIMIT).values.shape == (4, 1)


@pytest.mark.parametrize(("what", "kind"), [(6, "contract"), (7, "contract"), (8, "model"), (9, "model"), (15, "contract")])
def test_wrong_answers_are_named(guest: tuple[Client, Worker], what: int, kind: str) -> None:
    with pytest.raises(WorkerError) as caught:
        guest[0].predict(told(what), timeout=LIMIT)
    assert caught.value.kind == kind
    assert "Jane" not in str(caught.value)
    assert guest[1].alive()


def test_an_error_is_told_by_type_and_place(guest: tuple[Client, Worker]) -> None:
    with pytest.raises(WorkerError, match=r"^model: ValueError at behaviour\.py:\d+ in predict$"):
        guest[0].predict(told(8), timeout=LIMIT)


def test_more_columns_than_expected_fit_after_one_more_call(tmp_path: Path, start: Any) -> None:
    client, _ = start(hostile.misbehaving(tmp_path / "m", home=str(tmp_path)), trust_pickle=True)
    assert client.predict(told(14), timeout=LIMIT).values.tolist() == [list(map(float, range(40)))] * 4
    with pytest.raises(WorkerError, match="1 columns after 40"):
        client.predict(told(0), timeout=LIMIT)


@pytest.mark.parametrize(("what", "ending"), [(11, "exit 0"), (12, "SIGSEGV"), (13, "SIGKILL")])
def test_a_death_is_told_with_its_signal(tmp_path: Path, start: Any, what: int, ending: str) -> None:
    client, worker = start(hostile.misbehaving(tmp_path / "m", home=str(tmp_path)), trust_pickle=True)
    with pytest.raises(WorkerError) as caught:
        client.predict(told(what), timeout=LIMIT)
    assert caught.value.kind == "died"
    worker._process.wait(5)
    assert (worker.alive(), worker.ending()) == (False, ending)


def test_hang_in_predict_and_at_load(tmp_path: Path, start: Any) -> None:
    client, worker = start(hostile.misbehaving(tmp_path / "m", home=str(tmp_path)), trust_pickle=True)
    client.describe(timeout=LIMIT)
    begin = time.monotonic()
    with pytest.raises(WorkerError) as caught:
        client.predict(told(10), timeout=0.5)
    assert (caught.value.kind, time.monotonic() - begin < 5) == ("timeout", True)
    worker.stop()
    at_load = hostile.misbehaving(tmp_path / "l", home=str(tmp_path), at_load="time.sleep(1000)")
    client, worker = start(at_load, trust_pickle=True)
    with pytest.raises(WorkerError, match="timeout"):
        client.describe(timeout=3)
    worker.stop()
    with pytest.raises(ProcessLookupError):
        os.killpg(worker.pid, 0)
    assert not worker.log.parent.exists()


@pytest.mark.slow
def test_processor_time_is_bounded(tmp_path: Path, start: Any) -> None:
    path = hostile.misbehaving(tmp_path / "m", home=str(tmp_path), at_load="sum(iter(int, 1))")
    client, worker = start(path, trust_pickle=True, cpu_seconds=5)
    with pytest.raises(WorkerError, match="died"):
        client.describe(timeout=LIMIT)
    worker._process.wait(5)
    assert worker.ending() == "SIGXCPU"
