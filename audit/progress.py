"""How far an audit is, on stderr: one live line on a terminal, plain lines elsewhere; and the closing table."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Protocol

from audit.result import AuditResult

SIGNS = {
    "fail": "✕ Fails",
    "rejected": "⊘ Evidence rejected",
    "size_open": "? Difference established, size open",
    "inconclusive": "? Cannot tell yet",
    "pass": "✓ Passes",
    "not_judged": "· Reported",
    "skipped": "– Not run",
    "errored": "! Could not run",
    "error": "! Could not run",
}
COLOURS = {
    "fail": "red",
    "rejected": "yellow",
    "size_open": "yellow",
    "inconclusive": "yellow",
    "pass": "green",
    "not_judged": "dim",
    "skipped": "dim",
    "errored": "magenta",
    "error": "magenta",
}


class Progress(Protocol):
    """Who is told how far the audit is."""

    def step(self, name: str) -> None:
        """A step begins."""

    def rows(self, done: int, total: int) -> None:
        """So many rows are scored."""

    def finished(self, name: str, outcome: str, reason: str = "") -> None:
        """A step has ended, and why where it did not complete."""


class Plain:
    """One line a step, for files and pipes."""

    def __init__(self) -> None:
        self._told = time.monotonic()
        self._began = self._told

    def step(self, name: str) -> None:
        """A step begins."""
        print(f"{name} …", file=sys.stderr, flush=True)
        self._began = self._told = time.monotonic()

    def rows(self, done: int, total: int) -> None:
        """So many rows are scored: a line every ten seconds."""
        now = time.monotonic()
        if now - self._told >= 10 and done:
            self._told = now
            print(f"  {_rate(done, total, now - self._began)}", file=sys.stderr, flush=True)

    def finished(self, name: str, outcome: str, reason: str = "") -> None:
        """A step has ended; said, and why, only where it did not complete."""
        if outcome != "completed":
            print(_ended(name, outcome, reason), file=sys.stderr, flush=True)


class Live(Plain):
    """One line that changes, on a terminal."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.status import Status

        self._console = Console(stderr=True)
        self._status = Status("", console=self._console)

    def step(self, name: str) -> None:
        """A step begins."""
        self._began = time.monotonic()
        self._name = name
        self._status.update(f"{name} …")
        self._status.start()

    def rows(self, done: int, total: int) -> None:
        """So many rows are scored."""
        if done:
            self._status.update(f"{self._name}: {_rate(done, total, time.monotonic() - self._began)}")

    def finished(self, name: str, outcome: str, reason: str = "") -> None:
        """A step has ended."""
        self._status.stop()
        if outcome != "completed":
            self._console.print(_ended(name, outcome, reason), markup=False)


def _ended(name: str, outcome: str, reason: str) -> str:
    return f"  {name}: {outcome}: {reason}" if reason else f"  {name}: {outcome}"


def _rate(done: int, total: int, seconds: float) -> str:
    speed = done / max(seconds, 1e-9)
    return f"{done:,} of {total:,} rows, {speed:,.0f} rows a second, {(total - done) / speed:.0f} s left"


def progress() -> Plain:
    """The way to tell, as stderr allows."""
    return Live() if sys.stderr.isatty() else Plain()


def closing(result: AuditResult, verdict: str, states: dict[str, str], deciding: Sequence[tuple[str, str]]) -> None:
    """The verdict, the families with their signs, and at most three findings, on stderr.

    `verdict` and `states` (by check) are keys of `SIGNS`, `deciding` are signs and sentences, all as page one has them, but for
    what the verdict's own sentence says.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    answered = result.answered
    console.print(
        Text(
            f"{SIGNS[verdict]} — {answered.passed + answered.fail} of {answered.decides} deciding questions settled",
            style=f"bold {COLOURS[verdict]}",
        )
    )
    console.print(Text(result.why))
    table = Table(box=None, pad_edge=False, show_header=False)
    families: dict[str, list[str]] = {}
    for check in result.checks:
        families.setdefault(check.info.id.split(".")[0], []).append(states[check.info.id])
    order = list(SIGNS)
    for family, found in families.items():
        worst = min(found, key=order.index)
        if worst == "pass" and result.open_question(family) is not None:
            worst = "inconclusive"
        table.add_row(family, Text(SIGNS[worst], style=COLOURS[worst]), f"{len(found)} check{'s' * (len(found) > 1)}")
    console.print(table)
    for sign, sentence in deciding:
        console.print(Text(f"{sign} {sentence}"))
