"""Temporary folders that name the process they belong to, so that what a killed audit left behind is found and removed by the next."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["make", "remove_stale"]

PREFIX = "witnessmark-"


def make() -> Path:
    """A new folder of this process, readable by its user alone."""
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))


def remove_stale() -> None:
    """Remove what audits that were killed left in the temporary folder: copies of models and of evaluation data, and their workers' files."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        pid = folder.name.removeprefix(PREFIX).split("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists() and folder.stat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)
