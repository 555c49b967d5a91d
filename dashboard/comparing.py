"""Two audits compared by the command itself, in a process of its own: this page's process holds no rows and no statistics."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import streamlit as st

from audit.compared import Comparison
from dashboard.command import command, environment
from dashboard.store import Entry, folder_of

LIMIT = 600.0  # seconds


class CannotCompareError(Exception):
    """Why two audits cannot be compared, as the command says it."""


@st.cache_data(max_entries=20, show_spinner=False, hash_funcs={Entry: lambda e: e.key})
def comparison(old: Entry, new: Entry) -> Comparison:
    """What `python -m audit.compare --json` says of them; `CannotCompareError` where it refuses."""
    with tempfile.TemporaryDirectory(prefix="witnessmark-compare-") as scratch:
        try:
            folders = [str(folder_of(entry, Path(scratch))) for entry in (old, new)]
        except OSError as error:
            raise CannotCompareError(str(error)[:300]) from None
        try:
            done = subprocess.run(
                command("audit.compare", *folders, "--json"),
                capture_output=True,
                text=True,
                env=environment(),
                timeout=LIMIT,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise CannotCompareError(f"audit.compare was stopped after {LIMIT:.0f} s") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        raise CannotCompareError(said[-1].removeprefix("error: ") if said else f"audit.compare ended with status {done.returncode}")
    return Comparison.model_validate_json(done.stdout)
