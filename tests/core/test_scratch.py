"""Temporary folders: those of a process that is gone are removed, those of one that runs are not."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from audit import scratch


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    command = [sys.executable, "-c", "from audit import scratch; import os; print(scratch.make(), flush=True); os.kill(os.getpid(), 9)"]
    left = subprocess.run(command, env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False)
    mine, other = scratch.make(), tmp_path / "witnessmark-of-somebody-else"
    other.mkdir()
    assert left.returncode == -9
    assert Path(left.stdout.strip()).is_dir()
    scratch.remove_stale()
    assert sorted(tmp_path.iterdir()) == sorted([mine, other])
