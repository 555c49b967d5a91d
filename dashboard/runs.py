"""Audits that were started from a page: each is the command itself in a process of its own, which neither a closed page nor a stopped server ends.

A run is a folder under `$XDG_STATE_HOME/witnessmark/runs`: `run.json` (what was started, by whom, and its process), `progress.log` (what the command
writes) and `alive`, on which the process holds a lock as long as it lives, so that nobody has to guess from a process number. What it has finished stands
in the audit's own folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from dashboard.command import command, environment
from dashboard.index import state_file
from reports.write import write_atomically

State = Literal["running", "finished", "interrupted", "refused", "stopped", "gone"]
LOG_END = 20_000  # bytes of the log that a page reads for its last words
PATIENCE = 2.0  # seconds for a process that is just ending
BEGAN = "# started "  # what a line of the log begins with where the command does
CHECK = re.compile(r"[a-z]+\.[a-z0-9_]+")


@dataclass(frozen=True)
class Run:
    """`words` follow `python -m audit.run`; `asked` are the checks of the resolved plan in their order; `pid` is that of the last process."""

    id: str
    root: str
    words: list[str]
    model: str
    out: str
    asked: list[str]
    who: str
    started: str
    pid: int | None = None
    stopped_by: str | None = None

    @property
    def folder(self) -> Path:
        return _place() / self.id


@dataclass(frozen=True)
class Reached:
    """How far a run is, from what the command wrote: the step in progress, its rows, how many of the checks are behind it, and what did not complete."""

    step: str
    rows: str
    behind: int
    failed: list[str]


class BusyError(Exception):
    """The run goes on already."""


def _place() -> Path:
    return state_file().parent / "runs"


def start(root: Path, words: Sequence[str], model: str, asked: Sequence[str], who: str) -> Run:
    """Start an audit that outlives this process; OSError where that cannot be done."""
    id_ = uuid.uuid4().hex[:12]
    name = re.sub(r"[^A-Za-z0-9]+", "-", model).strip("-")[:60] or "model"
    run = Run(id_, str(root), list(words), model, str(root / "audits" / f"{name}-{id_}"), list(asked), who, _now())
    run.folder.mkdir(parents=True, mode=0o700)
    return _launch(run, [f"--out={run.out}", *words])


def resume(run: Run, who: str) -> Run:
    """Go on with an interrupted audit; `BusyError` where somebody else just did."""
    return _launch(replace(run, who=who, stopped_by=None), [f"--resume={run.out}"])


def stop(run: Run, who: str) -> None:
    """Ask the command to end; what it has finished is kept, and can be gone on with."""
    if run.pid is None:
        return
    try:
        process = os.pidfd_open(run.pid)  # it keeps meaning this process, if it still is ours, whatever ends meanwhile
    except ProcessLookupError:
        return
    with os.fdopen(process):
        if alive(run):
            _keep(replace(run, stopped_by=who))
            # Not an interrupt: what a background shell started may ignore that. The command takes both alike.
            signal.pidfd_send_signal(process, signal.SIGTERM)


def read(id_: str) -> Run | None:
    """A run by its id; None where there is none."""
    if not re.fullmatch(r"[0-9a-f]{12}", id_):
        return None
    try:
        return Run(**json.loads((_place() / id_ / "run.json").read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def of(root: Path) -> list[Run]:
    """The runs that were started in a folder, newest first."""
    found = [run for path in _place().glob("*/run.json") if (run := read(path.parent.name)) is not None and run.root == str(root)]
    return sorted(found, key=lambda run: (run.started, run.id), reverse=True)


def alive(run: Run) -> bool:
    """Whether its process lives."""
    try:
        with _locked(run, fcntl.LOCK_SH):
            return False
    except BlockingIOError:
        return True


def state(run: Run) -> State:
    """What has become of a run: read off its process, and off the folder that it writes."""
    if alive(run):
        return "running"
    out = Path(run.out)
    if (out / ".journal").is_dir():
        return "interrupted"
    if (out / "audit.json").is_file():
        return "finished"
    said = log_end(run)
    if refused(said):
        return "refused"
    return "gone" if said.rstrip().endswith(run.out) else "stopped"


def log_end(run: Run) -> str:
    """The last words of the command."""
    try:
        with (run.folder / "progress.log").open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_END))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def refused(said: str) -> str | None:
    """Why the command ended when it was last started, in its one line; None where it did not say so."""
    last = said.rpartition(f"\n{BEGAN}")[2]
    return next((line.removeprefix("error: ") for line in reversed(last.splitlines()) if line.startswith("error: ")), None)


def reached(run: Run) -> Reached:
    """How far a run is; a check without a line was skipped, and counts as behind once a later one has begun."""
    step, rows, failed = "", "", []
    for line in log_end(run).splitlines():
        if line.endswith(" …") and not line.startswith(" "):
            step, rows = line.removesuffix(" …"), ""
        elif line.startswith("  ") and " rows, " in line:
            rows = line.strip()
        elif (found := re.fullmatch(rf"  ({CHECK.pattern}): (\w+)", line)) is not None:
            failed.append(f"{found[1]}: {found[2]}")
    if step in run.asked:
        behind = run.asked.index(step)
    else:
        behind = len(run.asked) if step in ("judge", "MLflow", "documents of frameworks") or step.startswith("report ") else 0
    return Reached(step, rows, behind, list(dict.fromkeys(failed)))


def _launch(run: Run, words: Sequence[str]) -> Run:
    with _locked(run, fcntl.LOCK_EX, PATIENCE) as lock, (run.folder / "progress.log").open("ab") as log:
        _keep(run)
        log.write(f"\n{BEGAN}{_now()}\n".encode())
        log.flush()
        child = subprocess.Popen(
            command("audit.run", *words), cwd=run.root, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, pass_fds=[lock],
        )  # fmt: skip
        run = replace(run, pid=child.pid)
        _keep(run)
    threading.Thread(target=child.wait, name=f"run {run.id}", daemon=True).start()  # so that nothing is left of it when it has ended
    return run


@contextmanager
def _locked(run: Run, kind: int, patience: float = 0.0) -> Iterator[int]:
    """The lock on a run, which a child that inherits the file keeps; BlockingIOError, or `BusyError` after some patience, where another holds it."""
    descriptor = os.open(run.folder / "alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not patience:
                    raise
                if time.monotonic() > deadline:
                    raise BusyError(run.id) from None
                time.sleep(0.05)
        yield descriptor
    finally:
        os.close(descriptor)


def _keep(run: Run) -> None:
    write_atomically(run.folder / "run.json", json.dumps(asdict(run), ensure_ascii=False, indent=1).encode())


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
