"""Confinement as observed from inside, with a control run without it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.errors import AuditError
from audit.subject import launch as module
from audit.subject.client import Client
from audit.subject.frame import Frame
from audit.subject.inspect import inspect_model

CANARIES = (
    "read /etc/passwd", "read environment of parent", "read environment of process 1", "list home", "list working directory of parent",
    "write outside scratch", "write model", "write packages", "write shared memory", "signal parent", "start a process",
)  # fmt: skip


def test_canaries_are_denied_and_possible_without_confinement(plain: Path, start: Any) -> None:
    _, confined = start(plain, isolation="required")
    _, control = start(plain, isolation="none")
    for name in CANARIES:
        assert confined.observed[name] == "denied", name
        if name.startswith(("write", "signal", "start", "list")):
            assert control.observed[name] == "possible", name
    assert confined.observed["network"] == "denied"
    assert control.observed["network"].startswith("possible: AF_INET SOCK_STREAM, AF_INET SOCK_DGRAM")
    assert confined.observed["environment"] == control.observed["environment"] == "clean"
    assert confined.observed["landlock"].startswith("ABI ")
    assert confined.observed["seccomp"] == confined.observed["seccomp stage 2"] == confined.observed["limits"] == "on"
    assert "landlock" not in control.observed


@pytest.mark.parametrize("layer", ["landlock", "seccomp", "no_new_privs"])
def test_a_missing_layer_is_named_where_isolation_is_required(plain: Path, start: Any, layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAYERS", tuple(name for name in module.LAYERS if name != layer))
    with pytest.raises(AuditError, match=f"{layer}.*--isolation best-effort"):
        start(plain, isolation="required")
    _, worker = start(plain)
    assert layer not in worker.observed
    assert worker.alive()


def test_sockets_stay_denied_without_namespaces(plain: Path, start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAYERS", tuple(name for name in module.LAYERS if name != "namespaces"))
    _, worker = start(plain, isolation="required")
    assert worker.observed["network"] == worker.observed["signal parent"] == "denied"


def test_a_worker_answers_any_process_that_inherits_its_socket(plain: Path, start: Any, numbers: Frame) -> None:
    client, worker = start(plain)
    expected = client.predict(numbers, timeout=60).values
    code = (
        "import sys, numpy as np; from audit.subject.client import Client\n"
        "frame = {n: np.full(3, 0.5) for n in ('x0', 'x1', 'x2', 'x3', 'whole')}\n"
        "client = Client(int(sys.argv[1])); print(client.predict(frame, timeout=60).values.shape, client.describe(timeout=60).classes)"
    )
    command = [sys.executable, "-c", code, str(worker.socket.fileno())]
    done = subprocess.run(command, pass_fds=[worker.socket.fileno()], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "(3, 2) ['0', '1']"
    assert np.array_equal(client.predict(numbers, timeout=60).values, expected)


def test_the_worker_dies_with_its_auditor(plain: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from audit.subject.inspect import inspect_model\nfrom audit.subject.launch import launch\n"
        "p = Path(sys.argv[1]); w = launch(p, inspect_model(p), trust_pickle=False); print(w.pid, w.log.parent, flush=True); os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(plain)], capture_output=True, text=True, check=True)
    pid, scratch = done.stdout.split()
    for _ in range(100):
        if not os.path.exists(f"/proc/{pid}") or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.05)
    else:
        pytest.fail("the worker outlived its auditor")
    module._end(None, Path(scratch))


def test_the_coordinator_imports_nothing_heavy(plain: Path) -> None:
    code = (
        "import sys; from pathlib import Path\nfrom audit.subject.inspect import inspect_model\nfrom audit.subject.launch import launch\n"
        "p = Path(sys.argv[1]); w = launch(p, inspect_model(p), trust_pickle=False); w.stop()\n"
        "print(sorted({'numpy', 'pandas', 'mlflow', 'sklearn', 'torch', 'skops'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(plain)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_client_may_be_closed_and_made_again(plain: Path, numbers: Frame) -> None:
    worker = module.launch(plain, inspect_model(plain), trust_pickle=False)
    first = Client(worker.socket.fileno())
    values = first.predict(numbers, timeout=60).values
    first.close()
    second = Client(worker.socket.fileno())
    assert np.array_equal(second.predict(numbers, timeout=60).values, values)
    second.close()
    worker.stop()
    worker.stop()
