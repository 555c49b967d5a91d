"""What an audit will do and cost, before it starts: its resolved plan, as the command prints it, and what is known of its price."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard.command import command, environment
from dashboard.runs import refused
from dashboard.store import Entry

LIMIT = 900.0  # seconds: a demonstration model may be trained first


class RefusedError(Exception):
    """Why the command will not audit this, as it says it."""


@dataclass(frozen=True)
class Preview:
    """A resolved plan: its text, the checks that it asks for in their order, those of them that ask the model again, and the answers that their
    budgets allow together (those that state one)."""

    text: str
    roles: dict[str, Any]
    sample: int
    asked: list[str]
    probing: list[str]
    answers: int


@st.cache_data(show_spinner=False)
def listed() -> dict[str, bool]:
    """Every check that the command knows, and whether it asks the model again."""
    done = _run(command("audit.run", "--list"), Path.cwd(), 120.0)
    lines = [re.fullmatch(r"(\S+) +(.*?) +([A-Z].*)", line) for line in done.splitlines()]
    return {m[1]: "model" in m[2].split(", ") for m in lines if m}


def preview(words: Sequence[str], root: Path) -> Preview:
    """What `audit.run --print-plan` says; nothing is loaded and nothing measured, but for a demonstration model that is not there yet."""
    text = _run(command("audit.run", "--print-plan", *words), root, LIMIT)
    plan = tomllib.loads(text)
    asked = [id_ for id_, check in plan["checks"].items() if check["enabled"]]
    probing = [id_ for id_ in asked if listed().get(id_)]
    budgets = [plan["checks"][id_].get("params", {}).get("budget", 0) for id_ in probing]
    return Preview(text, plan.get("roles", {}), int(plan["audit"]["sample"]), asked, probing, sum(budgets))


def before(entries: Sequence[Entry], model: str) -> tuple[Entry, float] | None:
    """The newest audit of the same model, whatever its version, and the seconds that it took; None where there is none."""
    name = model.removeprefix("models:/").replace("@", "/").partition("/")[0] if model.startswith("models:/") else None
    for entry in entries:
        if entry.head.model.uri == model or (name and entry.head.model.name == name):
            took = datetime.fromisoformat(entry.head.finished) - datetime.fromisoformat(entry.head.started)
            return entry, took.total_seconds()
    return None


def _run(words: list[str], root: Path, limit: float) -> str:
    try:
        done = subprocess.run(
            words, cwd=root, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        raise RefusedError(f"the command was stopped after {limit:.0f} s") from None
    if done.returncode:
        raise RefusedError(refused(done.stderr) or f"the command ended with status {done.returncode}")
    return done.stdout
