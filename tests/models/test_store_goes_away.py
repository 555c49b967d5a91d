"""A tracking server that goes away while a net is trained: the net is kept in a file that is named, and the same command logs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

CODE = """
import json, sys
import models.tracking as tracking
from mlflow.exceptions import MlflowException
from models import loop
from models.train import main

def gone(*_, **__):
    raise MlflowException("connection refused")

steps = []
learn = loop._Run._learn
loop._Run._learn = lambda run: steps.append(run.epoch) or learn(run)
real, tracking.log = tracking.log, gone
first = main(["xor", "--epochs", "3"])
trained, tracking.log = len(steps), real
second = main(["xor", "--epochs", "3"])
print(json.dumps([first, trained, second, len(steps)]))
"""


def test_what_was_not_logged_is_kept_named_and_logged_afterwards(python: Callable[..., object], tmp_path: Path) -> None:
    done = python("-W", "ignore", "-c", CODE, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert json.loads(lines[-1]) == [2, 3, 0, 3], "trained once"
    assert lines[-2] == "models:/xor/1"
    refusal = next(line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "connection refused" in refusal
    kept = refusal.split("kept in ")[1].split(",")[0]
    assert kept.startswith(str(tmp_path / "state"))
    assert not Path(kept).exists(), "taken away when it was logged"
    assert f"going on with the training in {kept}" in done.stderr
