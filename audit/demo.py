"""The demonstration models: trained by the training core, in a process of its own, where they are not there yet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from audit.errors import AuditError


def train(preset: str, tracking_uri: str) -> None:
    """Train and register a preset with its defaults; AuditError with the training's own words where it fails."""
    command = [sys.executable, "-P", "-m", "models.train", preset, "--tracking-uri", tracking_uri]
    paths = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths}, check=False)
    if not done.returncode:
        return
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    if not said:
        raise AuditError(f"training {preset} failed", f"run python -m models.train {preset}")
    what, _, mend = said[-1].removeprefix("error: ").partition(" — ")
    raise AuditError(what, mend or "see python -m models.train --list")
